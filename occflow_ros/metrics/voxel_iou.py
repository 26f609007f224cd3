"""Occupancy of voxels against the truth, with counts that add up over frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class OccupancyCounts:
    """Voxels by what was predicted and what is true.

    Args:
        true_positives: predicted and true.
        false_positives: predicted only.
        false_negatives: true only.
    """

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: OccupancyCounts) -> OccupancyCounts:
        return OccupancyCounts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), NaN where nothing is predicted and nothing is true."""
        union = self.true_positives + self.false_positives + self.false_negatives
        return self.true_positives / union if union else float("nan")

    @property
    def precision(self) -> float:
        """TP / (TP + FP), NaN where nothing is predicted."""
        predicted = self.true_positives + self.false_positives
        return self.true_positives / predicted if predicted else float("nan")

    @property
    def recall(self) -> float:
        """TP / (TP + FN), NaN where nothing is true."""
        true = self.true_positives + self.false_negatives
        return self.true_positives / true if true else float("nan")


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
