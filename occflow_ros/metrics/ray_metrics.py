"""All that the protocols say about the rays of one set: RayIoU and mAVE, with and without classes.

What the public code of Let Occ Flow does besides, and whoever wants its rows has to do to the
volumes and rays first:

- nuScenes: the truth is empty from 3.8 m up, truth and prediction in the outer 2.4 m of x and y.
- SemanticKITTI: rays start where the LiDAR is in this frame and in those up to 10 m further on, at
  most 8 spread evenly; voxels that are not known stop a ray of the truth, and it does not count;
  truth and prediction are empty from 3.6 m up, in the outer 1.2 m to both sides and in the last
  1.2 m ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.metrics.ray_iou import (
    THRESHOLDS_M,
    Classes,
    ClassRayCounts,
    Floats,
    PerThreshold,
    RayCounts,
    count_class_rays,
    count_rays,
)
from occflow_ros.metrics.velocity import (
    RayVelocityErrors,
    Velocities,
    occ_score,
    ray_velocity_errors,
)

_NO_RAYS = "no ray hits anything in the truth"
_NO_CLASSES = "the prediction has no classes"
_NO_VELOCITY = "no ray meets a movable class of known velocity within 2 m"


@dataclass(frozen=True, slots=True)
class RayEnds:
    """Where rays end, and what is there.

    Args:
        distance_m: (R,) inf where a ray hits nothing or, in the truth, what does not count.
        classes: (R,) FREE where a ray hits nothing; None: occupancy without classes.
        velocity_mps: (R, 2) over ground along ego x and y, zero where a ray hits nothing, NaN
            where unknown.

    Raises:
        ValueError: where the shapes do not belong together.
    """

    distance_m: Floats
    classes: Classes | None
    velocity_mps: Velocities

    def __post_init__(self) -> None:
        rays, velocities = self.distance_m.shape, self.velocity_mps.shape
        if len(rays) != 1 or velocities != (*rays, 2):
            raise ValueError(
                f"expected rays (R,) and velocities (R, 2), got {rays} and {velocities}"
            )
        if self.classes is not None and self.classes.shape != rays:
            raise ValueError(f"expected classes {rays}, got {self.classes.shape}")


@dataclass(frozen=True, slots=True)
class RayMetrics(Accumulator):
    """Counts of one set, or summed over several.

    Without classes, the prediction takes the class of the truth wherever a ray ends; there are two
    ways to average then, and Let Occ Flow reports the mean over classes on nuScenes and the pooled
    one on SemanticKITTI.

    Args:
        pooled: without classes, all rays alike.
        agnostic: without classes, by the class of the truth.
        agnostic_velocity: without classes.
        aware: by class, as OpenOcc and SparseOcc report it; nothing is counted for a prediction
            without classes.
        aware_velocity: the same.
    """

    pooled: RayCounts = RayCounts()
    agnostic: ClassRayCounts = ClassRayCounts()
    agnostic_velocity: RayVelocityErrors = RayVelocityErrors()
    aware: ClassRayCounts = ClassRayCounts()
    aware_velocity: RayVelocityErrors = RayVelocityErrors()

    def numbers(self) -> dict[str, float]:
        """The numbers of the protocol by name; `reasons` says why one is NaN.

        The scores take the mAVE of true positives.
        """
        pooled, agnostic, aware = self.pooled, self.agnostic, self.aware
        moved, moved_aware = self.agnostic_velocity, self.aware_velocity
        return {
            **_ious("pooled_ray_iou", pooled.ray_iou, pooled.iou),
            **_ious("agnostic_ray_iou", agnostic.ray_iou, agnostic.mean_iou),
            **_ious("ray_iou", aware.ray_iou, aware.mean_iou),
            "agnostic_mave_tp_mps": moved.mave_tp_mps,
            "agnostic_mave_mps": moved.mave_mps,
            "mave_tp_mps": moved_aware.mave_tp_mps,
            "mave_mps": moved_aware.mave_mps,
            "agnostic_occ_score": occ_score(agnostic.ray_iou, moved.mave_tp_mps),
            "occ_score": occ_score(aware.ray_iou, moved_aware.mave_tp_mps),
        }

    def reasons(self) -> dict[str, str]:
        """Why numbers are NaN, by their names."""
        numbers = self.numbers()
        return {name: self._reason(name) for name in numbers if np.isnan(numbers[name])}

    def _reason(self, name: str) -> str:
        if not self.pooled.rays:
            return _NO_RAYS
        without = "pooled" in name or "agnostic" in name
        return _NO_VELOCITY if without or any(self.aware.true) else _NO_CLASSES


def evaluate_rays(true: RayEnds, predicted: RayEnds) -> RayMetrics:
    """Compare where the rays of one set end.

    Args:
        true: with classes; rays without an end are left out.
        predicted: along the same rays.

    Raises:
        ValueError: where the truth has no classes, the rays differ in number, or a predicted
            velocity that counts is not finite.
    """
    if true.classes is None:
        raise ValueError("true: expected classes, got None")
    distances = true.distance_m, predicted.distance_m
    velocities = true.velocity_mps, predicted.velocity_mps
    same = true.classes, true.classes
    agnostic = RayMetrics(
        pooled=count_rays(*distances),
        agnostic=count_class_rays(*distances, *same),
        agnostic_velocity=ray_velocity_errors(*distances, *same, *velocities),
    )
    if predicted.classes is None:
        return agnostic
    own = true.classes, predicted.classes
    return agnostic + RayMetrics(
        aware=count_class_rays(*distances, *own),
        aware_velocity=ray_velocity_errors(*distances, *own, *velocities),
    )


def _ious(name: str, mean: float, at: PerThreshold) -> dict[str, float]:
    """The mean over the thresholds, and each one."""
    by_threshold = {f"{name}_at_{limit_m:.0f}m": iou for limit_m, iou in zip(THRESHOLDS_M, at)}
    return {name: mean, **by_threshold}
