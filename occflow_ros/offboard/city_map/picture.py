"""A map from above as a picture: x points right, y points up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from occflow_ros.geometry.camera import Image
from occflow_ros.geometry.se3 import Array
from occflow_ros.offboard.city_map.columns import NOWHERE, Columns
from occflow_ros.offboard.city_map.store import CityMap, MapInfo
from occflow_ros.structures import UNKNOWN_CLASS_ID
from occflow_ros.viz.canvas import SUBPIXEL_BITS, blank, draw_text, text_width_px
from occflow_ros.viz.figure import framed, heading
from occflow_ros.viz.legend import draw_class_legend
from occflow_ros.viz.palette import BACKGROUND, EGO, MUTED, TEXT, Color, class_table

_LONGEST_PX = 2000
_NARROWEST_PX = 640
_SCALE_STRIP_PX = 44
_SHADE_PER_VOXEL = 0.08
_SHADES = (0.55, 1.3)
_WAY_OUTLINE: Color = (10, 14, 20)
_FREE_COLUMN: Color = (58, 66, 80)
_SEEN = "seen, nothing that stands still"


def draw_map(city: CityMap, columns: Columns, title: str, note: str = "") -> Image:
    """The highest voxel of each column by class, lit from the upper left, and where drives went.

    Args:
        city: the map.
        columns: of it.
        title: above the picture.
        note: below it, beside the scale.
    """
    info = city.info
    pixels_per_voxel = _LONGEST_PX / max(info.lattice.shape[:2])
    view = _scaled(_lit_classes(info, columns), info, pixels_per_voxel)
    per_m = view.shape[1] / (info.lattice.shape[0] * info.lattice.voxel_size_m[0])
    for way_m in info.ways_m:
        _draw_way(view, way_m, info, per_m)
    view = _padded(view)
    width = view.shape[1]
    names, table = info.vocabulary.names, class_table(info.vocabulary.names).tolist()
    seen = [number for number in np.unique(columns.class_id) if number < len(names)]
    legend = {names[number]: _color(table[number]) for number in seen} | {_SEEN: _FREE_COLUMN}
    rows = [heading(title, width), view, _scale_strip(width, per_m, note)]
    return framed([*rows, draw_class_legend(legend, width)])


def _lit_classes(info: MapInfo, columns: Columns) -> Image:
    """(Y, X, 3), row 0 at the largest y."""
    colors = class_table(info.vocabulary.names)[columns.class_id].astype(np.float64)  # (X, Y, 3)
    occupied = columns.class_id != UNKNOWN_CLASS_ID
    colors *= np.where(occupied, _shade(columns), 1.0)[..., None]
    colors[~occupied] = BACKGROUND
    colors[~occupied & columns.known] = _FREE_COLUMN
    image = np.clip(colors, 0.0, 255.0).astype(np.uint8)
    return np.ascontiguousarray(image.transpose(1, 0, 2)[::-1])  # (Y, X, 3)


def _shade(columns: Columns) -> Array:
    """Brightness (X, Y): what rises to the right and down faces away from the light."""
    filled = columns.top != NOWHERE
    floor = columns.top[filled].min() if filled.any() else 0
    height = np.where(filled, columns.top, floor).astype(np.float64)
    if min(height.shape) < 2:
        return np.ones(height.shape)
    along_x, along_y = np.gradient(height)
    return np.clip(1.0 + _SHADE_PER_VOXEL * (along_x - along_y), *_SHADES)


def _scaled(image: Image, info: MapInfo, pixels_per_voxel: float) -> Image:
    size_x, size_y, _ = info.lattice.voxel_size_m
    height, width = image.shape[:2]
    ratio = size_y / size_x
    size = max(1, round(width * pixels_per_voxel)), max(1, round(height * pixels_per_voxel * ratio))
    how = cv2.INTER_NEAREST if pixels_per_voxel >= 1.0 else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def _draw_way(view: Image, way_m: Array, info: MapInfo, per_m: float) -> None:
    lower_m = info.lattice.lower_m
    x = (way_m[:, 0] - lower_m[0]) * per_m - 0.5
    y = view.shape[0] - (way_m[:, 1] - lower_m[1]) * per_m - 0.5
    fixed = np.round(np.stack((x, y), axis=-1) * (1 << SUBPIXEL_BITS)).astype(np.int32)  # (T, 2)
    for color, width_px in ((_WAY_OUTLINE, 8), (EGO, 4)):
        cv2.polylines(view, [fixed], False, color, width_px, cv2.LINE_AA, SUBPIXEL_BITS)
    for color, radius_px in ((_WAY_OUTLINE, 10), (EGO, 7)):
        start, radius = tuple(fixed[0].tolist()), radius_px << SUBPIXEL_BITS
        cv2.circle(view, start, radius, color, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def _padded(view: Image) -> Image:
    """Wide enough for the words around it."""
    missing = max(0, _NARROWEST_PX - view.shape[1])
    left, right = (blank(view.shape[0], side) for side in (missing // 2, missing - missing // 2))
    return np.hstack((left, view, right))


def _scale_strip(width_px: int, per_m: float, note: str) -> Image:
    """A bar of round length, what the white line is, and the note."""
    strip = blank(_SCALE_STRIP_PX, width_px)
    length_m = _round_below(width_px / 5 / per_m)
    right = 8 + round(length_m * per_m)
    cv2.line(strip, (8, 30), (right, 30), TEXT, 2)
    for x in (8, right):
        cv2.line(strip, (x, 25), (x, 35), TEXT, 2)
    draw_text(strip, f"{length_m:g} m", (12, 20), TEXT)
    left = right + 40
    cv2.line(strip, (left, 26), (left + 30, 26), EGO, 2)
    cv2.circle(strip, (left, 26), 5, EGO, -1, cv2.LINE_AA)
    draw_text(strip, "way driven, from the dot", (left + 42, 30), MUTED)
    if note:
        draw_text(strip, note, (width_px - text_width_px(note) - 8, 30), MUTED)
    return strip


def _round_below(length: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not longer."""
    power = 10.0 ** math.floor(math.log10(length))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= length * (1 + 1e-9))


def _color(values: Sequence[int]) -> Color:
    red, green, blue = values
    return red, green, blue
