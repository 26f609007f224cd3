"""The truth on a coarser grid, so that it can be held against a coarse prediction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE, MOVABLE
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.data.vocabulary import OCC3D, Vocabulary
from occflow_ros.structures import VoxelGrid

Classes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def coarsen_truth(truth: OccupancyTruth, shape: tuple[int, int, int]) -> OccupancyTruth:
    """The truth over the same box with fewer, larger voxels.

    A coarse voxel is occupied where any observed voxel in it is; its class is the most frequent one
    of its occupied voxels, movable classes first; its velocity is the mean over its movable voxels.
    A coarse voxel whose occupied part no camera sees counts as not observed.

    Args:
        truth: on a grid that `shape` divides evenly.
        shape: voxels along (x, y, z) of the coarse grid.

    Raises:
        ValueError: where `shape` does not divide the shape of the truth.
    """
    coarse, observed = coarsen_classes(truth.semantics, truth.observed, shape, OCC3D)
    semantics = _children(truth.semantics, shape)  # (X, Y, Z, K)
    velocity = np.stack(
        [_children(truth.velocity_mps[..., axis], shape) for axis in range(2)], axis=-1
    )  # (X, Y, Z, K, 2)
    seen = (coarse != FREE)[..., None]
    return OccupancyTruth(
        semantics=coarse,
        velocity_mps=np.where(seen, _movable_mean(velocity, semantics), 0.0).astype(np.float32),
        observed=observed,
        lower_m=truth.lower_m,
        upper_m=truth.upper_m,
    )


def coarsen_classes(
    class_id: Classes, known: Mask, shape: tuple[int, int, int], vocabulary: Vocabulary
) -> tuple[Classes, Mask]:
    """Classes over the same box with fewer, larger voxels, as `coarsen_truth` says.

    Args:
        class_id: (X, Y, Z) in the numbers of the vocabulary; others are occupied by nobody knows
            what.
        known: (X, Y, Z) voxels that count.
        shape: voxels along (x, y, z) of the coarse grid.
        vocabulary: of the data set.

    Returns:
        Classes (X', Y', Z'), empty where no known voxel is occupied, and which are known.

    Raises:
        ValueError: where `shape` does not divide that of the classes.
    """
    if any(fine % coarse for fine, coarse in zip(class_id.shape, shape)):
        raise ValueError(f"expected a shape that divides {class_id.shape} evenly, got {shape}")
    children, counted = _children(class_id, shape), _children(known, shape)  # (X', Y', Z', K)
    occupied = children != vocabulary.empty
    seen = (occupied & counted).any(axis=-1)
    coarse = np.full(shape, vocabulary.empty, np.uint8)
    coarse[seen] = _dominant_class(children[seen], vocabulary)
    return coarse, seen | (counted.any(axis=-1) & ~occupied.any(axis=-1))


def truth_on_grid(truth: OccupancyTruth, grid: VoxelGrid) -> OccupancyTruth | None:
    """The truth on another grid over the same box, None where it does not divide that evenly."""
    same_box = np.allclose((truth.lower_m, truth.upper_m), (grid.lower_m, grid.upper_m))
    if not same_box or any(fine % coarse for fine, coarse in zip(truth.grid.shape, grid.shape)):
        return None
    return coarsen_truth(truth, grid.shape)


def _movable_mean(velocity: npt.NDArray, semantics: npt.NDArray[np.uint8]) -> npt.NDArray:
    """Mean (X, Y, Z, 2) over the movable ones of the K voxels, zero where there is none."""
    movable = np.isin(semantics, MOVABLE)[..., None]  # (X, Y, Z, K, 1)
    return np.where(movable, velocity, 0.0).sum(axis=-2) / np.maximum(movable.sum(axis=-2), 1)


def _children(values: npt.NDArray, shape: tuple[int, int, int]) -> npt.NDArray:
    (x, y, z), (fx, fy, fz) = shape, (f // c for f, c in zip(values.shape, shape))
    blocks = values.reshape(x, fx, y, fy, z, fz).transpose(0, 2, 4, 1, 3, 5)
    return blocks.reshape(x, y, z, fx * fy * fz)  # (X, Y, Z, K)


def _dominant_class(class_id: Classes, vocabulary: Vocabulary) -> npt.NDArray[np.intp]:
    """Most frequent class (M,) of each row (M, K) that is not empty, movable ones first."""
    rows, children = class_id.shape
    count = len(vocabulary.names)
    row, _ = np.nonzero(class_id < count)
    flat = row * count + class_id[class_id < count]
    votes = np.bincount(flat, minlength=rows * count).reshape(rows, count)  # (M, C)
    votes[:, vocabulary.empty] = 0
    votes[:, list(vocabulary.movable)] *= children + 1
    return votes.argmax(axis=-1)
