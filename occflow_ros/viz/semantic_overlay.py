"""What a prediction says is where, drawn over the image of a camera."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from occflow_ros.data.scene import VoxelScene
from occflow_ros.engine.assemble import View
from occflow_ros.geometry import se3
from occflow_ros.geometry.camera import Image, pixel_rays
from occflow_ros.ops.voxel_raycast import cast_rays
from occflow_ros.structures import VoxelGrid
from occflow_ros.viz.palette import class_table

_OPACITY = 0.6
_EDGE_SHADE = 0.55
_FACE_SHADE = np.array((0.72, 0.84, 1.0))  # of faces across x, y, z
_NEAR_M = 2.0
"""Depth from which on voxels are drawn: nearer ones are of the vehicle, or hold the camera."""


def draw_overlay(view: View, odom_T_base: se3.Array, scene: VoxelScene) -> Image:
    """The first occupied voxel behind each pixel in the color of its class, over the image.

    Args:
        view: rectified image, intrinsics, and where its camera was when it was taken.
        odom_T_base: (4, 4) pose of the ego frame that the scene lies in.
        scene: with classes.

    Returns:
        (H, W, 3) of the image's size; where a pixel meets no voxel, the image as it is.

    Raises:
        ValueError: where the scene has no classes.
    """
    class_id = class_id_of(scene)
    height, width = view.image.shape[:2]
    odom_T_camera = view.odom_T_base @ view.base_T_camera
    base_T_camera = se3.inverse(odom_T_base) @ odom_T_camera
    rays = pixel_rays(torch.from_numpy(view.K).double(), height, width).numpy()  # (H, W, 3)
    directions = rays.reshape(-1, 3) @ base_T_camera[:3, :3].T  # (H·W, 3)
    starts_m = base_T_camera[:3, 3] + _NEAR_M * directions
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    hits = cast_rays(scene.occupied, scene.grid, starts_m, directions)
    met = hits.index >= 0
    points_m = starts_m[met] + hits.distance_m[met, None] * directions[met]
    lit = np.zeros((height * width, 3))
    lit[met] = class_table(scene.class_names)[class_id.reshape(-1)[hits.index[met]]]
    lit[met] *= _FACE_SHADE[_entered(points_m, hits.index[met], scene.grid), None]
    index, met = hits.index.reshape(height, width), met.reshape(height, width)
    lit = lit.reshape(height, width, 3)
    lit[_edges(index)] *= _EDGE_SHADE
    mixed = (1.0 - _OPACITY) * view.image + _OPACITY * lit
    return np.where(met[..., None], np.round(mixed), view.image).astype(np.uint8)


def class_id_of(scene: VoxelScene) -> npt.NDArray[np.uint8]:
    """(X, Y, Z); raises ValueError where the scene has no classes."""
    if scene.class_id is None:
        raise ValueError("scene: expected classes, got none")
    return scene.class_id


def _entered(points_m: se3.Array, index: npt.NDArray[np.int64], grid: VoxelGrid) -> npt.NDArray:
    """Axis (R,) of the face of its voxel on which each point lies."""
    centers_m = grid.centers_of(torch.from_numpy(index)).numpy()
    from_center = np.abs(points_m - centers_m) / np.array(grid.voxel_size_m)
    return from_center.argmax(axis=1)


def _edges(index: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(H, W) pixels at whose right or lower side another voxel begins."""
    edges = np.zeros(index.shape, bool)
    edges[:, :-1] |= index[:, 1:] != index[:, :-1]
    edges[:-1] |= index[1:] != index[:-1]
    return edges
