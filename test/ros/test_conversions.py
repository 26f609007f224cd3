"""Messages from arrays equal, once decoded, those built object by object; hand-computed values."""

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy")

from hand_made_voxels import GRID, prediction_with, through_the_wire, voxels_at
from occflow_ros.msg import OccupancyFlow as OccupancyFlowMessage
from sensor_msgs.msg import PointCloud2
from sensor_msgs_py import point_cloud2

from occflow_ros.messages.voxel_arrays import cells_of
from occflow_ros.ros import bench_messages, conversions
from occflow_ros.structures import UNKNOWN_CLASS_ID


@pytest.fixture
def voxels():
    return conversions.voxel_arrays(bench_messages.random_prediction(300), "base_link")


@pytest.fixture
def named():
    """The same with a class for each voxel, some of them unknown."""
    plain = bench_messages.random_prediction(300)
    generator = torch.Generator().manual_seed(1)
    class_id = torch.randint(0, 4, plain.grid.shape, dtype=torch.uint8, generator=generator)
    class_id[class_id == 3] = UNKNOWN_CLASS_ID
    return replace(plain, class_id=class_id, class_names=("car", "road", "empty"))


def test_points_equal_the_ordinary_message(voxels):
    points = through_the_wire(conversions.points_message(voxels))
    ordinary = bench_messages.points_by_object(voxels)
    np.testing.assert_array_equal(
        point_cloud2.read_points(points), point_cloud2.read_points(ordinary)
    )
    assert (points.header, points.fields) == (ordinary.header, ordinary.fields)


def test_occupancy_flow_equals_the_ordinary_message(voxels):
    message = through_the_wire(conversions.occupancy_flow_message(voxels))
    ordinary = through_the_wire(bench_messages.occupancy_flow_by_object(voxels))
    for field in ("header", "origin", "voxel_size", "index", "interval", "class_id"):
        assert getattr(message, field) == getattr(ordinary, field)
    assert message.shape.tolist() == ordinary.shape.tolist()
    assert len(message.class_id) == 0, "the network estimates none"
    assert (np.diff(np.array(message.index, np.int64)) > 0).all()
    for field in ("probability", "velocity_x", "velocity_y"):
        np.testing.assert_allclose(getattr(message, field), getattr(ordinary, field), atol=1)


def test_every_voxel_keeps_its_class_on_the_wire(named):
    voxels = conversions.voxel_arrays(named, "base_link")
    expected = named.class_id[named.occupied].tolist()
    assert set(expected) == {0, 1, 2, UNKNOWN_CLASS_ID}
    message = through_the_wire(conversions.occupancy_flow_message(voxels))
    assert message == through_the_wire(bench_messages.occupancy_flow_by_object(voxels))
    assert message.class_id.tolist() == expected
    points = point_cloud2.read_points(through_the_wire(conversions.points_message(voxels)))
    ordinary = point_cloud2.read_points(bench_messages.points_by_object(voxels))
    np.testing.assert_array_equal(points, ordinary)
    assert points["class"].tolist() == expected


def test_occupancy_flow_of_one_voxel_by_hand():
    prediction = prediction_with(((1, 2, 1), (3.0, -400.0)))
    voxels = conversions.voxel_arrays(prediction, "base_link")
    message = conversions.occupancy_flow_message(voxels)
    assert message.header.frame_id == "base_link"
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (3, 600_000_007)
    assert message.index.tolist() == [(1 * 8 + 2) * 3 + 1]
    assert message.probability.tolist() == [round(255 / (1 + np.exp(-1.0)))]
    assert message.velocity_x.tolist() == [300]
    assert message.velocity_y.tolist() == [-32767], "clipped, and not the unknown value"
    assert (message.origin.x, message.origin.y, message.origin.z) == (-2.0, -4.0, 0.0)


def test_points_lie_at_voxel_centres_and_say_that_the_class_is_unknown():
    voxels = conversions.voxel_arrays(prediction_with(((1, 2, 1), (3.0, 1.0))), "base_link")
    cloud = through_the_wire(conversions.points_message(voxels))
    assert isinstance(cloud, PointCloud2)
    (point,) = point_cloud2.read_points(cloud)
    assert [point[name] for name in ("x", "y", "z", "vx", "vy")] == [-0.5, -1.5, 1.5, 3.0, 1.0]
    assert point["class"] == OccupancyFlowMessage.CLASS_UNKNOWN


def test_classes_and_unknown_velocities_are_told_as_the_messages_define_them():
    voxels = voxels_at([(0, 0, 0), (1, 0, 0)], [(np.nan, 1.0), (-1.0, 2.0)], class_id=[4, 255])
    message = through_the_wire(conversions.occupancy_flow_message(voxels))
    unknown = OccupancyFlowMessage.VELOCITY_UNKNOWN
    assert message.velocity_x.tolist() == [unknown, -100]
    assert message.velocity_y.tolist() == [unknown, 200]
    assert message.class_id.tolist() == [4, 255]
    cloud = point_cloud2.read_points(through_the_wire(conversions.points_message(voxels)))
    assert cloud["class"].tolist() == [4, 255]


def test_voxel_centres_are_those_of_the_grid():
    prediction = bench_messages.random_prediction(500)
    voxels = conversions.voxel_arrays(prediction, "base_link")
    index = torch.from_numpy(voxels.index.astype(np.int64))
    centers_m = prediction.grid.centers_of(index).float().numpy()
    np.testing.assert_allclose(voxels.center_m, centers_m, atol=1e-5)
    cells = np.stack(cells_of(voxels.index, prediction.grid), axis=1)
    np.testing.assert_array_equal(cells, prediction.grid.unflatten_index(index))


def test_nothing_occupied_gives_empty_messages():
    voxels = conversions.voxel_arrays(prediction_with(), "base_link")
    message = through_the_wire(conversions.occupancy_flow_message(voxels))
    assert len(message.index) == len(message.probability) == len(message.velocity_x) == 0
    assert list(message.shape) == list(GRID.shape)
    assert through_the_wire(conversions.points_message(voxels)).width == 0


def test_a_selection_keeps_each_field_of_its_voxels():
    voxels = voxels_at(
        [(0, 0, 0), (1, 0, 0), (2, 0, 1)],
        [(1, 2), (3, 4), (5, 6)],
        probability=[0.5, 0.6, 0.7],
        class_id=[1, 2, 3],
    )
    chosen = voxels.select(np.array([0, 2]))
    assert chosen.index.tolist() == [0, 49], "(2 * 8 + 0) * 3 + 1"
    assert chosen.center_m.tolist() == [[-1.5, -3.5, 0.5], [0.5, -3.5, 1.5]]
    assert chosen.probability.tolist() == pytest.approx([0.5, 0.7])
    assert chosen.velocity_mps.tolist() == [[1, 2], [5, 6]]
    assert chosen.class_id.tolist() == [1, 3]
