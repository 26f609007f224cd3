"""Velocity of voxels against the truth, as sums that add up over frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Velocities = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class VelocityError:
    """Error pooled over voxels.

    Args:
        sum_mps: sum of ‖v_predicted − v_true‖ over the voxels.
        voxels: how many there were.
    """

    sum_mps: float = 0.0
    voxels: int = 0

    def __add__(self, other: VelocityError) -> VelocityError:
        return VelocityError(self.sum_mps + other.sum_mps, self.voxels + other.voxels)

    @property
    def mean_mps(self) -> float:
        """Mean error, NaN where there was no voxel to compare."""
        return self.sum_mps / self.voxels if self.voxels else float("nan")


def velocity_error(predicted_mps: Velocities, true_mps: Velocities, where: Mask) -> VelocityError:
    """L2 error of the 2-D velocity over the chosen voxels.

    Args:
        predicted_mps: (X, Y, Z, 2) over ground along ego x and y.
        true_mps: (X, Y, Z, 2) the same.
        where: (X, Y, Z) voxels that count.

    Raises:
        ValueError: where the shapes differ.
    """
    if predicted_mps.shape != true_mps.shape or predicted_mps.shape != (*where.shape, 2):
        raise ValueError(
            f"expected velocities (X, Y, Z, 2) and voxels (X, Y, Z), got {predicted_mps.shape}, "
            f"{true_mps.shape} and {where.shape}"
        )
    difference = predicted_mps[where].astype(np.float64) - true_mps[where]  # (M, 2)
    return VelocityError(float(np.linalg.norm(difference, axis=-1).sum()), int(where.sum()))
