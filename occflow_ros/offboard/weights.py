"""How much the vote of each voxel counts, by what its sensor can know of it: whole numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from occflow_ros.data.drive import Camera
from occflow_ros.geometry.camera import project_from_base
from occflow_ros.structures import VoxelGrid

UNIT = 1000
"""A weight of 1."""

_ASIDE = 0.1  # sine of how far back a camera may turn that looks aside


def camera_weights(
    grid: VoxelGrid,
    cameras: Sequence[Camera],
    high_medium_low: tuple[float, float, float],
    frustum: bool = True,
    near_box_m: tuple[float, float, float] | None = None,
) -> Tensor:
    """Weights of all voxels, by their centres: OccFiner, equation 11.

    Args:
        grid: of the frames.
        cameras: that the onboard model looked through.
        high_medium_low: of what a camera sees in the near box, sees outside of it, and of the rest.
        frustum: whether it counts what cameras see; otherwise all is as if seen.
        near_box_m: size of the near box along x, y and z; None where all is as if inside.

    Returns:
        (X, Y, Z) int32 in thousandths.

    Raises:
        ValueError: where there is no camera.
    """
    if not cameras:
        raise ValueError("weights by camera: expected the cameras of the recording, got none")
    centers_m = _centers_m(grid)
    seen = near = torch.ones(grid.num_voxels, dtype=torch.bool)
    if frustum:
        seen = in_frustum(centers_m, cameras)
    if near_box_m is not None:
        near = in_near_box(centers_m, grid, cameras, near_box_m)
    high, medium, low = centers_m.new_tensor(high_medium_low)
    return _fixed(torch.where(seen, torch.where(near, high, medium), low), grid)


def lidar_weights(grid: VoxelGrid, near_far: tuple[float, float]) -> Tensor:
    """Weights that fall in line with the distance from the ego origin: equation 12.

    Args:
        grid: of the frames.
        near_far: at the origin, and at R, the distance of the farthest voxel.

    Returns:
        (X, Y, Z) int32 in thousandths.
    """
    near, far = near_far
    distance_m = _centers_m(grid).norm(dim=-1)
    return _fixed(near - (near - far) * distance_m / distance_m.max(), grid)


def equal_weights(grid: VoxelGrid) -> Tensor:
    """1 everywhere, (X, Y, Z) int32 in thousandths: plain averaging."""
    return torch.full(grid.shape, UNIT, dtype=torch.int32)


def in_frustum(points_m: Tensor, cameras: Sequence[Camera]) -> Tensor:
    """Whether one camera at least sees points, equation 10: in front of it and inside its image.

    The image is that of the pinhole camera; distortion is left out.

    Args:
        points_m: (P, 3) float64 in the ego frame.
        cameras: by which they may be seen.

    Returns:
        (P,) bool.
    """
    seen = torch.zeros(len(points_m), dtype=torch.bool)
    for camera in cameras:
        K, base_T_camera = torch.from_numpy(camera.K), torch.from_numpy(camera.base_T_camera)
        size_hw_px = camera.height_px, camera.width_px
        _, visible = project_from_base(points_m, K[None], base_T_camera[None], size_hw_px)
        seen |= visible[0]
    return seen


def in_near_box(
    points_m: Tensor, grid: VoxelGrid, cameras: Sequence[Camera], size_m: Sequence[float]
) -> Tensor:
    """Whether points lie in the near box.

    Where all cameras look ahead or aside it begins at the ego origin, 0 ≤ x; where one looks back
    it is centred on the vehicle. Along y it is centred; along z it begins where the grid does,
    whose height is that of the box in SemanticKITTI and nuScenes.

    Args:
        points_m: (P, 3) in the ego frame.
        grid: of the voxels.
        cameras: of the rig.
        size_m: of the box along x, y and z.

    Returns:
        (P,) bool.
    """
    looks_back = any(camera.base_T_camera[0, 2] < -_ASIDE for camera in cameras)
    lower_x_m = -0.5 * size_m[0] if looks_back else 0.0
    offset_m = points_m - points_m.new_tensor((lower_x_m, -0.5 * size_m[1], grid.lower_m[2]))
    return ((offset_m >= 0.0) & (offset_m < offset_m.new_tensor(size_m))).all(dim=-1)


def _centers_m(grid: VoxelGrid) -> Tensor:
    return grid.centers_of(torch.arange(grid.num_voxels))  # (X·Y·Z, 3)


def _fixed(weights: Tensor, grid: VoxelGrid) -> Tensor:
    return (UNIT * weights).round().to(torch.int32).view(grid.shape)  # (X, Y, Z)
