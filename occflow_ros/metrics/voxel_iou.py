"""Occupancy of voxels against the truth, with counts that add up over frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.metrics.accumulator import Accumulator, share

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class OccupancyCounts(Accumulator):
    """Voxels by what was predicted and what is true.

    Args:
        true_positives: predicted and true.
        false_positives: predicted only.
        false_negatives: true only.
    """

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), NaN where nothing is predicted and nothing is true."""
        union = self.true_positives + self.false_positives + self.false_negatives
        return share(self.true_positives, union)

    @property
    def precision(self) -> float:
        """TP / (TP + FP), NaN where nothing is predicted."""
        return share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """TP / (TP + FN), NaN where nothing is true."""
        return share(self.true_positives, self.true_positives + self.false_negatives)


def count_occupancy(predicted: Mask, true: Mask, observed: Mask) -> OccupancyCounts:
    """Compare occupied voxels where the truth is known.

    Args:
        predicted: (X, Y, Z) occupied in the prediction.
        true: (X, Y, Z) occupied in the truth.
        observed: (X, Y, Z) where the comparison counts.

    Raises:
        ValueError: where the shapes differ.
    """
    if not predicted.shape == true.shape == observed.shape:
        raise ValueError(
            f"expected equal shapes, got {predicted.shape}, {true.shape}, {observed.shape}"
        )
    return OccupancyCounts(
        true_positives=int((predicted & true & observed).sum()),
        false_positives=int((predicted & ~true & observed).sum()),
        false_negatives=int((~predicted & true & observed).sum()),
    )
