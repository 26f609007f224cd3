"""Depth of pixels against the truth (equations 15 and 16), as sums that add up over images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Depths = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

MIN_DEPTH_M = 0.1
MAX_DEPTH_M = 80.0

_RATIO = 1.25


@dataclass(frozen=True, slots=True)
class DepthErrors:
    """Errors pooled over pixels; d is the predicted depth and d* the true one.

    Args:
        pixels: how many there were.
        relative: sum of |d − d*| / d*.
        squared_relative_m: sum of |d − d*|² / d*.
        squared_m2: sum of |d − d*|².
        squared_log: sum of |log d − log d*|².
        within: pixels with max(d / d*, d* / d) below 1.25, 1.25² and 1.25³.
    """

    pixels: int = 0
    relative: float = 0.0
    squared_relative_m: float = 0.0
    squared_m2: float = 0.0
    squared_log: float = 0.0
    within: tuple[int, int, int] = (0, 0, 0)

    def __add__(self, other: DepthErrors) -> DepthErrors:
        first, second, third = (a + b for a, b in zip(self.within, other.within))
        return DepthErrors(
            pixels=self.pixels + other.pixels,
            relative=self.relative + other.relative,
            squared_relative_m=self.squared_relative_m + other.squared_relative_m,
            squared_m2=self.squared_m2 + other.squared_m2,
            squared_log=self.squared_log + other.squared_log,
            within=(first, second, third),
        )

    @property
    def abs_rel(self) -> float:
        """Mean of |d − d*| / d*; NaN, as are the others, where there is no pixel."""
        return self._mean(self.relative)

    @property
    def sq_rel_m(self) -> float:
        """Mean of |d − d*|² / d*."""
        return self._mean(self.squared_relative_m)

    @property
    def rmse_m(self) -> float:
        """Root of the mean of |d − d*|²."""
        return math.sqrt(self._mean(self.squared_m2))

    @property
    def rmse_log(self) -> float:
        """Root of the mean of |log d − log d*|²."""
        return math.sqrt(self._mean(self.squared_log))

    @property
    def delta(self) -> tuple[float, float, float]:
        """Shares of the pixels within a factor of 1.25, 1.25² and 1.25³."""
        first, second, third = (self._mean(count) for count in self.within)
        return first, second, third

    def _mean(self, total: float) -> float:
        return total / self.pixels if self.pixels else math.nan


def depth_errors(
    predicted_m: Depths,
    true_m: Depths,
    where: Mask | None = None,
    range_m: tuple[float, float] = (MIN_DEPTH_M, MAX_DEPTH_M),
) -> DepthErrors:
    """Compare depths of pixels whose true depth lies in a range.

    Args:
        predicted_m: (...) along the optical axis, clamped to the range.
        true_m: (...) the same; pixels outside of the range, or not finite, are left out.
        where: (...) pixels that count, None for all.
        range_m: smallest and largest depth.

    Raises:
        ValueError: where the shapes differ, or a depth that counts was predicted as NaN.
    """
    where = np.ones(true_m.shape, dtype=bool) if where is None else where
    if not predicted_m.shape == true_m.shape == where.shape:
        raise ValueError(
            f"expected equal shapes, got {predicted_m.shape}, {true_m.shape}, {where.shape}"
        )
    nearest_m, farthest_m = range_m
    chosen = where & (true_m >= nearest_m) & (true_m <= farthest_m)
    true = true_m[chosen].astype(np.float64)  # (P,)
    predicted = predicted_m[chosen].astype(np.float64).clip(nearest_m, farthest_m)
    if np.isnan(predicted).any():
        raise ValueError(f"predicted_m: expected numbers, got NaN in {np.isnan(predicted).sum()}")
    return _sums(predicted, true)


def _sums(predicted: npt.NDArray[np.float64], true: npt.NDArray[np.float64]) -> DepthErrors:
    difference = np.abs(predicted - true)
    log_ratio = np.log(predicted) - np.log(true)
    ratio = np.maximum(predicted / true, true / predicted)
    first, second, third = (int((ratio < _RATIO**power).sum()) for power in (1, 2, 3))
    return DepthErrors(
        pixels=len(true),
        relative=float((difference / true).sum()),
        squared_relative_m=float((difference**2 / true).sum()),
        squared_m2=float((difference**2).sum()),
        squared_log=float((log_ratio**2).sum()),
        within=(first, second, third),
    )
