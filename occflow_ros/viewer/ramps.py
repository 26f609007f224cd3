"""Colors of the page: 256 steps for each thing that a color can show."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from occflow_ros.geometry.camera import Image
from occflow_ros.viz.palette import (
    FASTEST_MPS,
    class_table,
    direction_colors,
    height_colors,
    speed_colors,
)

STEPS = 256


def ramps(class_names: Sequence[str]) -> dict[str, Image]:
    """(256, 3) RGB by what it shows.

    height: from the bottom to the top of the grid. probability: from 0 to 1. speed: from 0 to
    `FASTEST_MPS`. direction: from -π to π, counter-clockwise from ahead. class: by number, of these
    names.
    """
    fraction = np.linspace(0.0, 1.0, STEPS)
    turn = (2.0 * fraction - 1.0) * np.pi
    return {
        "height": height_colors(fraction),
        "probability": _color_map(cv2.COLORMAP_VIRIDIS),
        "speed": speed_colors(fraction * FASTEST_MPS),
        "direction": direction_colors(np.stack((np.cos(turn), np.sin(turn)), axis=-1)),
        "class": class_table(class_names),
    }


def _color_map(number: int) -> Image:
    steps = np.arange(STEPS, dtype=np.uint8)
    return np.asarray(cv2.applyColorMap(steps, number)[:, 0, ::-1], dtype=np.uint8)  # (256, 3)
