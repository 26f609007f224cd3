"""Occupancy and flow from above: ego x points up, ego y to the left."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from occflow_ros.data.scene import VoxelScene
from occflow_ros.geometry.camera import Image
from occflow_ros.structures import VoxelGrid
from occflow_ros.viz.canvas import SUBPIXEL_BITS, draw_arrow, draw_text
from occflow_ros.viz.palette import ARROW, EGO, MUTED, PANEL, RING, direction_colors, height_colors

RING_STEP_M = 10.0
ARROW_S = 1.0  # arrows show the way travelled in this time
_ARROW_PATCH_M = 12.0
_EGO_OUTLINE_M = ((2.4, 0.0), (1.2, 1.0), (-2.4, 1.0), (-2.4, -1.0), (1.2, -1.0))


def draw_birds_eye(scene: VoxelScene, height_px: int, colors: Image | None = None) -> Image:
    """The highest voxel of each column.

    Args:
        scene: what to draw.
        height_px: of the picture; its width follows the grid.
        colors: (X, Y, Z, 3) of the voxels; None: by height or, where it moves, by direction.
    """
    pixels = GroundPixels(scene.grid, height_px)
    image = _columns(scene, pixels, colors)
    _draw_rings(image, pixels)
    _draw_flow(image, scene, pixels)
    outline = np.round(pixels.of(np.array(_EGO_OUTLINE_M)) * (1 << SUBPIXEL_BITS))
    cv2.fillConvexPoly(image, outline.astype(np.int32), EGO, cv2.LINE_AA, SUBPIXEL_BITS)
    return image


class GroundPixels:
    """Where a point of the ground plane lies in the bird's-eye picture.

    Args:
        grid: its x range fills the height of the picture.
        height_px: of the picture.
    """

    def __init__(self, grid: VoxelGrid, height_px: int) -> None:
        self.per_m = height_px / (grid.upper_m[0] - grid.lower_m[0])
        self.size_hw_px = (height_px, round((grid.upper_m[1] - grid.lower_m[1]) * self.per_m))
        self._upper_xy_m = np.array(grid.upper_m[:2])

    def of(self, points_xy_m: npt.NDArray) -> npt.NDArray[np.float64]:
        """Ego x, y (..., 2) to pixel u, v (..., 2), pixel centres at whole numbers."""
        from_corner = (self._upper_xy_m - points_xy_m) * self.per_m - 0.5
        return from_corner[..., ::-1]


def _columns(scene: VoxelScene, pixels: GroundPixels, voxel_colors: Image | None) -> Image:
    filled = scene.occupied.any(axis=2)
    top = scene.occupied.shape[2] - 1 - scene.occupied[:, :, ::-1].argmax(axis=2)  # (X, Y)
    if voxel_colors is None:
        colors = height_colors((top + 0.5) / scene.occupied.shape[2])
        moving = scene.moving.any(axis=2)
        colors[moving] = direction_colors(column_velocity(scene)[moving])
    else:
        colors = np.take_along_axis(voxel_colors, top[..., None, None], axis=2)[:, :, 0]
    colors[~filled] = PANEL
    seen_from_above = np.ascontiguousarray(colors[::-1, ::-1])  # x falls by row, y by column
    height, width = pixels.size_hw_px
    scaled = cv2.resize(seen_from_above, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(scaled, dtype=np.uint8)


def column_velocity(scene: VoxelScene) -> npt.NDArray[np.float64]:
    """Mean velocity of the moving voxels of each column, (X, Y, 2); zero where none moves."""
    moving = scene.moving
    total = (scene.velocity_mps * moving[..., None]).sum(axis=2, dtype=np.float64)
    return total / np.maximum(moving.sum(axis=2), 1)[..., None]


def _draw_rings(image: Image, pixels: GroundPixels) -> None:
    center = pixels.of(np.zeros(2))
    reach_m = max(image.shape[:2]) / pixels.per_m * 1.5
    rings = image.copy()
    for radius_m in np.arange(RING_STEP_M, reach_m, RING_STEP_M):
        fixed = (int(value) for value in np.round(center * (1 << SUBPIXEL_BITS)))
        radius = round(radius_m * pixels.per_m * (1 << SUBPIXEL_BITS))
        cv2.circle(rings, tuple(fixed), radius, RING, 1, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.addWeighted(rings, 0.6, image, 0.4, 0.0, dst=image)
    for radius_m in np.arange(RING_STEP_M, reach_m, RING_STEP_M):
        u, v = pixels.of(np.array((0.0, -radius_m)))
        if u + 4 < image.shape[1]:
            draw_text(image, f"{radius_m:.0f} m", (round(u) - 28, round(v) - 4), MUTED, 7)


def _draw_flow(image: Image, scene: VoxelScene, pixels: GroundPixels) -> None:
    for position_m, velocity_mps in arrows(scene):
        start, end = pixels.of(np.stack((position_m, position_m + velocity_mps * ARROW_S)))
        draw_arrow(image, start, end, ARROW)


def arrows(scene: VoxelScene) -> list[tuple[npt.NDArray, npt.NDArray]]:
    """Mean position and velocity of each connected patch of moving columns.

    A patch longer than `_ARROW_PATCH_M` gets one arrow for each square of that size.
    """
    labels, _ = ndimage.label(scene.moving.any(axis=2), structure=np.ones((3, 3)))
    velocities_mps = column_velocity(scene)
    size_m = np.array(scene.grid.voxel_size_m[:2])
    arrows = []
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        cells = np.argwhere(labels[rows, columns] == label)  # (M, 2)
        index = cells + np.array((rows.start, columns.start))
        positions_m = np.array(scene.grid.lower_m[:2]) + (index + 0.5) * size_m
        squares = np.floor(cells * size_m / _ARROW_PATCH_M).astype(int)
        _, square = np.unique(squares, axis=0, return_inverse=True)
        for number in range(square.max() + 1):
            chosen = square.reshape(-1) == number
            velocity_mps = velocities_mps[tuple(index[chosen].T)].mean(axis=0)
            arrows.append((positions_m[chosen].mean(axis=0), velocity_mps))
    return arrows
