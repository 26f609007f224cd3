"""A prediction on the grid of its truth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from occflow_ros.data.scene import VoxelScene
from occflow_ros.geometry import se3
from occflow_ros.structures import VoxelGrid

Classes = npt.NDArray[np.uint8]

_SAME_FRAME = np.eye(4)


def on_grid(
    scene: VoxelScene,
    classes: Classes | None,
    grid: VoxelGrid,
    empty: int,
    scene_T_grid: se3.Array = _SAME_FRAME,
) -> tuple[VoxelScene, Classes | None]:
    """Each voxel takes what the voxel around its centre has; nothing where there is none.

    Args:
        scene: on any grid.
        classes: (X, Y, Z) of its voxels, None where it has none.
        grid: wanted.
        empty: class outside of the scene's grid.
        scene_T_grid: (4, 4) frame of the wanted grid to that of the scene.

    Returns:
        the scene itself where its grid is the wanted one, in the same frame.
    """
    if scene.grid == grid and np.array_equal(scene_T_grid, _SAME_FRAME):
        return scene, classes
    centers_m = se3.transform_points(scene_T_grid, grid.centers_m().double().numpy())
    index, inside = scene.grid.index_of(torch.from_numpy(centers_m))
    at, there = tuple(np.moveaxis(index.numpy(), -1, 0)), inside.numpy()  # 3 × (X, Y, Z)
    occupied = scene.occupied[at] & there
    velocity_mps = np.where(there[..., None], scene.velocity_mps[at], np.float32(0.0))
    resampled = VoxelScene(grid, occupied, velocity_mps)
    return resampled, None if classes is None else np.where(there, classes[at], np.uint8(empty))
