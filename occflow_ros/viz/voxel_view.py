"""Occupancy and flow in 3D, seen from behind and above the vehicle.

A painter's algorithm over the visible faces: in a regular grid, going from the cells farthest from
the eye to the nearest, axis by axis, never draws a face before one that it hides.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from occflow_ros.data.scene import VoxelScene
from occflow_ros.geometry.camera import Image
from occflow_ros.geometry.se3 import Array, from_rotation_translation, inverse, transform_points
from occflow_ros.structures import VoxelGrid
from occflow_ros.viz.canvas import SUBPIXEL_BITS, blank
from occflow_ros.viz.palette import BACKGROUND, EGO, direction_colors, height_colors

_SUPERSAMPLING = 2
_NEAR_M = 1.0
_HAZE_M = 260.0  # distance at which a face has faded into the background by 1 - 1/e
_EDGE_SHADE = 0.72
_FACE_SHADE = ((0.62, 0.86), (0.70, 0.78), (0.4, 1.0))  # of the (−, +) faces along x, y, z
_EGO_BOX_M = ((-2.4, -0.8, 0.0), (2.4, 0.8, 1.6))
# Corners of a unit cell's face across each axis, in order around the face.
_CORNERS = np.array(
    [
        [(0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1)],
        [(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)],
        [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)],
    ]
)


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """Where the picture is taken from, in the ego frame.

    Args:
        eye_m: position of the eye.
        target_m: the point in the middle of the picture.
        fov_deg: horizontal field of view.
    """

    eye_m: tuple[float, float, float] = (-48.0, 15.0, 36.0)
    target_m: tuple[float, float, float] = (2.0, 0.0, -5.0)
    fov_deg: float = 60.0


def draw_voxels(
    scene: VoxelScene,
    height_px: int,
    width_px: int,
    viewpoint: Viewpoint | None = None,
    colors: Image | None = None,
) -> Image:
    """Every visible face of the occupied voxels; the vehicle stands in white at the origin.

    Args:
        scene: what to draw.
        height_px: of the picture.
        width_px: of the picture.
        viewpoint: None: from behind and above.
        colors: (X, Y, Z, 3) of the voxels; None: by height, or by direction of motion.
    """
    viewpoint = viewpoint or Viewpoint()
    image = blank(height_px * _SUPERSAMPLING, width_px * _SUPERSAMPLING, BACKGROUND)
    ego = _ego_voxels(scene.grid)
    faces = _visible_faces(scene.occupied | ego, scene.grid, np.array(viewpoint.eye_m))
    quads_m = _quads_m(faces, scene.grid)
    pixels, depth_m = _project(quads_m, viewpoint, image.shape[:2])
    voxel_colors = _by_height_and_motion(scene) if colors is None else colors.copy()
    voxel_colors[ego] = EGO
    lit = _shaded(faces, voxel_colors, depth_m.mean(axis=1))
    _paint(image, pixels, lit, _in_picture(pixels, depth_m, image.shape[:2]))
    scaled = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(scaled, dtype=np.uint8)


def _ego_voxels(grid: VoxelGrid) -> npt.NDArray[np.bool_]:
    centers = grid.centers_m().numpy()
    lower, upper = np.array(_EGO_BOX_M)
    return ((centers > lower) & (centers < upper)).all(axis=-1)


def _by_height_and_motion(scene: VoxelScene) -> Image:
    levels = height_colors((np.arange(scene.grid.shape[2]) + 0.5) / scene.grid.shape[2])
    colors = np.broadcast_to(levels, (*scene.grid.shape, 3)).copy()  # (X, Y, Z, 3)
    colors[scene.moving] = direction_colors(scene.velocity_mps[scene.moving])
    return colors


def _visible_faces(
    filled: npt.NDArray[np.bool_], grid: VoxelGrid, eye_m: npt.NDArray
) -> npt.NDArray[np.int64]:
    """Faces towards the eye without a neighbour on them, far to near: rows x, y, z, axis, side."""
    eye_cell = np.floor((eye_m - grid.lower_m) / grid.voxel_size_m).astype(int)
    padded = np.pad(filled, 1)
    rows = []
    for axis in range(3):
        index = np.arange(grid.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
        for side, towards_eye in ((0, index > eye_cell[axis]), (1, index < eye_cell[axis])):
            neighbour = np.roll(padded, 1 - 2 * side, axis=axis)[1:-1, 1:-1, 1:-1]
            cells = np.argwhere(filled & ~neighbour & towards_eye)
            rows.append(np.column_stack((cells, np.tile((axis, side), (len(cells), 1)))))
    faces = np.concatenate(rows)
    away = np.abs(faces[:, :3] - eye_cell)
    return faces[np.lexsort((-away[:, 2], -away[:, 1], -away[:, 0]))]


def _quads_m(faces: npt.NDArray[np.int64], grid: VoxelGrid) -> Array:
    """Corners of each face in the ego frame, (F, 4, 3)."""
    axis, side = faces[:, 3], faces[:, 4]
    corners = faces[:, None, :3] + _CORNERS[axis]  # (F, 4, 3)
    corners[np.arange(len(faces)), :, axis] += side[:, None]
    return corners * np.array(grid.voxel_size_m) + np.array(grid.lower_m)


def _project(
    quads_m: Array, viewpoint: Viewpoint, size_hw_px: tuple[int, ...]
) -> tuple[Array, Array]:
    """Pixels (F, 4, 2) and depths (F, 4) of the corners."""
    height, width = size_hw_px
    focal_px = 0.5 * width / np.tan(np.radians(viewpoint.fov_deg) / 2.0)
    points = transform_points(_camera_from_base(viewpoint), quads_m)
    depth_m = points[..., 2]
    pixels = points[..., :2] / np.maximum(depth_m, _NEAR_M)[..., None] * focal_px
    return pixels + np.array((width / 2.0 - 0.5, height / 2.0 - 0.5)), depth_m


def _camera_from_base(viewpoint: Viewpoint) -> Array:
    """camera_T_base (4, 4), ego frame to the optical frame of the eye."""
    forward = np.subtract(viewpoint.target_m, viewpoint.eye_m)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right = right / np.linalg.norm(right)
    rotation = np.column_stack((right, np.cross(forward, right), forward))
    return inverse(from_rotation_translation(rotation, viewpoint.eye_m))


def _in_picture(
    pixels: Array, depth_m: Array, size_hw_px: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    height, width = size_hw_px
    inside = (pixels.max(axis=1) >= 0).all(axis=-1) & (
        pixels.min(axis=1) < np.array((width, height))
    ).all(axis=-1)
    return inside & (depth_m > _NEAR_M).all(axis=1)


def _shaded(faces: npt.NDArray[np.int64], voxel_colors: Image, depth_m: Array) -> Array:
    x, y, z, axis, side = faces.T
    shade = np.array(_FACE_SHADE)[axis, side]
    clear = np.exp(-depth_m / _HAZE_M)[:, None]
    lit = voxel_colors[x, y, z] * shade[:, None]
    return lit * clear + np.array(BACKGROUND) * (1.0 - clear)  # (F, 3)


def _paint(image: Image, pixels: Array, colors: Array, chosen: npt.NDArray[np.bool_]) -> None:
    corners = np.round(pixels[chosen] * (1 << SUBPIXEL_BITS)).astype(np.int32)
    fills = colors[chosen].tolist()
    edges = (colors[chosen] * _EDGE_SHADE).tolist()
    for quad, fill, edge in zip(corners, fills, edges):
        cv2.fillConvexPoly(image, quad, fill, cv2.LINE_8, SUBPIXEL_BITS)
        cv2.polylines(image, [quad], True, edge, 1, cv2.LINE_8, SUBPIXEL_BITS)
