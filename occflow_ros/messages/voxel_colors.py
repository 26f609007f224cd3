"""Colors of voxels and arrows in the display: tables, and the row that each voxel takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from occflow_ros.geometry.camera import Image
from occflow_ros.messages.voxel_arrays import (
    FloatArray,
    VoxelArrays,
    cells_of,
    probability_levels,
)
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid
from occflow_ros.viz.palette import FASTEST_MPS, class_table, direction_colors, speed_colors

Rows = npt.NDArray[np.integer]

LEVELS = 256
NUM_DIRECTIONS = 1024


@dataclass(frozen=True, slots=True)
class VoxelColors:
    """What the color of a voxel shows.

    Args:
        table: (rows, 4) red, green, blue, alpha in [0, 1].
        rows_of: gives the row of each voxel, (M,).
    """

    table: FloatArray
    rows_of: Callable[[VoxelArrays], Rows]

    def write(self, voxels: VoxelArrays, colors: FloatArray) -> None:
        """Red, green, blue, alpha of each voxel, into (M, 4)."""
        look_up(self.table, self.rows_of(voxels), colors)


def voxel_colors(mode: str, grid: VoxelGrid, class_names: Sequence[str] = ()) -> VoxelColors:
    """Colors of the voxels of a grid by `height`, `probability`, `class` or `speed`.

    Height runs from the bottom of the grid (blue) to its top (red); probability from 0 (violet)
    to 1 (yellow); speed from gray at 0 over blue and yellow to red at `FASTEST_MPS` and above.
    A class has the color of its name, an unknown one is gray.
    """
    by_mode: dict[str, tuple[Image, Callable[[VoxelArrays], Rows]]] = {
        "height": (_height_table(grid.shape[2]), _height_rows),
        "probability": (_color_map(cv2.COLORMAP_VIRIDIS), probability_levels),
        "class": (class_table(class_names), _class_rows),
        "speed": (speed_colors(np.linspace(0.0, FASTEST_MPS, LEVELS)), _speed_rows),
    }
    table, rows_of = by_mode[mode]
    return VoxelColors(opaque(table), rows_of)


def direction_table() -> FloatArray:
    """Colors of the directions that `direction_rows` numbers, (NUM_DIRECTIONS + 1, 4)."""
    turn = np.linspace(-2.0, 2.0, NUM_DIRECTIONS + 1)
    x = 1.0 - np.abs(turn)
    y = np.copysign(1.0 - np.abs(x), turn)
    return opaque(direction_colors(np.stack((x, y), axis=-1)))


def direction_rows(velocity_mps: FloatArray) -> Rows:
    """Number of the direction of each velocity (n, 2), evenly along the square |x| + |y| = 1.

    The angle itself would need an arc tangent; the position on the square orders directions alike.
    """
    x, y = velocity_mps.T
    length = np.maximum(np.abs(x) + np.abs(y), np.finfo(np.float32).tiny)
    turn = np.copysign(1.0 - x / length, y)  # -2 to 2, from backward over forward to backward
    return np.rint((turn + 2.0) * (NUM_DIRECTIONS / 4)).astype(np.intp)


def look_up(table: FloatArray, rows: Rows, out: FloatArray) -> None:
    """Rows of a table into `out`; `take` that clips is ten times as fast as indexing."""
    table.take(rows, axis=0, mode="clip", out=out)


def opaque(rgb: Image) -> FloatArray:
    """Colors (n, 3) uint8 as red, green, blue, alpha in [0, 1], (n, 4)."""
    colors = np.ones((len(rgb), 4), np.float32)
    colors[:, :3] = rgb / np.float32(255.0)
    return colors


def _color_map(number: int) -> Image:
    bgr = cv2.applyColorMap(np.arange(LEVELS, dtype=np.uint8), number)  # (256, 1, 3)
    rgb: Image = bgr[:, 0, ::-1].astype(np.uint8)
    return rgb


def _height_table(num_levels: int) -> Image:
    fraction = (np.arange(num_levels) + 0.5) / num_levels
    return _color_map(cv2.COLORMAP_TURBO)[(fraction * LEVELS).astype(np.intp)]


def _height_rows(voxels: VoxelArrays) -> Rows:
    return cells_of(voxels.index, voxels.grid)[2]


def _class_rows(voxels: VoxelArrays) -> Rows:
    if voxels.class_id is not None:
        return voxels.class_id
    return np.full(len(voxels.index), UNKNOWN_CLASS_ID, np.uint8)


def _speed_rows(voxels: VoxelArrays) -> Rows:
    share = voxels.speed_mps / FASTEST_MPS
    return np.rint(np.nan_to_num(share).clip(0.0, 1.0) * (LEVELS - 1)).astype(np.uint8)
