"""A small drive made by hand: two cameras and a LiDAR pass a car that drives ahead of the ego."""

from types import SimpleNamespace

import numpy as np
import pytest

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import Box, Camera, Drive, OccupancyTruth
from occflow_ros.data.drive_writer import Capture, CapturedSet
from occflow_ros.geometry import se3

HEIGHT_PX, WIDTH_PX = 24, 32
START_NS = 1_600_000_000_000_000_000
KEYFRAME_NS = 500_000_000
EGO_MPS = 6.0
CAR_MPS = 8.0
OPTICAL = ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))


def pose_at(stamp_ns):
    """The ego drives north-west at 45° with 6 m/s from (100, 200, 0)."""
    travelled_m = EGO_MPS * (stamp_ns - START_NS) * 1e-9
    yaw = np.pi / 4
    quat_xyzw = (0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2))
    position_m = (100 + travelled_m * np.cos(yaw), 200 + travelled_m * np.sin(yaw), 0)
    return se3.from_quaternion_translation(quat_xyzw, position_m)


def camera(name, x_m):
    K = np.array([[20.0, 0.0, 15.5], [0.0, 20.0, 11.5], [0.0, 0.0, 1.0]])
    return Camera(name, WIDTH_PX, HEIGHT_PX, K, se3.from_rotation_translation(OPTICAL, (x_m, 0, 1)))


def header():
    return Drive(
        name="scene-0001",
        cameras={"cam_front": camera("cam_front", 1.5), "cam_back": camera("cam_back", -1.5)},
        sets=(),
        base_T_lidar=se3.from_rotation_translation(np.eye(3), (0.0, 0.0, 1.8)),
        fixed_frame="map",
        licence="none",
        notes="made by hand",
    )


def image(value):
    return np.full((HEIGHT_PX, WIDTH_PX, 3), (value, 2 * value, 255 - value), dtype=np.uint8)


def capture(content, stamp_ns):
    return Capture(content, stamp_ns, pose_at(stamp_ns))


def car(stamp_ns):
    """10 m ahead at the start, 2 m/s faster than the ego."""
    ahead_m = 10.0 + (CAR_MPS - EGO_MPS) * (stamp_ns - START_NS) * 1e-9
    base_T_box = se3.from_rotation_translation(np.eye(3), (ahead_m, 0.0, 0.75))
    return Box("7", "vehicle.car", base_T_box, (4.0, 2.0, 1.5), (CAR_MPS, 0.0))


def truth(value):
    semantics = np.full((4, 4, 2), FREE, dtype=np.uint8)
    semantics[value, 1, 0] = NAMES.index("car")
    velocity_mps = np.zeros((4, 4, 2, 2), dtype=np.float32)
    velocity_mps[value, 1, 0] = (CAR_MPS, -0.5)
    return OccupancyTruth(
        semantics, velocity_mps, semantics != FREE, (0.0, -4.0, -1.0), (8.0, 4.0, 3.0)
    )


def keyframe(index):
    """Cameras fire 40 and 10 ms before the LiDAR ends its turn."""
    stamp_ns = START_NS + index * KEYFRAME_NS
    points_m = np.array([[10.0, 0.5, -1.0], [0.0, 0.0, 5.0], [-3.0, 2.0, 0.0]], np.float32)
    return CapturedSet(
        stamp_ns=stamp_ns,
        odom_T_base=pose_at(stamp_ns),
        images={
            "cam_front": capture(image(10 + index), stamp_ns - 40_000_000),
            "cam_back": capture(image(60 + index), stamp_ns - 10_000_000),
        },
        lidar=capture(points_m, stamp_ns),
        boxes=(car(stamp_ns),),
        occupancy=truth(index % 4),
    )


def sweep(stamp_ns, names=("cam_front", "cam_back")):
    return CapturedSet(
        stamp_ns=stamp_ns,
        odom_T_base=pose_at(stamp_ns),
        images={name: capture(image(90), stamp_ns - 20_000_000) for name in names},
        lidar=capture(np.ones((2, 3), np.float32), stamp_ns),
        keyframe=False,
    )


@pytest.fixture
def made():
    """What this module makes, for tests that write their own drives."""
    return SimpleNamespace(**globals())
