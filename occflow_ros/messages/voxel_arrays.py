"""The occupied voxels of one prediction as arrays, in the units of its messages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.uint32]

PROBABILITY_SCALE = 0.003921568627451
VELOCITY_SCALE_MPS = 0.01
VELOCITY_UNKNOWN = -32768
"""Constants of `msg/OccupancyFlow.msg`."""

POINT_STEP = 28
POINT_DTYPE = np.dtype(
    {
        "names": ["x", "y", "z", "probability", "vx", "vy", "class"],
        "formats": ["<f4"] * 6 + ["u1"],
        "offsets": [0, 4, 8, 12, 16, 20, 24],
        "itemsize": POINT_STEP,
    }
)
"""A point of `occupancy/points`."""


@dataclass(frozen=True, slots=True)
class VoxelArrays:
    """The occupied voxels of one prediction, on the host.

    Args:
        header: `std_msgs/Header` with the reference time and the ego frame.
        grid: that the voxels belong to.
        interval_s: time over which the velocity is the mean.
        index: (M,) row-major index into the grid, ascending.
        center_m: (M, 3) centres in the ego frame.
        probability: (M,) occupancy probability.
        velocity_mps: (M, 2) velocity over ground along ego x and y; NaN where unknown.
        class_id: (M,) numbered as `~/classes` says, `UNKNOWN_CLASS_ID` where unknown; None where
            no classes are estimated.
    """

    header: Any
    grid: VoxelGrid
    interval_s: float
    index: IndexArray
    center_m: FloatArray
    probability: FloatArray
    velocity_mps: FloatArray
    class_id: npt.NDArray[np.uint8] | None = None

    @property
    def speed_mps(self) -> FloatArray:
        """(M,) speed over ground."""
        x_mps, y_mps = self.velocity_mps.T
        speed_mps: FloatArray = np.sqrt(x_mps * x_mps + y_mps * y_mps)
        return speed_mps

    def select(self, chosen: npt.NDArray[np.integer]) -> VoxelArrays:
        """Some of the voxels, (n,) positions in ascending order."""
        return replace(
            self,
            index=self.index[chosen],
            center_m=self.center_m.take(chosen, axis=0, mode="clip"),
            probability=self.probability[chosen],
            velocity_mps=self.velocity_mps.take(chosen, axis=0, mode="clip"),
            class_id=None if self.class_id is None else self.class_id[chosen],
        )


def cells_of(index: IndexArray, grid: VoxelGrid) -> tuple[IndexArray, IndexArray, IndexArray]:
    """Row-major indices (M,) to those along x, y and z, (M,) each."""
    _, ny, nz = (np.uint32(count) for count in grid.shape)
    column = index // nz
    x = column // ny
    return x, column - x * ny, index - column * nz


def centers_m(index: IndexArray, grid: VoxelGrid) -> FloatArray:
    """Centres in the ego frame of the voxels with these row-major indices, (M, 3)."""
    found_m = np.empty((len(index), 3), np.float32)
    for axis, cells in enumerate(cells_of(index, grid)):
        position = np.arange(grid.shape[axis]) + 0.5
        along_m = grid.lower_m[axis] + position * grid.voxel_size_m[axis]
        found_m[:, axis] = along_m.astype(np.float32).take(cells, mode="clip")
    return found_m


def probability_levels(voxels: VoxelArrays) -> npt.NDArray[np.uint8]:
    """Occupancy probability in steps of 1/255, (M,)."""
    return np.rint(voxels.probability / PROBABILITY_SCALE).astype(np.uint8)


def velocity_levels(voxels: VoxelArrays) -> npt.NDArray[np.int16]:
    """Velocity in steps of the message, (M, 2), clipped to its range."""
    limit = np.iinfo(np.int16).max
    levels = np.rint(voxels.velocity_mps / VELOCITY_SCALE_MPS)
    np.clip(levels, -limit, limit, out=levels)
    levels[np.isnan(levels[:, 0] + levels[:, 1])] = VELOCITY_UNKNOWN
    return levels.astype(np.int16)


def points_of(voxels: VoxelArrays) -> npt.NDArray[np.void]:
    """Voxels as the points of `occupancy/points`, (M,) `POINT_DTYPE`."""
    points = np.zeros(len(voxels.index), POINT_DTYPE)
    points["x"], points["y"], points["z"] = voxels.center_m.T
    points["probability"] = voxels.probability
    points["vx"], points["vy"] = voxels.velocity_mps.T
    points["class"] = UNKNOWN_CLASS_ID if voxels.class_id is None else voxels.class_id
    return points
