"""Runs of frames between jumps: what no stage looks across."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from occflow_ros.offboard.recording import RecordingInfo

MAX_SPEED_MPS = 60.0
"""Of the base between two frames; faster is a jump of the pose. 216 km/h."""
MAX_TURN_RADPS = np.pi
"""Of the base between two frames; more than half a turn a second is a jump."""
MAX_GAP_S = 2.0
"""Between two frames of a recording at 2 Hz or more; a longer time is a gap."""
MAX_GAP_INTERVALS = 4.0
"""The same in median intervals, of a recording with fewer frames than that."""


def segments(info: RecordingInfo) -> tuple[range, ...]:
    """Runs of places without a jump of the pose or a long gap in time, in order.

    Together they hold each place once. A pose jumps where it would take more than `MAX_SPEED_MPS`
    or `MAX_TURN_RADPS` to get from one frame to the next; a gap is longer than `MAX_GAP_S` and than
    `MAX_GAP_INTERVALS` median intervals.
    """
    interval_s = np.diff(info.times_s)
    if not len(interval_s):
        return (range(len(info)),)
    rotation, position_m = info.world_T_base[:, :3, :3], info.world_T_base[:, :3, 3]
    way_m = np.linalg.norm(np.diff(position_m, axis=0), axis=-1)
    turn = Rotation.from_matrix(np.swapaxes(rotation[:-1], -1, -2) @ rotation[1:])
    parted = (
        (way_m > MAX_SPEED_MPS * interval_s)
        | (turn.magnitude() > MAX_TURN_RADPS * interval_s)
        | (interval_s > max(MAX_GAP_S, MAX_GAP_INTERVALS * float(np.median(interval_s))))
    )
    starts = [0, *(np.flatnonzero(parted) + 1).tolist(), len(info)]
    return tuple(range(start, stop) for start, stop in pairwise(starts))
