"""Velocity of voxels and of what rays hit against the truth, as sums that add up over frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import MOVABLE
from occflow_ros.metrics.ray_iou import Classes, Floats, mean_of_known, within

Velocities = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

TRUE_POSITIVE_M = 2.0


@dataclass(frozen=True, slots=True)
class VelocityError:
    """Error pooled over voxels or rays.

    Args:
        sum_mps: sum of ‖v_predicted − v_true‖ over them.
        voxels: how many there were; of rays, how many voxels were hit.
    """

    sum_mps: float = 0.0
    voxels: int = 0

    def __add__(self, other: VelocityError) -> VelocityError:
        return VelocityError(self.sum_mps + other.sum_mps, self.voxels + other.voxels)

    @property
    def mean_mps(self) -> float:
        """Mean error, NaN where there was no voxel to compare."""
        return self.sum_mps / self.voxels if self.voxels else float("nan")


@dataclass(frozen=True, slots=True)
class RayVelocityErrors:
    """Errors by class of what rays hit, in the order of `MOVABLE`: the 8 classes of OpenOcc.

    Two public definitions differ in the rays that count; both are kept.

    Args:
        true_positives: over rays that the prediction ends within 2 m of the truth.
        hits: over all rays that hit the class in the truth.
    """

    true_positives: tuple[VelocityError, ...] = (VelocityError(),) * len(MOVABLE)
    hits: tuple[VelocityError, ...] = (VelocityError(),) * len(MOVABLE)

    def __add__(self, other: RayVelocityErrors) -> RayVelocityErrors:
        return RayVelocityErrors(
            tuple(a + b for a, b in zip(self.true_positives, other.true_positives)),
            tuple(a + b for a, b in zip(self.hits, other.hits)),
        )

    @property
    def mave_tp_mps(self) -> float:
        """Mean over the classes that have true positives, NaN where none has."""
        return mean_of_known(tuple(error.mean_mps for error in self.true_positives))

    @property
    def mave_mps(self) -> float:
        """Mean over the classes that are hit, NaN where none is."""
        return mean_of_known(tuple(error.mean_mps for error in self.hits))


def velocity_error(predicted_mps: Velocities, true_mps: Velocities, where: Mask) -> VelocityError:
    """L2 error of the 2-D velocity over the chosen voxels, or over those that rays hit.

    Args:
        predicted_mps: (X, Y, Z, 2) or (R, 2) over ground along ego x and y.
        true_mps: (X, Y, Z, 2) or (R, 2) the same.
        where: (X, Y, Z) or (R,) those that count.

    Raises:
        ValueError: where the shapes differ.
    """
    if predicted_mps.shape != true_mps.shape or predicted_mps.shape != (*where.shape, 2):
        raise ValueError(
            "expected velocities (X, Y, Z, 2) and voxels (X, Y, Z), or (R, 2) and rays (R,), got "
            f"{predicted_mps.shape}, {true_mps.shape} and {where.shape}"
        )
    difference = predicted_mps[where].astype(np.float64) - true_mps[where]  # (M, 2)
    return VelocityError(float(np.linalg.norm(difference, axis=-1).sum()), int(where.sum()))


def ray_velocity_errors(
    true_m: Floats,
    predicted_m: Floats,
    true_class: Classes,
    true_mps: Velocities,
    predicted_mps: Velocities,
) -> RayVelocityErrors:
    """Errors of the velocity at the first voxel that each ray hits.

    Args:
        true_m: (R,) distance in the truth, inf where the ray hits nothing there.
        predicted_m: (R,) the same in the prediction.
        true_class: (R,) of the voxel hit in the truth.
        true_mps: (R, 2) its velocity; rays where it is NaN, unknown, are left out.
        predicted_mps: (R, 2) of the voxel hit in the prediction, zero where there is none.

    Raises:
        ValueError: where the shapes differ.
    """
    known = np.isfinite(true_m) & np.isfinite(true_mps).all(axis=-1)
    found = known & within(true_m, predicted_m, TRUE_POSITIVE_M)
    by_class = [true_class == number for number in MOVABLE]
    return RayVelocityErrors(
        tuple(velocity_error(predicted_mps, true_mps, of & found) for of in by_class),
        tuple(velocity_error(predicted_mps, true_mps, of & known) for of in by_class),
    )
