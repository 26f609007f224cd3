"""Runs end where the pose jumps or time has a gap, and nowhere else."""

import numpy as np
import pytest

from occflow_ros.data.vocabulary import OCCUPANCY
from occflow_ros.geometry import se3
from occflow_ros.offboard.recording import RecordingInfo
from occflow_ros.offboard.segments import segments
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2, 2, 2))


def recording(times_s, x_m=None, yaw_deg=None):
    count = len(times_s)
    x_m = np.zeros(count) if x_m is None else x_m
    yaws = np.radians(np.zeros(count) if yaw_deg is None else yaw_deg)
    poses = [
        se3.from_quaternion_translation((0, 0, np.sin(yaw / 2), np.cos(yaw / 2)), (x, 0, 0))
        for x, yaw in zip(x_m, yaws)
    ]
    return RecordingInfo(
        name="street",
        grid=GRID,
        vocabulary=OCCUPANCY,
        frame_names=tuple(map(str, range(count))),
        stamps_ns=tuple(round(1e9 * time_s) for time_s in times_s),
        world_T_base=np.stack(poses),
    )


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"times_s": [0.0]}, [1]),
        ({"times_s": [0.0, 0.5, 1.0], "x_m": [0.0, 29.9, 59.8]}, [3]),  # 59.8 m/s
        ({"times_s": [0.0, 0.5, 1.0], "x_m": [0.0, 29.9, 60.0]}, [2, 1]),  # 60.2 m/s
        ({"times_s": [0.0, 0.1, 0.2], "x_m": [0.0, -500.0, -499.0]}, [1, 2]),
        ({"times_s": [0.0, 0.5, 1.0], "yaw_deg": [0.0, 89.0, 178.0]}, [3]),
        ({"times_s": [0.0, 0.5, 1.0], "yaw_deg": [0.0, 0.0, 91.0]}, [2, 1]),
        ({"times_s": [0.0, 0.1, 0.2], "yaw_deg": [0.0, 179.0, 179.0]}, [1, 2]),
        ({"times_s": [0.0, 0.5, 1.0, 3.0, 3.5]}, [5]),  # 2 s are no gap
        ({"times_s": [0.0, 0.5, 1.0, 3.1, 3.6]}, [3, 2]),
        ({"times_s": [0.0, 3.0, 6.0, 18.0, 21.0]}, [5]),  # four intervals of one in 3 s
        ({"times_s": [0.0, 3.0, 6.0, 18.1, 21.1]}, [3, 2]),
    ],
)
def test_runs_end_at_jumps_and_gaps(values, parts):
    found = segments(recording(**values))
    assert [len(part) for part in found] == parts
    assert [place for part in found for place in part] == list(range(sum(parts)))
