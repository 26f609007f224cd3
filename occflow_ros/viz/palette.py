"""Colours shared by every picture: height in muted tones, the direction of motion in vivid ones."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

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
_EMPTY: Color = (0, 0, 0)

_SEMANTIC_KITTI: dict[str, Color] = {
    "empty": _EMPTY,
    "car": (100, 150, 245),
    "bicycle": (100, 230, 245),
    "motorcycle": (30, 60, 150),
    "truck": (80, 30, 180),
    "other-vehicle": (0, 0, 255),
    "person": (255, 30, 30),
    "bicyclist": (255, 40, 200),
    "motorcyclist": (150, 30, 90),
    "road": (255, 0, 255),
    "parking": (255, 150, 255),
    "sidewalk": (75, 0, 75),
    "other-ground": (175, 0, 75),
    "building": (255, 200, 0),
    "fence": (255, 120, 50),
    "vegetation": (0, 175, 0),
    "trunk": (135, 60, 0),
    "terrain": (150, 240, 80),
    "pole": (255, 240, 150),
    "traffic-sign": (255, 0, 0),
}
"""`color_map` of `config/semantic-kitti.yaml` in the data set's official API."""

CLASS_COLORS: dict[str, Color] = {
    **_SEMANTIC_KITTI,
    "others": (196, 199, 205),
    "barrier": _SEMANTIC_KITTI["fence"],
    "bus": (100, 80, 250),
    "construction_vehicle": _SEMANTIC_KITTI["other-vehicle"],
    "pedestrian": _SEMANTIC_KITTI["person"],
    "traffic_cone": _SEMANTIC_KITTI["pole"],
    "trailer": (0, 90, 180),
    "driveable_surface": _SEMANTIC_KITTI["road"],
    "other_flat": _SEMANTIC_KITTI["other-ground"],
    "manmade": _SEMANTIC_KITTI["building"],
    "free": _EMPTY,
}
"""The classes of SemanticKITTI and of nuScenes by name, alike where they mean the same."""

_CANDIDATES = 99
_GOLDEN = 0.6180339887498949
_SHADES = np.array((1.0, 0.75, 0.5))
_DISTINCT = 40.0
"""Distance in RGB from which on colors count as different."""

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


def class_colors(names: Sequence[str]) -> Image:
    """Color of each class, (n, 3).

    A name that `CLASS_COLORS` lacks gets one of its own: the same wherever it occurs, unless that
    looks like the one of a foreign name before it.
    """
    colors = np.zeros((len(names), 3), np.uint8)
    taken = np.array([BACKGROUND, UNKNOWN_CLASS, *CLASS_COLORS.values()], dtype=np.float64)
    for number, name in enumerate(names):
        if name in CLASS_COLORS:
            colors[number] = CLASS_COLORS[name]
        else:
            colors[number] = _foreign_color(name, taken)
            taken = np.vstack((taken, colors[number]))
    return colors


def _foreign_color(name: str, taken: npt.NDArray[np.float64]) -> Image:
    """The first color of the name's own sequence that is far from all taken ones (n, 3), (3,)."""
    steps = np.arange(_CANDIDATES)
    turn = 2.0 * np.pi * (zlib.crc32(name.encode()) / 2.0**32 + steps * _GOLDEN)
    vivid = direction_colors(np.stack((np.cos(turn), np.sin(turn)), axis=-1))  # (candidates, 3)
    shades = (vivid * _SHADES[steps % len(_SHADES), None]).astype(np.uint8)
    distance = np.linalg.norm(shades[:, None] - taken, axis=-1).min(axis=1)  # (candidates,)
    return np.asarray(shades[np.minimum(distance, _DISTINCT).argmax()])


def class_table(names: Sequence[str]) -> Image:
    """Color of every class number, (256, 3); those without a name are `UNKNOWN_CLASS`."""
    table = np.full((256, 3), UNKNOWN_CLASS, np.uint8)
    table[: len(names)] = class_colors(names)
    return table


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
