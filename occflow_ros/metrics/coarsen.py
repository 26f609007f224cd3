"""The truth on a coarser grid, so that it can be held against a coarse prediction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE, MOVABLE
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.structures import VoxelGrid


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
    if any(fine % coarse for fine, coarse in zip(truth.semantics.shape, shape)):
        raise ValueError(
            f"expected a shape that divides {truth.semantics.shape} evenly, got {shape}"
        )
    semantics = _children(truth.semantics, shape)  # (X, Y, Z, K)
    observed = _children(truth.observed, shape)
    velocity = np.stack(
        [_children(truth.velocity_mps[..., axis], shape) for axis in range(2)], axis=-1
    )  # (X, Y, Z, K, 2)
    occupied = semantics != FREE
    seen = (occupied & observed).any(axis=-1)
    coarse_semantics = np.where(seen, _dominant_class(semantics), FREE).astype(np.uint8)
    return OccupancyTruth(
        semantics=coarse_semantics,
        velocity_mps=np.where(seen[..., None], _movable_mean(velocity, semantics), 0.0).astype(
            np.float32
        ),
        observed=seen | (observed.any(axis=-1) & ~occupied.any(axis=-1)),
        lower_m=truth.lower_m,
        upper_m=truth.upper_m,
    )


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


def _dominant_class(semantics: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Most frequent class that is not FREE over the last axis, movable ones first."""
    votes = np.stack(
        [(semantics == number).sum(axis=-1) for number in range(FREE)], axis=-1
    )  # (X, Y, Z, FREE)
    votes[..., list(MOVABLE)] *= semantics.shape[-1] + 1
    return votes.argmax(axis=-1)
