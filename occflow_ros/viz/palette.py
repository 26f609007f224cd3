"""Colours shared by every picture: height in muted tones, the direction of motion in vivid ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from occflow_ros.geometry.camera import Image

Color = tuple[int, int, int]

BACKGROUND: Color = (15, 20, 29)
PANEL: Color = (22, 29, 41)
RING: Color = (118, 134, 158)
TEXT: Color = (226, 232, 240)
MUTED: Color = (139, 152, 172)
EGO: Color = (255, 255, 255)
ARROW: Color = (255, 255, 255)

_SATURATION = 0.8
_HEIGHT_STOPS = np.array(
    [
        (44, 60, 90),
        (62, 98, 130),
        (88, 138, 152),
        (140, 178, 166),
        (200, 212, 178),
        (248, 240, 205),
    ],
    dtype=np.float64,
)


def height_colors(fraction: npt.ArrayLike) -> Image:
    """Colour of a height, 0 at the bottom of the grid and 1 at its top: (...) to (..., 3)."""
    position = np.clip(np.asarray(fraction, dtype=np.float64), 0.0, 1.0)
    stops = np.linspace(0.0, 1.0, len(_HEIGHT_STOPS))
    channels = [np.interp(position, stops, _HEIGHT_STOPS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def direction_colors(velocity: npt.ArrayLike) -> Image:
    """Colour of a direction of motion, whatever its speed: (..., 2) along x and y to (..., 3).

    Forward (+x) is orange; the hue turns once around with the direction, counter-clockwise.
    """
    vectors = np.asarray(velocity, dtype=np.float64)
    turn = np.arctan2(vectors[..., 1], vectors[..., 0]) / (2.0 * np.pi) + 30.0 / 360.0
    sector = (turn[..., None] * 6.0 + np.array((5.0, 3.0, 1.0))) % 6.0
    share = np.clip(np.minimum(sector, 4.0 - sector), 0.0, 1.0)  # hue to RGB at full value
    return (255.0 * (1.0 - _SATURATION * share)).astype(np.uint8)
