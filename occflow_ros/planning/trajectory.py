"""The way a vehicle plans to go, and the space it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Footprint:
    """An upright box around the vehicle, fixed to the frame that its poses are of.

    Args:
        length_m: along the vehicle's x.
        width_m: along its y.
        z_m: lower and upper end of what blocks it; the ground lies below.
        center_x_m: middle of the length, ahead of the frame's origin.
        margin_m: added on all four sides. A voxel counts by its centre: with half a voxel's
            diagonal, √2/2 of its edge, no part of a voxel reaches the vehicle unnoticed.

    Raises:
        ValueError: names what is out of range.
    """

    length_m: float
    width_m: float
    z_m: tuple[float, float]
    center_x_m: float
    margin_m: float

    def __post_init__(self) -> None:
        values = (self.length_m, self.width_m, *self.z_m, self.center_x_m, self.margin_m)
        if not np.isfinite(values).all():
            raise ValueError(f"footprint: expected finite numbers, got {self}")
        if min(self.length_m, self.width_m) <= 0.0:
            raise ValueError(
                f"footprint: expected sizes above 0 m, got {self.length_m} x {self.width_m} m"
            )
        if self.z_m[0] >= self.z_m[1]:
            raise ValueError(f"footprint: expected the lower height first, got {self.z_m}")
        if self.margin_m < 0.0:
            raise ValueError(f"footprint: expected a margin of at least 0 m, got {self.margin_m}")

    @property
    def half_m(self) -> tuple[float, float]:
        """Half the length and half the width, with the margin."""
        return 0.5 * self.length_m + self.margin_m, 0.5 * self.width_m + self.margin_m

    @property
    def reach_m(self) -> float:
        """From the frame's origin to the farthest corner, with the margin."""
        half_length_m, half_width_m = self.half_m
        return math.hypot(abs(self.center_x_m) + half_length_m, half_width_m)


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """Poses over time; between them, position and yaw change evenly, yaw the shorter way round.

    Args:
        time_s: (K,) ascending, K at least 2.
        xy_m: (K, 2) positions.
        yaw_rad: (K,) headings.

    Raises:
        ValueError: names what does not fit.
    """

    time_s: Array
    xy_m: Array
    yaw_rad: Array

    def __post_init__(self) -> None:
        for name in ("time_s", "xy_m", "yaw_rad"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        count = self.time_s.size
        if count < 2:
            raise ValueError(f"trajectory: expected at least 2 poses, got {count}")
        for name, shape in (("time_s", (count,)), ("xy_m", (count, 2)), ("yaw_rad", (count,))):
            array = getattr(self, name)
            if array.shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name}: expected finite numbers")
        if (np.diff(self.time_s) <= 0.0).any():
            raise ValueError("time_s: expected ascending times")

    def at(self, time_s: Array) -> Trajectory:
        """The poses at these ascending times (N,), which must lie within its own."""
        if time_s[0] < self.time_s[0] or time_s[-1] > self.time_s[-1]:
            raise ValueError(
                f"time_s: expected {self.time_s[0]} to {self.time_s[-1]} s,"
                f" got {time_s[0]} to {time_s[-1]} s"
            )
        xy_m = [np.interp(time_s, self.time_s, axis) for axis in self.xy_m.T]
        yaw_rad = np.interp(time_s, self.time_s, np.unwrap(self.yaw_rad))
        return Trajectory(time_s, np.stack(xy_m, axis=1), yaw_rad)

    def starting_at(self, time_s: float) -> Trajectory:
        """What of it lies after a time; raises ValueError where nothing does."""
        if time_s <= self.time_s[0]:
            return self
        if time_s >= self.time_s[-1]:
            raise ValueError(f"trajectory: it ends at {self.time_s[-1]} s, before {time_s} s")
        return self.at(np.append(time_s, self.time_s[self.time_s > time_s]))

    def shifted(self, delay_s: float) -> Trajectory:
        """The same way, this much later."""
        return Trajectory(self.time_s + delay_s, self.xy_m, self.yaw_rad)

    def in_frame_at(self, x_m: float, y_m: float, yaw_rad: float) -> Trajectory:
        """The same way seen from a frame that has this pose in the present one."""
        cosine, sine = math.cos(yaw_rad), math.sin(yaw_rad)
        away_m = self.xy_m - np.array((x_m, y_m))
        xy_m = away_m @ np.array([[cosine, -sine], [sine, cosine]])
        return Trajectory(self.time_s, xy_m, self.yaw_rad - yaw_rad)


def constant_curvature(
    speed_mps: float, curvature_per_m: float, duration_s: float, step_s: float
) -> Trajectory:
    """From the origin along x on a circle of radius 1/curvature, to the left where positive.

    Args:
        speed_mps: along the way.
        curvature_per_m: 0 for straight on.
        duration_s: of the whole way.
        step_s: between two poses at most.

    Raises:
        ValueError: where the duration or the step is not positive.
    """
    if not min(duration_s, step_s) > 0.0:
        raise ValueError(f"expected times above 0 s, got {duration_s} s in steps of {step_s} s")
    time_s = np.linspace(0.0, duration_s, math.ceil(duration_s / step_s) + 1)
    way_m = speed_mps * time_s
    half_rad = 0.5 * curvature_per_m * way_m
    chord_m = way_m * np.sinc(half_rad / np.pi)  # sin(x)/x of half the turn
    xy_m = np.stack((chord_m * np.cos(half_rad), chord_m * np.sin(half_rad)), axis=1)
    return Trajectory(time_s, xy_m, 2.0 * half_rad)
