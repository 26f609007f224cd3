"""RayIoU: at which distance rays of a LiDAR meet the prediction and the truth.

Definition: SparseOcc (Liu et al. 2024), as the OpenOcc benchmark uses it; the class-agnostic form
is that of Let Occ Flow, appendix C.2.

A ray's distance is that at which it enters the first occupied voxel. The public code of SparseOcc
differs in two details: it takes the distance at which the ray leaves that voxel, and ends a ray
that meets none where it leaves the grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE
from occflow_ros.geometry import se3

Floats = npt.NDArray[np.float64]
Classes = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]
PerThreshold = tuple[float, float, float]

THRESHOLDS_M = (1.0, 2.0, 4.0)
MAX_ORIGINS = 8

_ORIGIN_REACH_M = 39.0
_GROUND_PITCHES = 10
_HIGHEST_PITCH_RAD = 0.21
_AZIMUTHS = 360


@dataclass(frozen=True, slots=True)
class RayCounts:
    """Rays whatever their class.

    The prediction takes the class of the truth, so it has as many rays as the truth.

    Args:
        rays: that hit something in the truth.
        within: how many of them the prediction ends within 1, 2 and 4 m of the truth.
    """

    rays: int = 0
    within: tuple[int, int, int] = (0, 0, 0)

    def __add__(self, other: RayCounts) -> RayCounts:
        first, second, third = (a + b for a, b in zip(self.within, other.within))
        return RayCounts(self.rays + other.rays, (first, second, third))

    @property
    def iou(self) -> PerThreshold:
        """TP / (2·GT − TP) at 1, 2 and 4 m, NaN where there is no ray."""
        first, second, third = (_share(tp, 2 * self.rays - tp) for tp in self.within)
        return first, second, third

    @property
    def ray_iou(self) -> float:
        """Mean of `iou` over the thresholds."""
        return sum(self.iou) / len(THRESHOLDS_M)


@dataclass(frozen=True, slots=True)
class ClassRayCounts:
    """Rays by class; FREE is not among them.

    Args:
        true: (C,) rays that hit the class in the truth.
        predicted: (C,) those of all counted rays that hit it in the prediction.
        within: at 1, 2 and 4 m, (C,) rays that hit the class in both, so close to each other.
    """

    true: tuple[int, ...] = (0,) * FREE
    predicted: tuple[int, ...] = (0,) * FREE
    within: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] = ((0,) * FREE,) * 3

    def __add__(self, other: ClassRayCounts) -> ClassRayCounts:
        first, second, third = (_plus(a, b) for a, b in zip(self.within, other.within))
        return ClassRayCounts(
            true=_plus(self.true, other.true),
            predicted=_plus(self.predicted, other.predicted),
            within=(first, second, third),
        )

    @property
    def iou(self) -> tuple[tuple[float, ...], ...]:
        """At 1, 2 and 4 m, TP / (predicted + GT − TP) of each class; NaN: does not occur."""
        return tuple(
            tuple(
                _share(tp, true + predicted - tp)
                for tp, true, predicted in zip(hits, self.true, self.predicted)
            )
            for hits in self.within
        )

    @property
    def mean_iou(self) -> PerThreshold:
        """At 1, 2 and 4 m, the mean over the classes that occur; NaN where none does."""
        first, second, third = (mean_of_known(values) for values in self.iou)
        return first, second, third

    @property
    def ray_iou(self) -> float:
        """Mean of `mean_iou` over the thresholds."""
        return sum(self.mean_iou) / len(THRESHOLDS_M)


def count_rays(true_m: Floats, predicted_m: Floats, where: Mask | None = None) -> RayCounts:
    """Compare where rays end.

    Args:
        true_m: (R,) distance to the first occupied voxel of the truth, inf where there is none;
            such rays are left out.
        predicted_m: (R,) the same in the prediction; inf is wrong at every threshold.
        where: (R,) rays that count, None for all.

    Raises:
        ValueError: where the shapes differ.
    """
    counts = _counted(true_m, predicted_m, where)
    first, second, third = (
        int((counts & within(true_m, predicted_m, limit_m)).sum()) for limit_m in THRESHOLDS_M
    )
    return RayCounts(int(counts.sum()), (first, second, third))


def count_class_rays(
    true_m: Floats,
    predicted_m: Floats,
    true_class: Classes,
    predicted_class: Classes,
    where: Mask | None = None,
) -> ClassRayCounts:
    """Compare where rays end and what is there.

    Args:
        true_m: as in `count_rays`.
        predicted_m: as in `count_rays`.
        true_class: (R,) of the voxel that the ray hits in the truth.
        predicted_class: (R,) the same in the prediction, FREE where it hits nothing.
        where: (R,) rays that count, None for all.

    Raises:
        ValueError: where the shapes differ.
    """
    counts = _counted(true_m, predicted_m, where)
    if not true_class.shape == predicted_class.shape == true_m.shape:
        raise ValueError(
            f"expected classes {true_m.shape}, got {true_class.shape} and {predicted_class.shape}"
        )
    same = counts & (true_class == predicted_class)
    first, second, third = (
        _by_class(true_class[same & within(true_m, predicted_m, limit_m)])
        for limit_m in THRESHOLDS_M
    )
    return ClassRayCounts(
        true=_by_class(true_class[counts]),
        predicted=_by_class(predicted_class[counts]),
        within=(first, second, third),
    )


def within(true_m: Floats, predicted_m: Floats, limit_m: float) -> Mask:
    """(R,) where both rays end somewhere, less than `limit_m` apart."""
    both = np.isfinite(true_m) & np.isfinite(predicted_m)
    difference_m = np.subtract(true_m, predicted_m, out=np.full_like(true_m, np.inf), where=both)
    close: Mask = np.abs(difference_m) < limit_m
    return close


def ray_directions() -> Floats:
    """The 39 · 360 unit directions of one origin, (R, 3), in ego axes.

    The lowest ten pitches meet flat ground one origin's height apart: −atan(1/k), k = 1 … 10. From
    there on the last step is repeated, up to the first pitch that is not below 0.21 rad.
    """
    pitch = [-math.atan(1.0 / k) for k in range(1, _GROUND_PITCHES + 1)]
    step = pitch[-1] - pitch[-2]
    while pitch[-1] < _HIGHEST_PITCH_RAD:
        pitch.append(pitch[-1] + step)
    up, around = np.meshgrid(pitch, np.deg2rad(np.arange(_AZIMUTHS)), indexing="ij")
    flat = np.cos(up)
    return np.stack((flat * np.cos(around), flat * np.sin(around), np.sin(up)), -1).reshape(-1, 3)


def ray_origins(odom_T_base: se3.Array, positions_odom_m: se3.Array) -> Floats:
    """Where the rays of one set start.

    Args:
        odom_T_base: (4, 4) pose of the ego at the set.
        positions_odom_m: (N, 3) of the LiDAR at all sets of the scene, in time order.

    Returns:
        (O, 3) in the ego frame of the set: at most 8, spread evenly over those with |x| and |y|
        below 39 m; none where there is none.
    """
    origins_m = se3.transform_points(se3.inverse(odom_T_base), positions_odom_m)
    near_m = origins_m[(np.abs(origins_m[:, :2]) < _ORIGIN_REACH_M).all(axis=1)]
    if len(near_m) <= MAX_ORIGINS:
        return near_m
    return near_m[np.round(np.linspace(0, len(near_m) - 1, MAX_ORIGINS)).astype(int)]


def ray_set(origins_m: Floats) -> tuple[Floats, Floats]:
    """All directions from each origin (O, 3): origins and directions, (O · 14,040, 3)."""
    directions = ray_directions()
    return np.repeat(origins_m, len(directions), axis=0), np.tile(directions, (len(origins_m), 1))


def mean_of_known(values: tuple[float, ...]) -> float:
    """Mean of those that are not NaN, NaN where all are."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _counted(true_m: Floats, predicted_m: Floats, where: Mask | None) -> Mask:
    where = np.ones(true_m.shape, dtype=bool) if where is None else where
    if true_m.ndim != 1 or not true_m.shape == predicted_m.shape == where.shape:
        raise ValueError(
            f"expected rays (R,), got {true_m.shape}, {predicted_m.shape} and {where.shape}"
        )
    return where & np.isfinite(true_m)


def _by_class(classes: Classes) -> tuple[int, ...]:
    return tuple(np.bincount(classes, minlength=FREE + 1)[:FREE].tolist())


def _plus(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
