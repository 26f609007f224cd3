"""What is really there on the grid of a recording, and which of it somebody ever saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from occflow_ros.data.classes import FREE
from occflow_ros.data.drive import CameraSet, Drive, OccupancyTruth
from occflow_ros.data.scene import VoxelScene
from occflow_ros.data.truth import read_truth
from occflow_ros.data.vocabulary import OCC3D
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3
from occflow_ros.metrics.coarsen import coarsen_classes, coarsen_truth
from occflow_ros.metrics.resample import on_grid
from occflow_ros.offboard.recording import Classes, RecordingInfo, Velocities
from occflow_ros.structures import VoxelGrid

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TrueFrame:
    """The dense truth of one reference time, whether a camera sees it or not.

    Args:
        class_id: (X, Y, Z) uint8 in the numbers of `data.classes`.
        velocity_mps: (X, Y, Z, 2) float32 over ground along ego x and y, NaN where unknown.
        observed: (X, Y, Z) bool, what some camera of the set sees.
    """

    class_id: Classes
    velocity_mps: Velocities
    observed: Mask


def true_frame(path: Path, grid: VoxelGrid) -> TrueFrame:
    """The truth of a file on a grid.

    Over the same box, a coarser voxel is occupied where any of its parts is (`coarsen_truth`), and
    observed as there; over another box, a voxel takes what is at its centre.

    Raises:
        DataError: where the file cannot be read.
    """
    truth = read_truth(path)
    same_box = np.allclose((truth.lower_m, truth.upper_m), (grid.lower_m, grid.upper_m))
    if same_box and not any(fine % few for fine, few in zip(truth.grid.shape, grid.shape)):
        whole = coarsen_truth(replace(truth, observed=np.ones_like(truth.observed)), grid.shape)
        _, observed = coarsen_classes(truth.semantics, truth.observed, grid.shape, OCC3D)
        return TrueFrame(whole.semantics, whole.velocity_mps, observed)
    return _at_centers(truth, grid)


def anywhere_in_drive(
    masks: Sequence[Mask], grid: VoxelGrid, poses: se3.Array, target: int
) -> Mask:
    """Voxels of one set whose place in the world is marked in any set of the drive.

    Of what cameras see, these are the voxels that SemanticKITTI counts: seen from any position
    along the way. Another set marks a voxel where its own voxel around that voxel's centre is.

    Args:
        masks: (X, Y, Z) of each of the T sets.
        grid: of all of them, each in its own ego frame.
        poses: (T, 4, 4) of the ego in one fixed frame.
        target: which of the sets.
    """
    marked, centers_m = masks[target].copy(), grid.centers_m().double().numpy()  # (X, Y, Z, 3)
    for mask, pose in zip(masks, poses):
        unknown = ~marked
        there_m = se3.transform_points(se3.between(pose, poses[target]), centers_m[unknown])
        index, inside = grid.index_of(torch.from_numpy(there_m))
        at = tuple(index.numpy().T)  # 3 × (M,)
        marked[unknown] = mask[at] & inside.numpy()
    return marked


def info_of(drive: Drive, sets: Sequence[int], grid: VoxelGrid) -> RecordingInfo:
    """How a recording of these sets with the classes of nuScenes is described.

    Raises:
        DataError: where there is no set.
    """
    if not sets:
        raise DataError(f"{drive.name}: expected sets to record, got none")
    chosen = [drive.sets[index] for index in sets]
    return RecordingInfo(
        name=drive.name,
        grid=grid,
        vocabulary=OCC3D,
        frame_names=tuple(map(frame_name, chosen)),
        stamps_ns=tuple(one.stamp_ns for one in chosen),
        world_T_base=np.stack([one.odom_T_base for one in chosen]),
        cameras=tuple(drive.cameras.values()),
    )


def frame_name(camera_set: CameraSet) -> str:
    """Of the set in a recording, as label files call it: its token, else its time."""
    return camera_set.token or str(camera_set.stamp_ns)


def _at_centers(truth: OccupancyTruth, grid: VoxelGrid) -> TrueFrame:
    occupied = truth.semantics != FREE
    dense = VoxelScene(truth.grid, occupied, truth.velocity_mps)
    scene, class_id = on_grid(dense, truth.semantics, grid, FREE)
    seen, _ = on_grid(VoxelScene(truth.grid, truth.observed, truth.velocity_mps), None, grid, FREE)
    assert class_id is not None  # some went in
    return TrueFrame(class_id, scene.velocity_mps, seen.occupied)
