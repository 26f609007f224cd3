"""What the colours and arrows of the pictures mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from occflow_ros.data.scene import MOVING_MPS
from occflow_ros.geometry.camera import Image
from occflow_ros.structures import VoxelGrid
from occflow_ros.viz.birds_eye import ARROW_S
from occflow_ros.viz.canvas import blank, draw_arrow, draw_text, text_width_px
from occflow_ros.viz.palette import (
    ARROW,
    BACKGROUND,
    EGO,
    MUTED,
    Color,
    direction_colors,
    height_colors,
)

_HEIGHT_PX = 74
_CLASS_ROW_PX = 24
_SWATCH_PX = 12
_WHEEL_RADIUS_PX = 24
_ARROW_MPS = 10.0


def draw_legend(grid: VoxelGrid, width_px: int, pixels_per_m: float) -> Image:
    """A strip: height scale, wheel of directions, length of an arrow, the vehicle.

    Args:
        grid: whose heights the scale spans.
        width_px: of the strip.
        pixels_per_m: of the bird's-eye picture that the arrows are drawn in.
    """
    image = blank(_HEIGHT_PX, width_px)
    _draw_height_scale(image, grid, left_px=8)
    _draw_direction_wheel(image, center_px=(round(width_px * 0.44), _HEIGHT_PX // 2))
    _draw_arrow_scale(image, round(width_px * 0.63), _ARROW_MPS * ARROW_S * pixels_per_m)
    left = width_px - 8 - text_width_px("this vehicle") - 24
    image[_HEIGHT_PX // 2 - 9 : _HEIGHT_PX // 2 + 9, left : left + 10] = EGO
    draw_text(image, "this vehicle", (left + 20, _HEIGHT_PX // 2 + 4), MUTED)
    return image


def draw_class_legend(colors: Mapping[str, Color], width_px: int) -> Image:
    """A strip, as many rows high as needed: the color of each class by its name."""
    gap_px = 22
    places, left, row = [], 8, 0
    texts = [name.replace("_", " ") for name in colors]
    for text in texts:
        needed_px = _SWATCH_PX + 6 + text_width_px(text)
        if left + needed_px > width_px and left > 8:
            left, row = 8, row + 1
        places.append((left, row))
        left += needed_px + gap_px
    image = blank((row + 1) * _CLASS_ROW_PX + 8, width_px)
    for text, color, (left, row) in zip(texts, colors.values(), places):
        top = 6 + row * _CLASS_ROW_PX
        image[top : top + _SWATCH_PX, left : left + _SWATCH_PX] = color
        draw_text(image, text, (left + _SWATCH_PX + 6, top + 10), MUTED)
    return image


def _draw_height_scale(image: Image, grid: VoxelGrid, left_px: int) -> None:
    width = 220
    bar = height_colors(np.linspace(0.0, 1.0, width))
    draw_text(image, "standing: height over the ego origin", (left_px, 16), MUTED)
    image[26:42, left_px : left_px + width] = bar
    lower, upper = grid.lower_m[2], grid.upper_m[2]
    for fraction in (0.0, 0.5, 1.0):
        label = f"{lower + fraction * (upper - lower):.1f} m"
        x = left_px + round(fraction * (width - text_width_px(label, 7)))
        draw_text(image, label, (x, 58), MUTED, 7)


def _draw_direction_wheel(image: Image, center_px: tuple[int, int]) -> None:
    """Hues by direction as seen from above: forward is up, left is left."""
    radius = _WHEEL_RADIUS_PX
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    colors = direction_colors(np.stack((-rows, -columns), axis=-1))
    distance = np.hypot(rows, columns)[..., None]
    alpha = np.clip(radius + 0.5 - distance, 0, 1) * np.clip(distance - radius * 0.45, 0, 1)
    u, v = center_px
    area = image[v - radius : v + radius + 1, u - radius : u + radius + 1]
    area[:] = np.round(colors * alpha + np.array(BACKGROUND) * (1.0 - alpha))
    draw_text(image, "moving: direction", (u + radius + 12, v - 4), MUTED)
    draw_text(image, f"faster than {MOVING_MPS} m/s", (u + radius + 12, v + 14), MUTED, 7)


def _draw_arrow_scale(image: Image, left_px: int, length_px: float) -> None:
    middle = _HEIGHT_PX // 2
    draw_arrow(image, (left_px, middle), (left_px + length_px, middle), ARROW)
    draw_text(image, f"{_ARROW_MPS:.0f} m/s", (left_px, middle - 12), MUTED)
    draw_text(image, f"way in {ARROW_S:.0f} s, from above", (left_px, middle + 22), MUTED, 7)
