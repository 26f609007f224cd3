"""Colors of the page: 256 steps for each thing that a color can show."""

from __future__ import annotations

import cv2
import numpy as np

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.geometry.camera import Image
from occflow_ros.viz.palette import (
    CLASS_COLORS,
    FASTEST_MPS,
    UNKNOWN_CLASS,
    direction_colors,
    height_colors,
    speed_colors,
)

STEPS = 256


def ramps() -> dict[str, Image]:
    """(256, 3) RGB by what it shows.

    height: from the bottom to the top of the grid. probability: from 0 to 1. speed: from 0 to
    `FASTEST_MPS`. direction: from -π to π, counter-clockwise from ahead. class: by number.
    """
    fraction = np.linspace(0.0, 1.0, STEPS)
    turn = (2.0 * fraction - 1.0) * np.pi
    return {
        "height": height_colors(fraction),
        "probability": _color_map(cv2.COLORMAP_VIRIDIS),
        "speed": speed_colors(fraction * FASTEST_MPS),
        "direction": direction_colors(np.stack((np.cos(turn), np.sin(turn)), axis=-1)),
        "class": _class_colors(),
    }


def _class_colors() -> Image:
    known = [CLASS_COLORS[name] for name in NAMES[:FREE]]
    unknown = [UNKNOWN_CLASS] * (STEPS - len(known))
    return np.array(known + unknown, dtype=np.uint8)  # (256, 3)


def _color_map(number: int) -> Image:
    steps = np.arange(STEPS, dtype=np.uint8)
    return np.asarray(cv2.applyColorMap(steps, number)[:, 0, ::-1], dtype=np.uint8)  # (256, 3)
