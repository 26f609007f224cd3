"""A prediction on the grid of its truth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from occflow_ros.data.scene import VoxelScene
from occflow_ros.structures import VoxelGrid

Classes = npt.NDArray[np.uint8]


def on_grid(
    scene: VoxelScene, classes: Classes | None, grid: VoxelGrid, empty: int
) -> tuple[VoxelScene, Classes | None]:
    """Each voxel takes what the voxel around its centre has; nothing where there is none.

    Args:
        scene: in the same frame, on any grid.
        classes: (X, Y, Z) of its voxels, None where it has none.
        grid: wanted.
        empty: class outside of the scene's grid.

    Returns:
        the scene itself where its grid is the wanted one.
    """
    if scene.grid == grid:
        return scene, classes
    index, inside = scene.grid.index_of(grid.centers_m())
    at, there = tuple(np.moveaxis(index.numpy(), -1, 0)), inside.numpy()  # 3 × (X, Y, Z)
    occupied = scene.occupied[at] & there
    velocity_mps = np.where(there[..., None], scene.velocity_mps[at], np.float32(0.0))
    resampled = VoxelScene(grid, occupied, velocity_mps)
    return resampled, None if classes is None else np.where(there, classes[at], np.uint8(empty))
