"""A drive whose base is moved to the road shows the same world."""

from pathlib import Path

import numpy as np
import pytest

from occflow_ros.data.drive import Box, Camera, CameraSet, Drive, SensorFile
from occflow_ros.data.rebase import on_the_road
from occflow_ros.geometry import se3

K = np.array([[32.0, 0.0, 31.5], [0.0, 32.0, 15.5], [0.0, 0.0, 1.0]])
FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def pose(x_m, y_m, z_m, yaw=0.0):
    sine, cosine = np.sin(yaw), np.cos(yaw)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return se3.from_rotation_translation(turn, (x_m, y_m, z_m))


@pytest.fixture
def drive():
    camera = Camera("front", 64, 32, K, se3.from_rotation_translation(FORWARD, (0.3, 0.0, -0.1)))
    at = pose(5.0, 2.0, 1.0, yaw=0.4)
    later = pose(6.0, 2.0, 1.0, yaw=0.5)
    box = Box("1", "car", pose(10.0, 1.0, -1.0), (4.0, 2.0, 1.5), None)
    one = CameraSet(
        stamp_ns=1,
        odom_T_base=at,
        images={"front": SensorFile(Path("image.png"), 2, later)},
        lidar=SensorFile(Path("sweep.bin"), 1, at),
        boxes=(box,),
        occupancy=Path("truth.npz"),
    )
    return Drive("roof", {"front": camera}, (one,), base_T_lidar=np.eye(4))


def test_the_road_is_at_zero_and_nothing_else_moves_in_the_fixed_frame(drive):
    found = on_the_road(drive, -1.73)
    before, after = drive.sets[0], found.sets[0]
    road = np.array([3.0, -1.0, -1.73, 1.0])
    on_road = se3.inverse(after.odom_T_base) @ before.odom_T_base @ road
    np.testing.assert_allclose(on_road, [3.0, -1.0, 0.0, 1.0], atol=1e-12)
    for name, file in before.images.items():
        np.testing.assert_allclose(
            after.images[name].odom_T_base @ found.cameras[name].base_T_camera,
            file.odom_T_base @ drive.cameras[name].base_T_camera,
        )
    np.testing.assert_allclose(
        after.lidar.odom_T_base @ found.base_T_lidar, before.lidar.odom_T_base @ drive.base_T_lidar
    )
    np.testing.assert_allclose(
        after.odom_T_base @ after.boxes[0].base_T_box,
        before.odom_T_base @ before.boxes[0].base_T_box,
    )
    assert after.occupancy is None


def test_zero_changes_no_pose(drive):
    found = on_the_road(drive, 0.0)
    np.testing.assert_array_equal(found.sets[0].odom_T_base, drive.sets[0].odom_T_base)
