"""Depth of pixels against the truth (equations 15 and 16), as sums that add up over images.

The paper counts depths of 0.1 to 80 m at half the size of the images. Its equations pool the pixels
of a depth map; published rows, its own code among them, are means over images of what each image
gives, so both are kept: they differ in RMSE even where all images have equally many pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import reduce
from operator import add

import numpy as np
import numpy.typing as npt

from occflow_ros.metrics.accumulator import Accumulator, ExactSum, ImageMean

Depths = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

MIN_DEPTH_M = 0.1
MAX_DEPTH_M = 80.0
RANGES_M = ((MIN_DEPTH_M, 20.0), (20.0, 40.0), (40.0, MAX_DEPTH_M))
"""Of the true depth; each holds its lower bound, the last one its upper bound too."""

_RATIO = 1.25
_NO_PIXEL = "no pixel has a known depth in this range"


@dataclass(frozen=True, slots=True)
class DepthErrors(Accumulator):
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
    relative: ExactSum = ExactSum()
    squared_relative_m: ExactSum = ExactSum()
    squared_m2: ExactSum = ExactSum()
    squared_log: ExactSum = ExactSum()
    within: tuple[int, int, int] = (0, 0, 0)

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

    def numbers(self) -> dict[str, float]:
        """All of them by name."""
        return {
            "abs_rel": self.abs_rel,
            "sq_rel_m": self.sq_rel_m,
            "rmse_m": self.rmse_m,
            "rmse_log": self.rmse_log,
            **{f"delta{power}": share for power, share in enumerate(self.delta, start=1)},
        }

    def _mean(self, total: ExactSum | int) -> float:
        return float(total) / self.pixels if self.pixels else math.nan


@dataclass(frozen=True, slots=True)
class ImageDepthErrors(Accumulator):
    """The numbers of each image, averaged over the images that have pixels.

    Args:
        abs_rel: as in `DepthErrors`.
        sq_rel_m: the same.
        rmse_m: the same.
        rmse_log: the same.
        delta1: share of the pixels within a factor of 1.25.
        delta2: within 1.25².
        delta3: within 1.25³.
    """

    abs_rel: ImageMean = ImageMean()
    sq_rel_m: ImageMean = ImageMean()
    rmse_m: ImageMean = ImageMean()
    rmse_log: ImageMean = ImageMean()
    delta1: ImageMean = ImageMean()
    delta2: ImageMean = ImageMean()
    delta3: ImageMean = ImageMean()

    @classmethod
    def of(cls, errors: DepthErrors) -> ImageDepthErrors:
        """Those of one image."""
        return cls(**{name: ImageMean.of(value) for name, value in errors.numbers().items()})

    def numbers(self) -> dict[str, float]:
        """The means by name, NaN where no image has pixels."""
        return {field.name: getattr(self, field.name).value for field in fields(self)}


@dataclass(frozen=True, slots=True)
class DepthMetrics(Accumulator):
    """Depth of one image, or summed over several.

    Args:
        images: averaged over images.
        ranges: pooled over pixels whose true depth lies in each of `RANGES_M`.
    """

    images: ImageDepthErrors = ImageDepthErrors()
    ranges: tuple[DepthErrors, ...] = (DepthErrors(),) * len(RANGES_M)

    @property
    def pooled(self) -> DepthErrors:
        """Over the pixels of all ranges."""
        return reduce(add, self.ranges)

    def by_range(self) -> dict[str, DepthErrors]:
        """Pooled errors of each range and of all, by a name like `20-40 m`."""
        names = [f"{nearest_m:g}-{farthest_m:g} m" for nearest_m, farthest_m in RANGES_M]
        return {**dict(zip(names, self.ranges)), f"{MIN_DEPTH_M:g}-{MAX_DEPTH_M:g} m": self.pooled}

    def reasons(self) -> dict[str, str]:
        """Why the numbers of a range are NaN, by its name."""
        return {name: _NO_PIXEL for name, errors in self.by_range().items() if not errors.pixels}


def evaluate_depth(predicted_m: Depths, true_m: Depths, where: Mask | None = None) -> DepthMetrics:
    """Compare the depths of one image from 0.1 to 80 m.

    Args:
        predicted_m: as in `depth_errors`.
        true_m: as in `depth_errors`.
        where: as in `depth_errors`.

    Raises:
        ValueError: as `depth_errors`.
    """
    image = depth_errors(predicted_m, true_m, where)
    where = np.ones(true_m.shape, dtype=bool) if where is None else where
    which = np.digitize(true_m, [nearest_m for nearest_m, _ in RANGES_M[1:]])
    ranges = tuple(
        depth_errors(predicted_m, true_m, where & (which == number))
        for number in range(len(RANGES_M))
    )
    return DepthMetrics(ImageDepthErrors.of(image), ranges)


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
        relative=ExactSum.of((difference / true).sum()),
        squared_relative_m=ExactSum.of((difference**2 / true).sum()),
        squared_m2=ExactSum.of((difference**2).sum()),
        squared_log=ExactSum.of((log_ratio**2).sum()),
        within=(first, second, third),
    )
