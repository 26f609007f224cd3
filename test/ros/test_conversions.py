"""Messages from arrays equal, once decoded, those built object by object; hand-computed values."""

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy")

from occflow_ros.msg import OccupancyFlow as OccupancyFlowMessage
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2
from sensor_msgs_py import point_cloud2
from visualization_msgs.msg import Marker, MarkerArray

from occflow_ros.errors import ConfigError
from occflow_ros.ros import bench_messages, conversions, markers
from occflow_ros.ros.costmap import CostmapConverter, seen
from occflow_ros.structures import CameraRig, Frame, OccupancyFlow, VoxelGrid

GRID = VoxelGrid((-2.0, -4.0, 0.0), (2.0, 4.0, 3.0), (4, 8, 3))


@pytest.fixture
def voxels():
    return conversions.voxel_arrays(bench_messages.random_prediction(300), "base_link")


def prediction_with(occupied, velocity_mps=(0.0, 0.0)):
    """A prediction on GRID with SDF -0.1 m in the named voxels and +1 m elsewhere."""
    sdf_m = torch.ones(GRID.shape)
    flow_m = torch.zeros(*GRID.shape, 2)
    for voxel in occupied:
        sdf_m[voxel] = -0.1
        flow_m[voxel] = torch.tensor(velocity_mps) * 0.5
    return OccupancyFlow(
        stamp_ns=3_000_000_007,
        grid=GRID,
        sdf_m=sdf_m,
        flow_m=flow_m,
        interval_s=0.5,
        sharpness_per_m=10.0,
        level_m=0.1,
    )


def through_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


def decoded_markers(data):
    return deserialize_message(data, MarkerArray)


def test_occupancy_markers_decode_to_the_ordinary_message(voxels):
    ordinary = bench_messages.occupancy_markers_by_object(voxels, 1.25)
    assert decoded_markers(markers.occupancy_markers(voxels, 1.25)) == through_the_wire(ordinary)


def test_flow_markers_decode_to_the_ordinary_message(voxels):
    ordinary = bench_messages.flow_markers_by_object(voxels, 0.5)
    data = markers.flow_markers(voxels, 0.5, flow_min_mps=0.5, max_arrows=2000)
    assert decoded_markers(data) == through_the_wire(ordinary)


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
    for field in ("probability", "velocity_x", "velocity_y"):
        np.testing.assert_allclose(getattr(message, field), getattr(ordinary, field), atol=1)


def test_occupancy_flow_of_one_voxel_by_hand():
    prediction = prediction_with([(1, 2, 1)], velocity_mps=(3.0, -400.0))
    voxels = conversions.voxel_arrays(prediction, "base_link")
    message = conversions.occupancy_flow_message(voxels)
    assert message.header.frame_id == "base_link"
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (3, 7)
    assert message.index.tolist() == [(1 * 8 + 2) * 3 + 1]
    assert message.probability.tolist() == [round(255 / (1 + np.exp(-1.0)))]
    assert message.velocity_x.tolist() == [300]
    assert message.velocity_y.tolist() == [-32767], "clipped, and not the unknown value"
    assert (message.origin.x, message.origin.y, message.origin.z) == (-2.0, -4.0, 0.0)


def test_points_lie_at_voxel_centres_and_say_that_the_class_is_unknown():
    voxels = conversions.voxel_arrays(prediction_with([(1, 2, 1)], (3.0, 1.0)), "base_link")
    cloud = through_the_wire(conversions.points_message(voxels))
    assert isinstance(cloud, PointCloud2)
    (point,) = point_cloud2.read_points(cloud)
    assert [point[name] for name in ("x", "y", "z", "vx", "vy")] == [-0.5, -1.5, 1.5, 3.0, 1.0]
    assert point["class"] == OccupancyFlowMessage.CLASS_UNKNOWN


def test_nothing_occupied_clears_the_display_and_adds_nothing():
    voxels = conversions.voxel_arrays(prediction_with([]), "base_link")
    for data in (markers.occupancy_markers(voxels, 1.0), markers.flow_markers(voxels, 1, 0, 10)):
        (only,) = decoded_markers(data).markers
        assert only.action == Marker.DELETEALL
    assert len(conversions.occupancy_flow_message(voxels).index) == 0
    assert through_the_wire(conversions.points_message(voxels)).width == 0


@pytest.mark.parametrize(("budget", "arrows"), [(0, 0), (2, 2), (5, 3)])
def test_arrows_keep_to_their_budget(budget, arrows):
    moving = prediction_with([(0, 0, 0), (1, 1, 1), (2, 2, 2)], (2.0, 0.0))
    voxels = conversions.voxel_arrays(moving, "base_link")
    message = decoded_markers(markers.flow_markers(voxels, 1.0, 0.5, budget))
    points = [point for marker in message.markers for point in marker.points]
    assert len(points) == arrows * 6


def test_an_arrow_ends_where_the_voxel_is_a_second_later():
    moving = prediction_with([(1, 2, 1)], (3.0, -1.0))
    voxels = conversions.voxel_arrays(moving, "base_link")
    message = decoded_markers(markers.flow_markers(voxels, 1.0, 0.5, 10))
    start, tip, *_ = message.markers[1].points
    assert (tip.x - start.x, tip.y - start.y, tip.z - start.z) == pytest.approx((3.0, -1.0, 0.0))


def front_camera_frame():
    """A camera at the origin, 1 m up, looking along x with 90 degrees of view both ways."""
    base_T_camera = torch.tensor(
        [[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1], [0, 0, 0, 1]], dtype=torch.float32
    )
    return Frame(
        stamp_ns=0,
        images=torch.zeros(1, 3, 100, 100, dtype=torch.uint8),
        rig=CameraRig(
            names=("front",),
            K=torch.tensor([[[50.0, 0, 49.5], [0, 50.0, 49.5], [0, 0, 1]]]),
            base_T_camera=base_T_camera[None],
            present=torch.tensor([True]),
        ),
        odom_T_base=torch.eye(4, dtype=torch.float64),
    )


def test_seen_is_what_lies_in_the_image():
    frame = front_camera_frame()
    points_m = torch.tensor([[5.0, 0, 1], [5, 4.9, 1], [5, 5.1, 1], [-5, 0, 1], [5, 0, 6.1]])
    assert seen(points_m, frame.rig, (100, 100)).tolist() == [True, True, False, False, False]


def test_costmap_takes_the_column_maximum_and_leaves_the_unseen_unknown():
    convert = CostmapConverter(GRID, (1.0, 3.0))
    prediction = prediction_with([(3, 4, 1), (3, 3, 0)])
    message = through_the_wire(convert(prediction, front_camera_frame(), "base_link"))
    cells = np.array(message.data).reshape(message.info.height, message.info.width)  # (Y, X)
    assert (message.info.width, message.info.height, message.info.resolution) == (4, 8, 1.0)
    assert (message.info.origin.position.x, message.info.origin.position.y) == (-2.0, -4.0)
    assert cells[4, 3] == round(100 / (1 + np.exp(-1.0)))
    assert cells[3, 3] == 0, "voxel (3, 3, 0) lies below the band"
    assert cells[0, 0] == -1, "behind the camera"


def test_a_band_outside_the_grid_is_named():
    with pytest.raises(ConfigError, match="node.costmap.z_m"):
        CostmapConverter(GRID, (5.0, 6.0))
