"""What is serialised without ROS is, once ROS decodes it, what the node publishes."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from hand_made_voxels import through_the_wire, voxels_at
from occflow_ros.msg import ClassLegend
from occflow_ros.msg import OccupancyFlow as OccupancyFlowMessage
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, PointCloud2
from tf2_msgs.msg import TFMessage

from occflow_ros.data.drive import Camera, Drive
from occflow_ros.geometry import se3
from occflow_ros.messages import serialised
from occflow_ros.ros import conversions
from occflow_ros.ros.class_legend import legend_message
from occflow_ros.ros.drive_messages import info_message, pose_message

CELLS = [(0, 0, 0), (1, 2, 1), (3, 7, 2)]
VELOCITIES_MPS = [(0.0, 0.0), (np.nan, np.nan), (3.5, -400.0)]
STAMP_NS = 1_600_000_000_000_000_007


@pytest.mark.parametrize("cells", [CELLS, CELLS[:1], []])
@pytest.mark.parametrize("classes", [True, False])
def test_predictions_and_points(cells, classes):
    velocities_mps = np.array(VELOCITIES_MPS)[: len(cells)].reshape(-1, 2)
    class_id = [4, 255, 0][: len(cells)] if classes else None
    voxels = voxels_at(cells, velocities_mps, class_id=class_id)
    found = deserialize_message(serialised.prediction_message(voxels), OccupancyFlowMessage)
    assert found == through_the_wire(conversions.occupancy_flow_message(voxels))
    points = deserialize_message(serialised.points_message(voxels), PointCloud2)
    expected = through_the_wire(conversions.points_message(voxels))
    assert points.data == expected.data
    assert (points.header, points.fields) == (expected.header, expected.fields)
    assert (points.width, points.height, points.point_step, points.row_step) == (
        expected.width,
        expected.height,
        expected.point_step,
        expected.row_step,
    )


def test_the_legend():
    names = ("empty", "car", "lava")
    found = deserialize_message(serialised.legend_message(names), ClassLegend)
    assert found == through_the_wire(legend_message(names))


def test_calibration_and_poses():
    K = np.array([[50.0, 0.0, 20.0], [0.0, 51.0, 10.0], [0.0, 0.0, 1.0]])
    camera = Camera("front", 40, 20, K, np.eye(4), (0.1, 0.2, 0.0, 0.0, 0.3))
    data = serialised.camera_info_message(camera, STAMP_NS, "front_optical_frame")
    assert deserialize_message(data, CameraInfo) == through_the_wire(info_message(camera, STAMP_NS))
    pose = se3.from_quaternion_translation((0.0, 0.6, 0.0, 0.8), (1.0, -2.0, 3.0))
    data = serialised.transforms_message(STAMP_NS, "odom", [("base_link", pose)])
    drive = Drive("street", {"front": camera}, ())
    expected = TFMessage(transforms=[pose_message(drive, pose, STAMP_NS)])
    assert deserialize_message(data, TFMessage) == through_the_wire(expected)
