"""Where the voxels of each frame lie as the pivot frame sees it (equation 1).

Box units: a grid's box reaches from -1 to 1 along each axis, so that frames of any grid look alike
and mirroring an axis is a change of sign. With world_T_base the pose of a frame,

    c_i = B · pivot_T_base_i · B⁻¹ · x_i,    pivot_T_base_i = (world_T_base_t)⁻¹ world_T_base_i

where x_i is the centre of a voxel in box units and B maps metres in the ego frame to box units.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from occflow_ros.geometry import se3
from occflow_ros.structures import VoxelGrid


def relative_poses(world_T_base: se3.Array, pivot: int, grid: VoxelGrid) -> Tensor:
    """Box units of each frame to those of the pivot, (T, 4, 4) float32; the pivot's is identity.

    Args:
        world_T_base: (T, 4, 4) poses in one fixed frame.
        pivot: which of the frames the coordinates are relative to.
        grid: of all frames, each in its own ego frame.
    """
    box_T_base = _metres_to_box(grid)
    base_T_box = np.linalg.inv(box_T_base)
    relative = [
        box_T_base @ se3.between(world_T_base[pivot], pose) @ base_T_box for pose in world_T_base
    ]
    return torch.from_numpy(np.stack(relative)).float()


def relative_coordinates(pivot_T_frame: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """C of equation 1: (..., 4, 4) in box units to (..., 3, X, Y, Z) in those of the pivot."""
    axes = [
        (2.0 * torch.arange(count, device=pivot_T_frame.device) + 1.0) / count - 1.0
        for count in shape
    ]
    centers = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)  # (3, X·Y·Z)
    rotation, translation = pivot_T_frame[..., :3, :3], pivot_T_frame[..., :3, 3:]
    return (rotation @ centers + translation).unflatten(-1, shape)


def _metres_to_box(grid: VoxelGrid) -> se3.Array:
    lower_m, upper_m = np.array(grid.lower_m), np.array(grid.upper_m)
    scale = 2.0 / (upper_m - lower_m)
    return se3.from_rotation_translation(np.diag(scale), -scale * (lower_m + upper_m) / 2.0)
