"""Velocity of voxels and of what rays hit against the truth, as sums that add up over frames.

Absolute velocity error (AVE) along rays: OpenOcc and its challenge (CVPR 2024), and appendix C.3 of
Let Occ Flow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE, MOVABLE, NAMES
from occflow_ros.metrics.accumulator import Accumulator, ExactSum, mean_of_known
from occflow_ros.metrics.ray_iou import Classes, Floats, within

Velocities = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

TRUE_POSITIVE_M = 2.0

_RAY_IOU_WEIGHT = 0.9


@dataclass(frozen=True, slots=True)
class VelocityError(Accumulator):
    """Error pooled over voxels or rays.

    Args:
        sum_mps: sum of ‖v_predicted − v_true‖ over them.
        voxels: how many there were; of rays, how many voxels were hit.
    """

    sum_mps: ExactSum = ExactSum()
    voxels: int = 0

    @property
    def mean_mps(self) -> float:
        """Mean error, NaN where there was no voxel to compare."""
        return float(self.sum_mps) / self.voxels if self.voxels else math.nan


@dataclass(frozen=True, slots=True)
class RayVelocityErrors(Accumulator):
    """Errors by class of what rays hit, in the order of `MOVABLE`: the 8 classes of OpenOcc.

    Two public definitions differ in the rays that count. The text of the challenge, the code of its
    baseline and that of Let Occ Flow take the true positives. The script that scores submissions
    takes, for each class that has a true positive in a set, all rays of the set that hit anything:
    what stands then makes up most of it, and no class differs much from the others.

    Args:
        true_positives: over true positives: rays that the prediction ends within 2 m of the truth,
            on the same class.
        all_rays: over all rays of the sets in which the class has a true positive.
    """

    true_positives: tuple[VelocityError, ...] = (VelocityError(),) * len(MOVABLE)
    all_rays: tuple[VelocityError, ...] = (VelocityError(),) * len(MOVABLE)

    @property
    def mave_tp_mps(self) -> float:
        """Mean over true positives, then over the classes; NaN where no class has any."""
        return mean_of_known(tuple(error.mean_mps for error in self.true_positives))

    @property
    def mave_mps(self) -> float:
        """Mean over all rays, then over the classes; NaN where no class has true positives."""
        return mean_of_known(tuple(error.mean_mps for error in self.all_rays))

    def by_name(self) -> dict[str, tuple[float, float]]:
        """Mean error of each class over its true positives, and over all rays."""
        return {
            NAMES[number]: (hits.mean_mps, rays.mean_mps)
            for number, hits, rays in zip(MOVABLE, self.true_positives, self.all_rays)
        }


def velocity_error(predicted_mps: Velocities, true_mps: Velocities, where: Mask) -> VelocityError:
    """L2 error of the 2-D velocity over the chosen voxels, or over those that rays hit.

    Args:
        predicted_mps: (X, Y, Z, 2) or (R, 2) over ground along ego x and y.
        true_mps: (X, Y, Z, 2) or (R, 2) the same.
        where: (X, Y, Z) or (R,) those that count.

    Raises:
        ValueError: where the shapes differ, or a velocity that counts is not finite.
    """
    return _pooled(_errors_mps(predicted_mps, true_mps, where))


def ray_velocity_errors(
    true_m: Floats,
    predicted_m: Floats,
    true_class: Classes,
    predicted_class: Classes,
    true_mps: Velocities,
    predicted_mps: Velocities,
) -> RayVelocityErrors:
    """Errors of one set: of the velocity at the first voxel that each ray hits.

    Args:
        true_m: (R,) distance in the truth, inf where the ray hits nothing there; such rays are left
            out.
        predicted_m: (R,) the same in the prediction.
        true_class: (R,) of the voxel hit in the truth.
        predicted_class: (R,) the same in the prediction; `true_class` again for a prediction
            without classes, as Let Occ Flow does.
        true_mps: (R, 2) velocity of the voxel hit in the truth; rays where it is NaN, unknown, are
            left out.
        predicted_mps: (R, 2) of the voxel hit in the prediction, zero where there is none.

    Raises:
        ValueError: where the shapes differ, or a velocity that counts is not finite.
    """
    known = np.isfinite(true_m) & np.isfinite(true_mps).all(axis=-1)
    errors_mps = _errors_mps(predicted_mps, true_mps, known)  # (K,)
    met = within(true_m, predicted_m, TRUE_POSITIVE_M) & (true_class == predicted_class)
    met_class = np.where(met, true_class, FREE)[known]  # (K,)
    of_class = [met_class == number for number in MOVABLE]
    everywhere = _pooled(errors_mps)
    return RayVelocityErrors(
        tuple(_pooled(errors_mps[rays]) for rays in of_class),
        tuple(everywhere if rays.any() else VelocityError() for rays in of_class),
    )


def occ_score(ray_iou: float, mave_mps: float) -> float:
    """0.9 · RayIoU + 0.1 · max(1 − mAVE, 0) of the challenge, NaN where one of them is."""
    velocity_score = math.nan if math.isnan(mave_mps) else max(1.0 - mave_mps, 0.0)
    return _RAY_IOU_WEIGHT * ray_iou + (1.0 - _RAY_IOU_WEIGHT) * velocity_score


def _errors_mps(predicted_mps: Velocities, true_mps: Velocities, where: Mask) -> Floats:
    """‖v_predicted − v_true‖ over the chosen voxels or rays, (M,)."""
    if predicted_mps.shape != true_mps.shape or predicted_mps.shape != (*where.shape, 2):
        raise ValueError(
            "expected velocities (X, Y, Z, 2) and voxels (X, Y, Z), or (R, 2) and rays (R,), got "
            f"{predicted_mps.shape}, {true_mps.shape} and {where.shape}"
        )
    difference = predicted_mps[where].astype(np.float64) - true_mps[where]  # (M, 2)
    errors_mps = np.hypot(difference[:, 0], difference[:, 1])
    if bad := np.count_nonzero(~np.isfinite(errors_mps)):
        raise ValueError(f"expected finite velocities, got {bad} that are not")
    return errors_mps


def _pooled(errors_mps: Floats) -> VelocityError:
    return VelocityError(ExactSum.of(errors_mps.sum()), len(errors_mps))
