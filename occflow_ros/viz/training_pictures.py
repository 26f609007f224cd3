"""What a network in training sees, camera by camera in rows, and what it makes of the ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from occflow_ros.data.scene import VoxelScene
from occflow_ros.geometry.camera import Image
from occflow_ros.structures import VoxelGrid
from occflow_ros.viz.birds_eye import draw_birds_eye
from occflow_ros.viz.canvas import beside, blank, draw_text, text_width_px, titled
from occflow_ros.viz.legend import draw_legend
from occflow_ros.viz.mosaic import arrange
from occflow_ros.viz.palette import MUTED, PANEL, Color, direction_colors

MOVABLE: Color = (250, 204, 21)
DYNAMIC: Color = (239, 68, 68)

_WIDTH_PX = 1840
_MAX_CELL_WIDTH_PX = 640
_GROUND_HEIGHT_PX = 560
_GAP_PX = 4
_SHARE = 0.55
"""Of a mask's colour over the image."""

_SCALE_HW_PX = (10, 200)
_POINT_PX = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One thing for all cameras.

    Args:
        title: of the row.
        cells: (H, W, 3) RGB by camera; a camera may be missing.
        note: beside the title.
        scale: strip (h, w, 3) that explains the colours, beside the note.
    """

    title: str
    cells: Mapping[str, Image]
    note: str = ""
    scale: Image | None = None


def draw_training_picture(
    title: str,
    rows: Sequence[Row],
    forward_xy: Mapping[str, npt.ArrayLike],
    prediction: VoxelScene,
    truth: VoxelScene | None,
) -> Image:
    """Rows with a column for each camera, and bird's-eye views where there is room for them.

    Args:
        title: of the whole picture.
        rows: from top to bottom.
        forward_xy: where each camera looks, along ego x and y; orders the columns.
        prediction: what the network says.
        truth: the same from the source, None where the source has none.
    """
    looks = {name: np.asarray(vector) for name, vector in forward_xy.items()}
    order = [name for row in arrange(looks) for name in row]
    cameras = np.vstack([_names(order), *(_draw_row(row, order) for row in rows)])
    ground = _ground(prediction, truth)
    if cameras.shape[1] + 4 * _GAP_PX + ground.shape[1] <= _WIDTH_PX:
        height = max(cameras.shape[0], ground.shape[0])
        body = [beside([_lengthened(part, height) for part in (cameras, ground)], 4 * _GAP_PX)]
    else:
        body = [cameras, ground]
    legend = draw_legend(prediction.grid, _WIDTH_PX, _pixels_per_m(prediction.grid))
    return np.vstack([_heading(title), *(_widened(part) for part in body), legend])


def depth_colors(depth_m: npt.ArrayLike, near_m: float, far_m: float) -> Image:
    """Depth (...) to (..., 3), near red and far blue by its logarithm, PANEL where not finite."""
    depth = np.asarray(depth_m, dtype=np.float64)
    known = np.isfinite(depth)
    limited = np.clip(np.where(known, depth, far_m), near_m, far_m)
    share = 1.0 - np.log(limited / near_m) / np.log(far_m / near_m)
    return np.where(known[..., None], _turbo(share), np.array(PANEL)).astype(np.uint8)


def depth_scale(near_m: float, far_m: float) -> Image:
    """The colours of `depth_colors` from near to far."""
    depth_m = np.geomspace(near_m, far_m, _SCALE_HW_PX[1])
    return depth_colors(np.broadcast_to(depth_m, _SCALE_HW_PX), near_m, far_m)


def motion_colors(motion: npt.ArrayLike, full: float) -> Image:
    """Vectors (..., 2) to (..., 3): hue by direction as in the bird's-eye view, bright by length.

    Args:
        motion: along ego x and y; or, of pixels, upwards and to the left; NaN gives PANEL.
        full: length with full brightness.
    """
    vectors = np.asarray(motion, dtype=np.float64)
    known = np.isfinite(vectors).all(axis=-1, keepdims=True)
    vectors = np.where(known, vectors, 0.0)
    share = np.clip(np.linalg.norm(vectors, axis=-1, keepdims=True) / full, 0.0, 1.0)
    return np.where(known, direction_colors(vectors) * share, np.array(PANEL)).astype(np.uint8)


def overlay(image: Image, masks: Mapping[Color, npt.NDArray[np.bool_]]) -> Image:
    """The image (H, W, 3) with colours over the pixels of masks of any size, the last one wins."""
    height, width = image.shape[:2]
    result = image.copy()
    for color, mask in masks.items():
        fitted = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        chosen = np.asarray(fitted) > 0
        result[chosen] = np.round(image[chosen] * (1.0 - _SHARE) + np.array(color) * _SHARE)
    return result


def draw_points(
    image_hw_px: tuple[int, int],
    pixels: npt.NDArray[np.floating],
    colors: npt.NDArray[np.uint8],
) -> Image:
    """Points (P, 2) at u, v in their colours (P, 3), the last ones on top."""
    image = blank(*image_hw_px, PANEL)
    half = _POINT_PX // 2
    for (u, v), color in zip(np.round(pixels).astype(int).tolist(), colors.tolist()):
        image[max(v - half, 0) : max(v + half, 0), max(u - half, 0) : max(u + half, 0)] = color
    return image


def _turbo(share: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    index = np.round(share * 255.0).astype(np.uint8)
    table: Any = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)
    colors: npt.NDArray[np.uint8] = table[:, 0, ::-1][index]
    return colors


def _heading(title: str) -> Image:
    strip = blank(36, _WIDTH_PX)
    draw_text(strip, title, (6, 25), bold=True, cap_height_px=12)
    return strip


def _names(order: Sequence[str]) -> Image:
    strip = blank(18, _left_px(len(order), len(order)))
    for column, name in enumerate(order):
        draw_text(strip, name, (_left_px(column, len(order)) + 2, 13), MUTED, 7)
    return strip


def _draw_row(row: Row, order: Sequence[str]) -> Image:
    shapes = [image.shape for image in row.cells.values()]
    width = _cell_width_px(len(order))
    height = max([round(width * shape[0] / shape[1]) for shape in shapes], default=width // 2)
    canvas = blank(height + _GAP_PX, _left_px(len(order), len(order)))
    for column, name in enumerate(order):
        left = _left_px(column, len(order))
        canvas[:height, left : left + width] = _fitted(row.cells.get(name), height, width)
    return np.vstack((_row_title(row, canvas.shape[1]), canvas))


def _row_title(row: Row, width_px: int) -> Image:
    strip = blank(24, width_px)
    draw_text(strip, row.title, (6, 17), bold=True, cap_height_px=9)
    left = text_width_px(row.title, 9) + 36  # bold text is a little wider
    draw_text(strip, row.note, (left, 17), MUTED, 8)
    if row.scale is not None:
        left += text_width_px(row.note, 8) + 16
        height, width = row.scale.shape[:2]
        strip[8 : 8 + height, left : left + width] = row.scale
    return strip


def _fitted(image: Image | None, height_px: int, width_px: int) -> Image:
    if image is None:
        return blank(height_px, width_px, PANEL)
    # Colours stand for values, so nothing between them may appear.
    method = cv2.INTER_AREA if image.shape[1] > width_px else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, (width_px, height_px), interpolation=method), np.uint8)


def _cell_width_px(columns: int) -> int:
    return min(_MAX_CELL_WIDTH_PX, (_WIDTH_PX - _GAP_PX * (columns - 1)) // columns)


def _left_px(column: int, columns: int) -> int:
    return column * (_cell_width_px(columns) + _GAP_PX)


def _ground(prediction: VoxelScene, truth: VoxelScene | None) -> Image:
    scenes = {"Prediction from above": prediction, "Truth from above": truth}
    views = [
        titled(draw_birds_eye(scene, _GROUND_HEIGHT_PX), name)
        for name, scene in scenes.items()
        if scene is not None
    ]
    return beside(views, 3 * _GAP_PX)


def _pixels_per_m(grid: VoxelGrid) -> float:
    return _GROUND_HEIGHT_PX / (grid.upper_m[0] - grid.lower_m[0])


def _lengthened(image: Image, height_px: int) -> Image:
    return np.vstack((image, blank(max(0, height_px - image.shape[0]), image.shape[1])))


def _widened(image: Image) -> Image:
    room = blank(image.shape[0], max(0, _WIDTH_PX - image.shape[1]))
    return np.hstack((image, room))[:, :_WIDTH_PX]
