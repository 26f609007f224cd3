"""Voxels of the fixed frame, in regions of which each is mapped by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from occflow_ros.geometry.se3 import Array, transform_points
from occflow_ros.offboard.recording import RecordingInfo
from occflow_ros.structures import VoxelGrid

Index = tuple[int, int, int]
Boxes = npt.NDArray[np.int64]

_SLACK = 1e-6  # voxels; far more than the rounding of a position


@dataclass(frozen=True, slots=True)
class Lattice:
    """Voxels along the axes of the fixed frame; those of all maps of one size lie on one another.

    Voxel i covers phase + i · size up to phase + (i + 1) · size along each axis.

    Args:
        voxel_size_m: along x, y and z.
        phase_m: of the edges; as a frame at the origin of the fixed frame has them, so that flat
            ground stays one voxel thick.
        lower: smallest index (x, y, z) of the map.
        shape: number of voxels along (x, y, z).
        region_shape: of the regions, which count from `lower`.

    Raises:
        ValueError: where a size or shape is not positive.
    """

    voxel_size_m: tuple[float, float, float]
    phase_m: tuple[float, float, float]
    lower: Index
    shape: Index
    region_shape: Index

    def __post_init__(self) -> None:
        if not all(0.0 < size_m < math.inf for size_m in self.voxel_size_m):
            raise ValueError(f"voxel_size_m: expected positive sizes, got {self.voxel_size_m}")
        if any(count < 1 for count in (*self.shape, *self.region_shape)):
            raise ValueError(f"expected positive shapes, got {self.shape}, {self.region_shape}")

    @property
    def lower_m(self) -> Array:
        """(3,) smallest corner of the map in the fixed frame."""
        return np.array(self.phase_m) + np.array(self.lower) * self.voxel_size_m

    def centers_m(self, index: npt.NDArray[np.integer]) -> Array:
        """Centres (..., 3) in the fixed frame of the voxels with indices (..., 3)."""
        return np.array(self.phase_m) + (index + 0.5) * np.array(self.voxel_size_m)

    def region(self, number: Index) -> tuple[Index, Index]:
        """Smallest index and shape of a region, which ends where the map does."""
        start = [place * count for place, count in zip(number, self.region_shape)]
        shape = (
            min(part, whole - at) for at, part, whole in zip(start, self.region_shape, self.shape)
        )
        lower = (first + at for first, at in zip(self.lower, start))
        return _three(lower), _three(shape)

    def regions_of(self, box: Boxes) -> Iterator[Index]:
        """Numbers of the regions that a box (2, 3) of indices, its end excluded, reaches into."""
        first, last = (np.array((box[0], box[1] - 1)) - self.lower) // self.region_shape
        ranges = [range(a, b + 1) for a, b in zip(first.tolist(), last.tolist())]
        return (_three(number) for number in product(*ranges))


def lattice_around(
    infos: Sequence[RecordingInfo], voxel_size_m: float | None, region_shape: Index
) -> Lattice:
    """The smallest one that holds all frames of recordings on one grid.

    Args:
        infos: of the recordings.
        voxel_size_m: edge of its voxels; None for the size of those of the recordings.
        region_shape: of its regions.
    """
    grid = infos[0].grid
    size_m = grid.voxel_size_m if voxel_size_m is None else (voxel_size_m,) * 3
    phase_m = tuple(
        round(math.remainder(lower, size), 9) for lower, size in zip(grid.lower_m, size_m)
    )
    boxes = np.concatenate([frame_boxes(info, size_m, phase_m) for info in infos])
    lower, upper = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
    return Lattice(
        size_m, _floats(phase_m), _three(lower), _three(upper - lower), _three(region_shape)
    )


def frame_boxes(
    info: RecordingInfo, voxel_size_m: Sequence[float], phase_m: Sequence[float]
) -> Boxes:
    """(T, 2, 3) first indices, and those past the last, of voxels whose centre a frame may hold."""
    corners_m = _corners_m(info.grid)  # (8, 3)
    there_m = np.stack([transform_points(pose, corners_m) for pose in info.world_T_base])
    index = (there_m - np.array(phase_m)) / np.array(voxel_size_m)  # (T, 8, 3)
    first = np.ceil(index.min(axis=1) - 0.5 - _SLACK)
    last = np.floor(index.max(axis=1) - 0.5 + _SLACK)
    return np.stack((first, last + 1), axis=1).astype(np.int64)


def _corners_m(grid: VoxelGrid) -> Array:
    return np.array(list(product(*zip(grid.lower_m, grid.upper_m))))


def _three(values: object) -> Index:
    x, y, z = (int(value) for value in values)  # type: ignore[attr-defined]
    return x, y, z


def _floats(values: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = values
    return x, y, z
