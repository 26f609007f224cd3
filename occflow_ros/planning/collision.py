"""When a vehicle on its way meets occupancy that moves by its flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occflow_ros.planning.flow_map import FloatArray, Indices, OccupancyFlowMap, Triple
from occflow_ros.planning.trajectory import Array, Footprint, Trajectory

PATH_TOLERANCE_M = 0.005
"""A voxel that misses or enters the footprint by less than this may be judged either way."""

_PIECES_PER_CHUNK = 8
_STANDING_M = 1e-12


@dataclass(frozen=True, slots=True)
class Collision:
    """The first contact.

    Args:
        time_s: after the map's stamp.
        row: of the voxel in the map's arrays.
        position_m: centre (x, y, z) of the voxel at that time.
        velocity_mps: of the voxel over ground, NaN where unknown (it was taken to stand).
        probability: that it is occupied.
    """

    time_s: float
    row: int
    position_m: Triple
    velocity_mps: tuple[float, float]
    probability: float


def first_collision(
    flow_map: OccupancyFlowMap, trajectory: Trajectory, footprint: Footprint
) -> Collision | None:
    """The first voxel that the vehicle meets on its way, None where the way is free.

    A voxel moves as its centre does, p(t) = p + v·t, with t from the map's stamp and v its constant
    velocity over ground; one of unknown velocity stands. It is met when its centre lies in the
    footprint with its margin. Nothing outside the map, before the first pose or after the last is
    checked.

    In the vehicle's frame a voxel's way is straight where the yaw is constant, and the time of
    entry follows from where it crosses the four sides: exact. Where the vehicle turns, the way is
    cut into pieces so short that their chords lie within `PATH_TOLERANCE_M` of it.

    Args:
        flow_map: in the base frame at its stamp.
        trajectory: of the base, in the same frame, times after the map's stamp.
        footprint: of the vehicle.

    Raises:
        ValueError: where the trajectory begins before the map's stamp.
    """
    if trajectory.time_s[0] < 0.0:
        raise ValueError(
            f"trajectory: expected times from the map's stamp on, got {trajectory.time_s[0]} s"
        )
    lower_m, upper_m = footprint.z_m
    height_m, motion_mps = flow_map.center_m[:, 2], flow_map.motion_mps
    rows: Indices = np.flatnonzero((height_m >= lower_m) & (height_m <= upper_m))
    rows = _near(flow_map.center_m, motion_mps, rows, trajectory, footprint)
    if not len(rows):
        return None
    top_speed_mps = float(np.hypot(*motion_mps[rows].T).max())
    pieces = _cut(trajectory, footprint, top_speed_mps)
    for first in range(0, len(pieces.time_s) - 1, _PIECES_PER_CHUNK):
        part = slice(first, first + _PIECES_PER_CHUNK + 1)
        chunk = Trajectory(pieces.time_s[part], pieces.xy_m[part], pieces.yaw_rad[part])
        near = _near(flow_map.center_m, motion_mps, rows, chunk, footprint)
        if len(near):
            center_m, velocity_mps = flow_map.center_m[near, :2], motion_mps[near]
            entry_s = _entry_times(center_m, velocity_mps, chunk, footprint)
            if np.isfinite(earliest_s := entry_s.min()):
                return _collision(flow_map, int(near[entry_s.argmin()]), float(earliest_s))
    return None


def _near(
    center_m: FloatArray,
    motion_mps: FloatArray,
    rows: Indices,
    trajectory: Trajectory,
    footprint: Footprint,
) -> Indices:
    """Those of the rows whose way's bounding rectangle touches that of the vehicle's way."""
    reach_m = footprint.reach_m
    near = np.ones(len(rows), dtype=bool)
    for axis in range(2):
        place_m, speed_mps = center_m[rows, axis], motion_mps[rows, axis]
        start_m = place_m + trajectory.time_s[0] * speed_mps
        end_m = place_m + trajectory.time_s[-1] * speed_mps
        near &= np.maximum(start_m, end_m) >= trajectory.xy_m[:, axis].min() - reach_m
        near &= np.minimum(start_m, end_m) <= trajectory.xy_m[:, axis].max() + reach_m
    return rows[near]


def _cut(trajectory: Trajectory, footprint: Footprint, top_speed_mps: float) -> Trajectory:
    """The trajectory with poses so dense that chords in its frame are within the tolerance.

    A voxel at r(t) from the vehicle appears at q = R(−θ)·r with |q''| ≤ θ'²|r| + 2θ'|r'|. Over a
    piece in which the yaw turns by a, the distance changes by at most d, and the footprint is
    touched, so that |r| ≤ reach + d, its chord is within (a²(reach + d) + 2·a·d)/8 of q.
    """
    duration_s = np.diff(trajectory.time_s)
    turn_rad = np.abs(np.diff(np.unwrap(trajectory.yaw_rad)))
    way_m = np.hypot(*np.diff(trajectory.xy_m, axis=0).T) + top_speed_mps * duration_s
    bend_m = (turn_rad**2 * (footprint.reach_m + way_m) + 2.0 * turn_rad * way_m) / 8.0
    counts = np.maximum(np.ceil(np.sqrt(bend_m / PATH_TOLERANCE_M)), 1).astype(np.int64)
    if counts.max() == 1:
        return trajectory
    starts = [
        start_s + length_s * np.arange(count) / count
        for start_s, length_s, count in zip(trajectory.time_s, duration_s, counts)
    ]
    return trajectory.at(np.append(np.concatenate(starts), trajectory.time_s[-1]))


def _entry_times(
    center_m: FloatArray, velocity_mps: FloatArray, trajectory: Trajectory, footprint: Footprint
) -> Array:
    """When each voxel (M,) first lies in the footprint, inf where it never does."""
    local_m = _in_vehicle(center_m, velocity_mps, trajectory, footprint.center_x_m)
    start_m, step_m = local_m[:, :-1], np.diff(local_m, axis=1)  # (2, P, M)
    step_m = np.where(np.abs(step_m) < _STANDING_M, _STANDING_M, step_m)
    half_m = np.array(footprint.half_m)[:, None, None]
    crossings = (np.stack((-half_m, half_m)) - start_m) / step_m  # (2 sides, 2 axes, P, M)
    entry = np.maximum(crossings.min(axis=0).max(axis=0), 0.0)  # (P, M), share of the piece
    leave = np.minimum(crossings.max(axis=0).min(axis=0), 1.0)
    piece_s = np.diff(trajectory.time_s)[:, None]
    entry_s = np.where(entry <= leave, trajectory.time_s[:-1, None] + entry * piece_s, np.inf)
    first_s: Array = entry_s.min(axis=0)
    return first_s


def _in_vehicle(
    center_m: FloatArray, velocity_mps: FloatArray, trajectory: Trajectory, center_x_m: float
) -> Array:
    """Voxels seen from the middle of the footprint, along its length and width, (2, P + 1, M)."""
    away_m = [
        center_m[:, axis]
        + trajectory.time_s[:, None] * velocity_mps[:, axis]
        - trajectory.xy_m[:, axis, None]
        for axis in range(2)
    ]
    cosine = np.cos(trajectory.yaw_rad)[:, None]
    sine = np.sin(trajectory.yaw_rad)[:, None]
    return np.stack(
        (
            cosine * away_m[0] + sine * away_m[1] - center_x_m,
            cosine * away_m[1] - sine * away_m[0],
        )
    )


def _collision(flow_map: OccupancyFlowMap, row: int, time_s: float) -> Collision:
    x_m, y_m = flow_map.center_m[row, :2] + time_s * flow_map.motion_mps[row]
    vx_mps, vy_mps = flow_map.velocity_mps[row]
    return Collision(
        time_s=time_s,
        row=row,
        position_m=(float(x_m), float(y_m), float(flow_map.center_m[row, 2])),
        velocity_mps=(float(vx_mps), float(vy_mps)),
        probability=float(flow_map.probability[row]),
    )
