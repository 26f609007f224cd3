"""What LiDAR rays prove free, and what the cameras of a set see of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from occflow_ros.data.drive import Camera, CameraSet, Drive
from occflow_ros.geometry import se3
from occflow_ros.labels.ground import Ground
from occflow_ros.labels.sweeps import Rays
from occflow_ros.ops.voxel_carve import carve
from occflow_ros.structures import VoxelGrid

RAYS_PER_VOXEL = 2
"""Rays of a camera are at most the edge of a voxel over this apart, wherever in the grid."""

Mask = npt.NDArray[np.bool_]


def crossed_by_rays(grid: VoxelGrid, base_T_odom: se3.Array, sweeps: Sequence[Rays]) -> Mask:
    """Voxels (X, Y, Z) that rays of sweeps cross before the voxel of their return."""
    crossed = np.zeros(grid.shape, dtype=bool)
    nothing = np.zeros(grid.shape, dtype=bool)
    for rays in sweeps:
        origin_m = se3.transform_points(base_T_odom, rays.origin_m)
        for points_m in (rays.static_m, rays.other_m):
            ends_m = se3.transform_points(base_T_odom, points_m)
            crossed |= carve(nothing, grid, origin_m, ends_m)
    return crossed


def layers_above_ground(grid: VoxelGrid, ground: Ground) -> npt.NDArray[np.float64]:
    """How many layers (X, Y, Z) a voxel lies above the one that holds the ground of its column."""
    centers_m = grid.centers_m()[:, :, 0].double().numpy()  # (X, Y, 3)
    layer = np.floor((ground.at(centers_m) - grid.lower_m[2]) / grid.voxel_size_m[2])
    layers = np.arange(grid.shape[2], dtype=np.float64)
    above: npt.NDArray[np.float64] = layers - layer[..., None]  # (X, Y, Z)
    return above


def seen_by_cameras(grid: VoxelGrid, blocked: Mask, drive: Drive, camera_set: CameraSet) -> Mask:
    """Voxels (X, Y, Z) that rays of a set's images cross up to the first blocked one.

    Images are taken where their cameras were at their own stamps.
    """
    base_T_odom = se3.inverse(camera_set.odom_T_base)
    seen = np.zeros(grid.shape, dtype=bool)
    for name, image in camera_set.images.items():
        camera = drive.cameras[name]
        base_T_camera = base_T_odom @ image.odom_T_base @ camera.base_T_camera
        origin_m = base_T_camera[:3, 3]
        reach_m = _reach_m(grid, origin_m)
        directions = _directions(camera, min(grid.voxel_size_m) / RAYS_PER_VOXEL / reach_m)
        ends_m = origin_m + reach_m * directions @ base_T_camera[:3, :3].T
        seen |= carve(blocked, grid, origin_m, ends_m)
    return seen


def _reach_m(grid: VoxelGrid, origin_m: se3.Array) -> float:
    """Distance of the grid's farthest corner."""
    lower_m, upper_m = np.array(grid.lower_m), np.array(grid.upper_m)
    return float(np.linalg.norm(np.maximum(origin_m - lower_m, upper_m - origin_m)))


def _directions(camera: Camera, spacing_rad: float) -> se3.Array:
    """Unit vectors (R, 3) in the optical frame through every n-th pixel, lens undistorted.

    Neighbours are at most `spacing_rad` apart, or as near as pixels are.
    """
    focal_px = float(max(camera.K[0, 0], camera.K[1, 1]))
    step_px = max(int(spacing_rad * focal_px), 1)
    u, v = np.meshgrid(_ticks(camera.width_px, step_px), _ticks(camera.height_px, step_px))
    pixels = np.stack((u, v, np.ones_like(u)), axis=-1).reshape(-1, 3)  # (R, 3)
    rays = pixels @ np.linalg.inv(camera.K).T
    directions: se3.Array = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return directions


def _ticks(count_px: int, step_px: int) -> se3.Array:
    """Pixels from the first to the last, evenly and at most a step apart."""
    steps = -(-(count_px - 1) // step_px)
    return np.linspace(0.0, count_px - 1.0, steps + 1)
