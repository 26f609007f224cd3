"""True classes of a frame as OccFiner is taught: of all that was ever seen along the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from occflow_ros.geometry import se3
from occflow_ros.offboard.recording import Classes
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid


def seen_along_the_way(
    truths: Sequence[Classes],
    grid: VoxelGrid,
    poses: se3.Array,
    target: int,
    movable: Sequence[int],
) -> Classes:
    """True classes of one set, and where it sees nothing, of what the nearest other set sees there.

    So SemanticKITTI's labels are made: its sweeps are put together, and only what no position along
    the way sees stays unknown. What is movable is not carried: it may have moved.

    Args:
        truths: (X, Y, Z) uint8 of each of T sets, UNKNOWN_CLASS_ID where its sensors see nothing.
        grid: of all of them, each in its own ego frame.
        poses: (T, 4, 4) of the ego in one fixed frame.
        target: which of the sets.
        movable: classes that can move.

    Returns:
        (X, Y, Z) uint8.
    """
    found, centers_m = truths[target].copy(), grid.centers_m().double().numpy()  # (X, Y, Z, 3)
    for other in sorted(range(len(truths)), key=lambda number: abs(number - target))[1:]:
        unknown = found == UNKNOWN_CLASS_ID
        there_m = se3.transform_points(se3.between(poses[other], poses[target]), centers_m[unknown])
        index, inside = grid.index_of(torch.from_numpy(there_m))
        said = truths[other][tuple(index.numpy().T)]  # (M,)
        stands = inside.numpy() & ~np.isin(said, movable)
        found[unknown] = np.where(stands, said, UNKNOWN_CLASS_ID)
    return found
