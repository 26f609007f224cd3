"""Where annotated objects are at any time of a drive, and how they move."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from occflow_ros.data.drive import Box, Drive
from occflow_ros.data.scene import MOVING_MPS
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3

MAX_INTERVAL_S = 1.5
"""Between annotations farther apart nothing is said of an object, as in nuscenes-devkit."""
HOLD_S = 0.1
"""So long before and after its annotations an object counts as standing where it was."""
MAX_YAW_RATE_RAD_PER_S = 1.0
"""Boxes that turn faster were annotated the other way round."""

_NS = 1e-9


@dataclass(frozen=True, slots=True)
class Knot:
    """One annotation of an object.

    Args:
        stamp_ns: of its set.
        odom_T_box: (4, 4) box frame to the fixed frame.
        size_lwh_m: length, width, height.
    """

    stamp_ns: int
    odom_T_box: se3.Array
    size_lwh_m: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Motion:
    """Motion of an object over ground.

    Args:
        velocity_mps: (x, y) of the centre of its box in base axes, NaN where unknown.
        yaw_rate_rad_per_s: about z, 0 where unknown.
    """

    velocity_mps: tuple[float, float]
    yaw_rate_rad_per_s: float


Tracks = Mapping[str, list[Knot]]


def read_tracks(drive: Drive) -> Tracks:
    """Annotations of each object in time order, by its id.

    Raises:
        DataError: where two boxes of a set have the same id.
    """
    tracks: dict[str, list[Knot]] = {}
    for camera_set in drive.sets:
        for box in camera_set.boxes or ():
            knots = tracks.setdefault(box.id, [])
            if knots and knots[-1].stamp_ns == camera_set.stamp_ns:
                raise DataError(
                    f"{drive.name}: expected each box of a set to have its own id, got two of"
                    f" {box.id!r} at {camera_set.stamp_ns} ns"
                )
            odom_T_box = camera_set.odom_T_base @ box.base_T_box
            knots.append(Knot(camera_set.stamp_ns, odom_T_box, box.size_lwh_m))
    return tracks


def boxes_at(tracks: Tracks, stamp_ns: int) -> dict[str, Knot]:
    """Each object that is known at a time, by its id; between annotations it is interpolated."""
    placed = {track: _placed(knots, stamp_ns) for track, knots in tracks.items()}
    return {track: knot for track, knot in placed.items() if knot is not None}


def motion_of(tracks: Tracks, box: Box, stamp_ns: int, odom_T_base: se3.Array) -> Motion:
    """Motion of a box of the set at a stamp and pose.

    The velocity is that of the annotation, and where it has none the displacement between the
    neighbouring annotations over the time between them; the yaw rate always comes from these.
    Parked objects do not turn.
    """
    first, last = _neighbours(tracks[box.id], stamp_ns)
    interval_s = _NS * (last.stamp_ns - first.stamp_ns)
    velocity_mps = box.velocity_mps
    if velocity_mps is None:
        velocity_mps = _displacement_mps(first, last, interval_s, odom_T_base)
    moves = math.hypot(*velocity_mps) > MOVING_MPS  # not so where it is NaN
    return Motion(velocity_mps, _yaw_rate_rad_per_s(first, last, interval_s) if moves else 0.0)


def _placed(knots: list[Knot], stamp_ns: int) -> Knot | None:
    after = bisect_right(knots, stamp_ns, key=lambda knot: knot.stamp_ns)
    around = knots[max(after - 1, 0) : after + 1]
    nearest = min(around, key=lambda knot: abs(knot.stamp_ns - stamp_ns))
    if len(around) == 2 and around[0].stamp_ns < stamp_ns:
        interval_ns = around[1].stamp_ns - around[0].stamp_ns
        if _NS * interval_ns <= MAX_INTERVAL_S:
            fraction = (stamp_ns - around[0].stamp_ns) / interval_ns
            pose = se3.interpolate(around[0].odom_T_box, around[1].odom_T_box, fraction)
            return Knot(stamp_ns, pose, nearest.size_lwh_m)
    return nearest if _NS * abs(nearest.stamp_ns - stamp_ns) <= HOLD_S else None


def _neighbours(knots: list[Knot], stamp_ns: int) -> tuple[Knot, Knot]:
    """The annotations before and after the one at a stamp, itself where there is none near."""
    here = next(number for number, knot in enumerate(knots) if knot.stamp_ns == stamp_ns)
    near = [
        knot
        for knot in knots[max(here - 1, 0) : here + 2]
        if _NS * abs(knot.stamp_ns - stamp_ns) <= MAX_INTERVAL_S
    ]
    return near[0], near[-1]


def _displacement_mps(
    first: Knot, last: Knot, interval_s: float, odom_T_base: se3.Array
) -> tuple[float, float]:
    if interval_s == 0.0:
        return math.nan, math.nan
    moved_m = last.odom_T_box[:3, 3] - first.odom_T_box[:3, 3]
    x, y, _ = odom_T_base[:3, :3].T @ moved_m / interval_s
    return float(x), float(y)


def _yaw_rate_rad_per_s(first: Knot, last: Knot, interval_s: float) -> float:
    if interval_s == 0.0:
        return 0.0
    turn = last.odom_T_box[:3, :3] @ first.odom_T_box[:3, :3].T
    rate = float(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])) / interval_s
    return rate if abs(rate) <= MAX_YAW_RATE_RAD_PER_S else 0.0
