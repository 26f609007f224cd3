"""Height of the ground below static points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from occflow_ros.geometry.se3 import Array
from occflow_ros.structures import VoxelGrid

CELL_M = 1.0
LOW_QUANTILE = 0.05
MAX_SOLID_M = 9.0
"""Solids that hide the ground below them over more than this count as ground."""
TOLERANCE_M = 0.3
"""Points up to this above the ground belong to it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Height of the ground on cells of `CELL_M`.

    Args:
        lower_m: smallest corner (x, y).
        height_m: (U, V) in the frame of the points, NaN where nothing is known at all.
    """

    lower_m: tuple[float, float]
    height_m: npt.NDArray[np.float64]

    def at(self, points_m: Array) -> Array:
        """Height (...) below points (..., 2 or more); that of the nearest cell outside."""
        cell = _cells(points_m, self.lower_m, self.height_m.shape)
        height_m: Array = self.height_m[cell[..., 0], cell[..., 1]]
        return height_m


def estimate_ground(static_m: Array, grid: VoxelGrid) -> Ground:
    """Ground under a grid from the static points (N, 3) on it.

    In each cell the 5 % quantile of heights, as the very lowest points may be echoes; then a
    morphological opening, which removes what stands on the ground (Zhang et al., A progressive
    morphological filter for removing nonground measurements, 2003). Cells without points take
    the height of the nearest one that has some.
    """
    lower_m = grid.lower_m[:2]
    shape = tuple(
        int(np.ceil((upper - lower) / CELL_M)) for lower, upper in zip(lower_m, grid.upper_m[:2])
    )
    low_m = np.full(shape, np.nan)
    if len(static_m):
        _fill_low_heights(static_m, _cells(static_m, lower_m, shape), low_m)
        nearest = ndimage.distance_transform_edt(
            np.isnan(low_m), return_distances=False, return_indices=True
        )
        low_m = _opened(low_m[tuple(nearest)])
    return Ground((lower_m[0], lower_m[1]), low_m)


def _fill_low_heights(points_m: Array, cell: npt.NDArray[np.int64], low_m: Array) -> None:
    flat = np.ravel_multi_index((cell[:, 0], cell[:, 1]), low_m.shape)
    order = np.lexsort((points_m[:, 2], flat))
    filled, first, count = np.unique(flat[order], return_index=True, return_counts=True)
    chosen = first + (LOW_QUANTILE * (count - 1)).astype(np.int64)
    low_m.flat[filled] = points_m[order[chosen], 2]


def _opened(low_m: Array) -> Array:
    """Morphological opening; at the borders slopes go on, where else their upper ends were cut."""
    window = int(MAX_SOLID_M / CELL_M)
    margin = min(window, *(count - 1 for count in low_m.shape))
    continued = np.pad(low_m, margin, mode="reflect", reflect_type="odd")
    opened: Array = ndimage.grey_opening(continued, size=(window, window))
    inner = tuple(slice(margin, margin + count) for count in low_m.shape)
    return opened[inner]


def _cells(
    points_m: Array, lower_m: tuple[float, ...], shape: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    cell = np.floor((points_m[..., :2] - np.array(lower_m)) / CELL_M).astype(np.int64)
    return np.clip(cell, 0, np.array(shape) - 1)
