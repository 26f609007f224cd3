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

UNKNOWN_CLASS: Color = (140, 144, 150)
CLASS_COLORS: dict[str, Color] = {
    "others": UNKNOWN_CLASS,
    "barrier": (214, 132, 72),
    "bicycle": (236, 72, 153),
    "bus": (255, 204, 0),
    "car": (64, 156, 255),
    "construction_vehicle": (180, 140, 30),
    "motorcycle": (200, 80, 220),
    "pedestrian": (255, 70, 70),
    "traffic_cone": (255, 120, 0),
    "trailer": (100, 120, 220),
    "truck": (0, 200, 200),
    "driveable_surface": (86, 92, 104),
    "other_flat": (118, 104, 92),
    "sidewalk": (160, 130, 150),
    "terrain": (150, 170, 90),
    "manmade": (190, 182, 168),
    "vegetation": (60, 150, 70),
}
"""What can move is vivid, the ground and what stands on it muted."""

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
    return _ramp(np.asarray(fraction, dtype=np.float64), _HEIGHT_STOPS)


FASTEST_MPS = 15.0
"""From this speed on the color stays the same."""
_SPEED_STOPS = np.array(
    [(110, 120, 135), (70, 160, 255), (255, 214, 64), (235, 45, 45)], dtype=np.float64
)


def speed_colors(speed_mps: npt.ArrayLike) -> Image:
    """Gray at 0, over blue and yellow to red at `FASTEST_MPS`: (...) to (..., 3)."""
    return _ramp(np.asarray(speed_mps, dtype=np.float64) / FASTEST_MPS, _SPEED_STOPS)


def _ramp(position: npt.NDArray[np.float64], colors: npt.NDArray[np.float64]) -> Image:
    """Positions 0 to 1 (...) on evenly spaced colors (n, 3), clipped, to (..., 3)."""
    stops = np.linspace(0.0, 1.0, len(colors))
    channels = [np.interp(position, stops, channel) for channel in colors.T]
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
