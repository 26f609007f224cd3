"""Occupied voxels and their velocities, and what lies at a point or in a box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
Indices = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]
Triple = tuple[float, float, float]

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class OrientedBox:
    """An upright box.

    Args:
        center_m: its middle (x, y, z).
        size_lwh_m: length, width, height.
        yaw_rad: of its length against x.
    """

    center_m: Triple
    size_lwh_m: Triple
    yaw_rad: float

    def __post_init__(self) -> None:
        if not np.isfinite((*self.center_m, *self.size_lwh_m, self.yaw_rad)).all():
            raise ValueError(f"box: expected finite numbers, got {self}")
        if min(self.size_lwh_m) <= 0.0:
            raise ValueError(f"size_lwh_m: expected sizes above 0 m, got {self.size_lwh_m}")

    def contains(self, points_m: FloatArray) -> Mask:
        """Which points (N, 3) lie inside or on its faces, (N,)."""
        away_m = points_m - np.array(self.center_m)
        cosine, sine = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        local_m = np.stack(
            (
                cosine * away_m[:, 0] + sine * away_m[:, 1],
                cosine * away_m[:, 1] - sine * away_m[:, 0],
                away_m[:, 2],
            ),
            axis=1,
        )
        inside: Mask = (np.abs(local_m) <= 0.5 * np.array(self.size_lwh_m)).all(axis=1)
        return inside


@dataclass(frozen=True, slots=True, eq=False)
class VoxelSamples:
    """What the map says at N points.

    Args:
        inside: (N,) whether the point lies in the grid; outside nothing is known.
        occupied: (N,) whether the voxel that contains the point is listed as occupied.
        probability: (N,) of occupancy, NaN where not listed, which means free or not observed.
        velocity_mps: (N, 2) over ground along x and y, NaN where not listed or unknown.
    """

    inside: Mask
    occupied: Mask
    probability: FloatArray
    velocity_mps: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class OccupancyFlowMap:
    """The M occupied voxels of one prediction, in the base frame at its stamp.

    Args:
        stamp_ns: reference time.
        frame_id: name of the base frame.
        origin_m: lower corner (x, y, z) of voxel (0, 0, 0).
        voxel_size_m: edge lengths.
        shape: number of voxels along (x, y, z).
        index: (M,) row-major index into the grid, ascending.
        probability: (M,) of occupancy, in [0, 1].
        velocity_mps: (M, 2) over ground along x and y, NaN where unknown.
        interval_s: the velocity is the mean over this time after the stamp.

    Raises:
        ValueError: where lengths differ, or an index is out of order or outside the grid.
    """

    stamp_ns: int
    frame_id: str
    origin_m: Triple
    voxel_size_m: Triple
    shape: tuple[int, int, int]
    index: Indices
    probability: FloatArray
    velocity_mps: FloatArray
    interval_s: float
    center_m: FloatArray = field(init=False, repr=False)
    """(M, 3) voxel centres."""

    def __post_init__(self) -> None:
        count = len(self.index)
        for name, array, shape in (
            ("index", self.index, (count,)),
            ("probability", self.probability, (count,)),
            ("velocity_mps", self.velocity_mps, (count, 2)),
        ):
            if array.shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
        if not all(size > 0.0 for size in self.voxel_size_m):
            raise ValueError(f"voxel_size_m: expected sizes above 0 m, got {self.voxel_size_m}")
        if count and (np.diff(self.index) <= 0).any():
            raise ValueError("index: expected ascending numbers")
        if count and not 0 <= self.index[0] <= self.index[-1] < np.prod(self.shape):
            raise ValueError(f"index: expected voxels of a grid of shape {self.shape}")
        place = np.stack(np.unravel_index(self.index, self.shape), axis=1)  # (M, 3)
        center_m = np.array(self.origin_m) + (place + 0.5) * np.array(self.voxel_size_m)
        object.__setattr__(self, "center_m", center_m)

    @classmethod
    def from_message(cls, message: Any) -> OccupancyFlowMap:
        """The map of an `occflow_ros/msg/OccupancyFlow`, read by its attributes alone.

        Raises:
            ValueError: where the arrays of the message do not belong together.
        """
        index = np.asarray(message.index).astype(np.int64)
        raw = np.stack((np.asarray(message.velocity_x), np.asarray(message.velocity_y)), axis=1)
        unknown = (raw == message.VELOCITY_UNKNOWN).any(axis=1)
        velocity_mps = np.where(unknown[:, None], np.nan, raw * float(message.VELOCITY_SCALE))
        stamp, origin, size = message.header.stamp, message.origin, message.voxel_size
        nx, ny, nz = (int(count) for count in message.shape)
        return cls(
            stamp_ns=stamp.sec * NS_PER_S + stamp.nanosec,
            frame_id=message.header.frame_id,
            origin_m=(origin.x, origin.y, origin.z),
            voxel_size_m=(size.x, size.y, size.z),
            shape=(nx, ny, nz),
            index=index,
            probability=np.asarray(message.probability) * float(message.PROBABILITY_SCALE),
            velocity_mps=velocity_mps,
            interval_s=float(message.interval),
        )

    @property
    def motion_mps(self) -> FloatArray:
        """(M, 2) velocity that is assumed: a voxel whose velocity is unknown stands."""
        return np.nan_to_num(self.velocity_mps, nan=0.0)

    def centers_at(self, time_s: float) -> FloatArray:
        """Voxel centres (M, 3) at a time after the stamp: p + v·t, at constant velocity."""
        moved_m = self.center_m.copy()
        moved_m[:, :2] += time_s * self.motion_mps
        return moved_m

    def sample(self, points_m: FloatArray) -> VoxelSamples:
        """What the map says at points (N, 3), at its stamp.

        Raises:
            ValueError: where the points have another shape.
        """
        points_m = np.asarray(points_m, dtype=np.float64)
        if points_m.ndim != 2 or points_m.shape[1] != 3:
            raise ValueError(f"points_m: expected (N, 3), got {points_m.shape}")
        place = np.floor((points_m - np.array(self.origin_m)) / np.array(self.voxel_size_m))
        inside = ((place >= 0) & (place < np.array(self.shape))).all(axis=1)
        flat = np.full(len(points_m), -1)
        flat[inside] = np.ravel_multi_index(tuple(place[inside].astype(np.int64).T), self.shape)
        row = np.searchsorted(self.index, flat)
        listed = np.append(self.index, -2)[row] == flat  # a row past the end matches nothing
        probability = np.full(len(points_m), np.nan)
        velocity_mps = np.full((len(points_m), 2), np.nan)
        probability[listed] = self.probability[row[listed]]
        velocity_mps[listed] = self.velocity_mps[row[listed]]
        return VoxelSamples(inside, listed, probability, velocity_mps)

    def rows_in_box(self, box: OrientedBox, time_s: float) -> Indices:
        """Rows (K,) of the arrays whose voxel centre lies in the box at a time after the stamp.

        Time 0 asks for the map as it is. Without any such voxel the result is empty.
        """
        return np.flatnonzero(box.contains(self.centers_at(time_s)))
