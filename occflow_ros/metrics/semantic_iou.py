"""IoU of voxels by class, with whole counts that add up over frames.

Semantic scene completion on SemanticKITTI: MonoOcc and OccFiner, section 4, and the official
`evaluate_completion.py`. Occ3D: the mean over the classes that occur, over the voxels that a camera
sees (`OccupancyTruth.observed`) or that LiDAR knows (`data.truth.read_lidar_mask`).
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from occflow_ros.data import semantic_kitti
from occflow_ros.data.semantic_kitti_voxels import VoxelTruth
from occflow_ros.metrics.accumulator import Accumulator, mean_of_known, share
from occflow_ros.metrics.voxel_iou import OccupancyCounts
from occflow_ros.structures import VoxelGrid

Classes = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]

RANGES_M = (12.8, 25.6, 51.2)
"""Sides of the boxes in front of the sensor over which papers report, each 6.4 m high."""


@dataclass(frozen=True, slots=True)
class ClassCounts(Accumulator):
    """How many voxels of each class were predicted as which.

    A class occurs where it is true or predicted somewhere. One that does not has no IoU, NaN.

    Args:
        names: of the C classes.
        empty: name of the class of empty voxels, which is left out of all means.
        confusion: (C, C) voxels by their true class, then by their predicted one.

    Raises:
        ValueError: where the names do not fit the counts, or `empty` is none of them.
    """

    names: tuple[str, ...]
    empty: str
    confusion: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        expected = [len(self.names)] * len(self.names)
        if [len(row) for row in self.confusion] != expected:
            raise ValueError(f"confusion: expected {len(self.names)} rows and columns")
        if self.empty not in self.names:
            raise ValueError(f"empty: expected one of {self.names}, got {self.empty!r}")

    @property
    def matrix(self) -> npt.NDArray[np.int64]:
        """`confusion` as an array (C, C)."""
        return np.array(self.confusion, np.int64)

    @property
    def iou(self) -> dict[str, float]:
        """TP / (TP + FP + FN) of each class but the empty one, NaN where it does not occur."""
        matrix = self.matrix
        union = matrix.sum(axis=0) + matrix.sum(axis=1) - matrix.diagonal()
        return {
            name: share(int(matrix[number, number]), int(union[number]))
            for number, name in enumerate(self.names)
            if name != self.empty
        }

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that occur, NaN where none does; the mIoU of Occ3D."""
        return mean_of_known(tuple(self.iou.values()))

    @property
    def mean_iou_of_true(self) -> float:
        """Mean over the classes that are true somewhere, NaN where none is.

        It is over the same classes for all predictions of the same voxels, so that one of a class
        that is nowhere does not change what is averaged.
        """
        return mean_of_known(tuple(self.iou[name] for name in self.true_names))

    @property
    def true_names(self) -> tuple[str, ...]:
        """Of the classes that are true somewhere, but for the empty one."""
        voxels = self.matrix.sum(axis=1)
        return tuple(
            name for name, count in zip(self.names, voxels) if count and name != self.empty
        )

    @property
    def official_mean_iou(self) -> float:
        """Mean over all classes as SemanticKITTI's script takes it: 0 for one that does not occur.

        Equal to `mean_iou` where every class occurs, as in the official validation sequence; NaN
        where none does.
        """
        known = [value for value in self.iou.values() if not np.isnan(value)]
        return sum(known) / (len(self.names) - 1) if known else float("nan")

    @property
    def completion(self) -> OccupancyCounts:
        """Occupied against empty, whatever the class: IoU, precision and recall of completion."""
        matrix, empty = self.matrix, self.names.index(self.empty)
        empty_true, empty_predicted = matrix[empty].sum(), matrix[:, empty].sum()
        both_empty = matrix[empty, empty]
        missed, invented = empty_predicted - both_empty, empty_true - both_empty
        return OccupancyCounts(
            true_positives=int(matrix.sum() - both_empty - missed - invented),
            false_positives=int(invented),
            false_negatives=int(missed),
        )


@dataclass(frozen=True, slots=True)
class RangeCounts(Accumulator):
    """Counts over the boxes of `RANGES_M`, from near to far."""

    by_range: tuple[ClassCounts, ...]

    def __post_init__(self) -> None:
        if len(self.by_range) != len(RANGES_M):
            raise ValueError(f"by_range: expected {len(RANGES_M)}, got {len(self.by_range)}")


