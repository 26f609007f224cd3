"""Which voxels camera rays pass through before or where they meet a surface."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from occflow_ros.data.synthetic.render import Rendering
from occflow_ros.structures import VoxelGrid

_INTO_SURFACE_M = 0.01


def observed_voxels(
    grid: VoxelGrid, base_T_odom: Tensor, renderings: Sequence[Rendering]
) -> Tensor:
    """Voxels (X, Y, Z) bool that some pixel's ray crosses up to and including its surface.

    Every second pixel of every second row is taken; rays of the sky leave the grid.
    """
    seen = torch.zeros(grid.num_voxels, dtype=torch.bool, device=base_T_odom.device)
    for rendering in renderings:
        base_T_camera = base_T_odom @ rendering.odom_T_camera
        depth = rendering.depth_m[::2, ::2].flatten()
        point = rendering.point_m[::2, ::2].reshape(-1, 3)
        is_sky = torch.isinf(depth)
        origin = rendering.odom_T_camera[:3, 3]
        direction = torch.where(is_sky[:, None], point, point - origin)
        length = direction.norm(dim=1)
        reach = torch.where(is_sky, torch.inf, length + _INTO_SURFACE_M).float()
        unit = (direction / length[:, None]) @ base_T_odom[:3, :3].T
        mark_crossed(grid, base_T_camera[:3, 3].float(), unit.float(), reach, seen)
    return seen.reshape(grid.shape)


def mark_crossed(
    grid: VoxelGrid, origin_m: Tensor, directions: Tensor, reach_m: Tensor, seen: Tensor
) -> None:
    """Set `seen` (X·Y·Z,) for every voxel on rays from one point; all in the ego frame.

    Steps from voxel face to voxel face (Amanatides and Woo, 1987), all rays at once.

    Args:
        origin_m: (3,).
        directions: (R, 3) unit vectors.
        reach_m: (R,) how far each ray goes.
        seen: written in place.
    """
    size = origin_m.new_tensor(grid.voxel_size_m)
    lower, upper = origin_m.new_tensor(grid.lower_m), origin_m.new_tensor(grid.upper_m)
    direction = torch.where(directions.abs() < 1e-9, 1e-9, directions)
    faces = torch.stack((lower - origin_m, upper - origin_m))[:, None] / direction  # (2, R, 3)
    enter = faces.amin(dim=0).amax(dim=1).clamp(min=0.0)
    leave = torch.minimum(faces.amax(dim=0).amin(dim=1), reach_m)
    kept = (enter < leave).nonzero().squeeze(1)
    direction, enter, leave = direction[kept], enter[kept], leave[kept]
    start = origin_m + (enter[:, None] + 1e-4) * direction
    shape = torch.tensor(grid.shape, device=size.device)
    index = torch.minimum(((start - lower) / size).long().clamp(min=0), shape - 1)
    step = torch.sign(direction).long()
    next_face = lower + (index + (step > 0)) * size
    crossing = (next_face - origin_m) / direction  # (R, 3)
    stride = size / direction.abs()
    strides = torch.tensor((grid.shape[1] * grid.shape[2], grid.shape[2], 1), device=size.device)
    flat, flat_step = (index * strides).sum(dim=1), step * strides
    while len(flat):
        seen[flat] = True
        nearest, axis = crossing.min(dim=1)
        alive = (nearest < leave - 1e-4).nonzero().squeeze(1)
        axis = axis[alive, None]
        flat = flat[alive] + flat_step[alive].gather(1, axis).squeeze(1)
        crossing, stride = crossing[alive], stride[alive]
        crossing.scatter_add_(1, axis, stride.gather(1, axis))
        flat_step, leave = flat_step[alive], leave[alive]