def no_counts(names: tuple[str, ...], empty: str) -> ClassCounts:
    """Where a sum over frames begins."""
    return ClassCounts(names, empty, ((0,) * len(names),) * len(names))


def no_range_counts(
    names: tuple[str, ...] = semantic_kitti.NAMES,
    empty: str = semantic_kitti.NAMES[semantic_kitti.EMPTY],
) -> RangeCounts:
    """Where a sum over frames begins, by default one of SemanticKITTI."""
    return RangeCounts((no_counts(names, empty),) * len(RANGES_M))


def count_classes(
    predicted: Classes, true: Classes, counted: Mask, names: tuple[str, ...], empty: str
) -> ClassCounts:
    """Compare the classes of voxels.

    Args:
        predicted: (X, Y, Z) class numbers, indices into `names`.
        true: (X, Y, Z) the same.
        counted: (X, Y, Z) voxels that count; the others may hold any number.
        names: of the C classes.
        empty: which of them is that of empty voxels.

    Raises:
        ValueError: where the shapes differ, or a voxel that counts has no class.
    """
    if not predicted.shape == true.shape == counted.shape:
        raise ValueError(
            f"expected equal shapes, got {predicted.shape}, {true.shape}, {counted.shape}"
        )
    count = len(names)
    rows, columns = (
        _class_numbers(what, values[counted], count)
        for what, values in (("true", true), ("predicted", predicted))
    )  # (M,)
    flat = np.bincount(rows * count + columns, minlength=count * count)
    matrix = flat.reshape(count, count)  # (C, C)
    return ClassCounts(names, empty, tuple(tuple(row) for row in matrix.tolist()))


def count_ranges(predicted: Classes, truth: VoxelTruth) -> RangeCounts:
    """Compare one frame of SemanticKITTI over each range; voxels that do not count are left out.

    A prediction without classes may give any one to what is occupied; of the counts, only
    `completion` means something then.

    Args:
        predicted: (X, Y, Z) classes on `semantic_kitti.GRID`.
        truth: of the frame.

    Raises:
        ValueError: where the shapes differ, or a voxel that counts has no class.
    """
    names = semantic_kitti.NAMES
    empty = names[semantic_kitti.EMPTY]
    grid = semantic_kitti.GRID
    return count_within_ranges(predicted, truth.classes, truth.counted, grid, names, empty)


def count_within_ranges(
    predicted: Classes,
    true: Classes,
    counted: Mask,
    grid: VoxelGrid,
    names: tuple[str, ...],
    empty: str,
) -> RangeCounts:
    """As `count_classes`, over each range of a grid."""
    boxes = [within_range(grid, range_m) for range_m in RANGES_M]
    shells = (boxes[0], *(far & ~near for near, far in pairwise(boxes)))
    counts = (count_classes(predicted, true, counted & shell, names, empty) for shell in shells)
    return RangeCounts(tuple(accumulate(counts, operator.add)))


def within_range(grid: VoxelGrid, range_m: float) -> Mask:
    """Voxels (X, Y, 1) of the box in front of the sensor, its side as long as the range.

    0 ≤ x < range and |y| < range / 2, at every height: the volume of 12.8×12.8×6.4 m of SSCNet's
    and later papers, as public evaluations of SemanticKITTI cut it out.
    """
    x_m, y_m, _ = (
        lower_m + size_m * (np.arange(count) + 0.5)
        for lower_m, size_m, count in zip(grid.lower_m, grid.voxel_size_m, grid.shape)
    )
    ahead, beside = (x_m >= 0.0) & (x_m < range_m), np.abs(y_m) < range_m / 2
    mask: Mask = (ahead[:, None] & beside)[..., None]
    return mask


def _class_numbers(what: str, values: Classes, count: int) -> npt.NDArray[np.int64]:
    numbers = values.astype(np.int64)
    wrong = (numbers < 0) | (numbers >= count)
    if wrong.any():
        raise ValueError(
            f"{what}: expected classes 0 to {count - 1} where voxels count,"
            f" got {np.unique(numbers[wrong]).tolist()}"
        )
    return numbers
