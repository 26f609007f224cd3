"""Costmaps by hand: column maxima, what is unseen, inflation, and what moves."""

import math
import time

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy")

from hand_made_voxels import prediction_with, through_the_wire
from nav_msgs.msg import OccupancyGrid

from occflow_ros import config
from occflow_ros.data.synthetic import nuscenes_rig
from occflow_ros.errors import ConfigError
from occflow_ros.geometry.camera import project_from_base
from occflow_ros.node_config import CostmapConfig
from occflow_ros.ros import conversions
from occflow_ros.ros.costmap import CostmapConverter, seen
from occflow_ros.ros.outputs import Outputs
from occflow_ros.structures import CameraRig, Frame, OccupancyFlow, VoxelGrid

GRID = VoxelGrid((-2.0, -4.0, 0.0), (10.0, 4.0, 3.0), (12, 8, 3))
BAND = CostmapConfig(z_m=(1.0, 3.0))
OCCUPIED = round(100 / (1 + math.exp(-1.0)))


def frame(height_m=1.0):
    """A camera above the origin, looking along x with 90 degrees of view both ways."""
    base_T_camera = torch.tensor(
        [[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, height_m], [0, 0, 0, 1]], dtype=torch.float32
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


def cells_of(message):
    """(Y, X) cells of a message that went through the wire."""
    message = through_the_wire(message)
    return np.array(message.data).reshape(message.info.height, message.info.width)


def costmap(settings, *things):
    return cells_of(
        CostmapConverter(GRID, settings)(prediction_with(*things, grid=GRID), frame(), "base_link")
    )


def ahead(settings, horizon_s, *things):
    voxels = conversions.voxel_arrays(prediction_with(*things, grid=GRID), "base_link")
    return CostmapConverter(GRID, settings).ahead(voxels, frame(), horizon_s)


def occupied_in(cells):
    """Cells (x, y) that hold a voxel's probability."""
    return sorted((int(x), int(y)) for y, x in np.argwhere(cells == OCCUPIED))


def test_seen_is_what_lies_in_the_image():
    xy_m = torch.tensor([5.0, 0.05, -5.0]), torch.tensor([0.0, 4.9, 5.1])
    found = seen(xy_m, 1.0, frame().rig, (100, 100))
    assert found.tolist() == [[True, True, False], [False] * 3, [False] * 3]
    assert not seen(xy_m, 6.1, frame().rig, (100, 100)).any(), "above the image"


@pytest.mark.parametrize("z_m", [0.2, 1.4, 3.0])
def test_seen_agrees_with_the_projection_of_every_point(z_m):
    rig = nuscenes_rig(64, 176)
    cameras = CameraRig(
        tuple(camera.name for camera in rig.cameras),
        torch.tensor(np.stack([camera.K for camera in rig.cameras])),
        torch.tensor(np.stack([camera.base_T_camera for camera in rig.cameras])),
        torch.arange(len(rig.cameras)) != 2,
    )
    xy_m = torch.linspace(-9.0, 9.0, 37).double(), torch.linspace(-8.0, 8.0, 31).double()
    points_m = torch.stack((*torch.meshgrid(*xy_m, indexing="ij"), torch.full((37, 31), z_m)), -1)
    present = cameras.present
    _, visible = project_from_base(
        points_m.reshape(-1, 3), cameras.K[present], cameras.base_T_camera[present], (64, 176)
    )
    found = seen(xy_m, z_m, cameras, (64, 176))
    assert np.array_equal(found, visible.any(dim=0).reshape(37, 31).numpy())
    assert 0 < found.sum() < found.size


def test_the_column_maximum_counts_and_the_unseen_is_unknown():
    convert = CostmapConverter(GRID, BAND)
    things = [((5, 4, 1), (0.0, 0.0)), ((5, 3, 0), (0.0, 0.0)), ((0, 0, 1), (0.0, 0.0))]
    message = convert(prediction_with(*things, grid=GRID), frame(), "base_link")
    assert (message.info.width, message.info.height, message.info.resolution) == (12, 8, 1.0)
    assert (message.info.origin.position.x, message.info.origin.position.y) == (-2.0, -4.0)
    assert message.header.frame_id == "base_link"
    assert message.info.map_load_time == message.header.stamp
    cells = cells_of(message)
    assert cells[4, 5] == OCCUPIED
    assert cells[3, 5] == 0, "voxel (5, 3, 0) lies below the band"
    assert cells[0, 0] == -1, "behind the camera, whatever is predicted there"


def test_inflation_falls_with_distance_and_leaves_the_unknown_alone():
    inflated = BAND.model_copy(update={"inflation_m": 2.5})
    cells = costmap(inflated, ((5, 4, 1), (0.0, 0.0)), ((0, 0, 1), (0.0, 0.0)))
    assert cells[4, 5] == 99, "occupied: the cost at distance 0 is above its probability"
    assert cells[4, 6] == round(99 * (1 - 1 / 2.5))
    assert cells[5, 6] == round(99 * (1 - math.sqrt(2) / 2.5))
    assert (cells[4, 7], cells[4, 8]) == (round(99 * (1 - 2 / 2.5)), 0)
    assert set(cells[:, :2].ravel()) == {-1}
    assert np.array_equal(cells == -1, costmap(BAND) == -1)


def test_without_anything_occupied_nothing_is_inflated():
    inflated = BAND.model_copy(update={"inflation_m": 2.5})
    assert np.array_equal(costmap(inflated), costmap(BAND))


@pytest.mark.parametrize(
    ("horizon_s", "cells"),
    [(1.0, [(5, 5), (9, 4)]), (2.0, [(5, 6), (9, 4)]), (5.0, [(9, 4)])],
)
def test_what_moves_is_ahead_where_it_will_be(horizon_s, cells):
    things = [((5, 4, 1), (0.0, 1.0)), ((9, 4, 2), (0.0, 0.0)), ((7, 4, 0), (0.0, 0.0))]
    message = ahead(BAND, horizon_s, *things)
    assert occupied_in(cells_of(message)) == cells


def test_ahead_the_stamp_is_that_of_the_frame_and_the_load_time_that_of_the_cells():
    message = ahead(BAND, 1.5, ((5, 4, 1), (0.0, 1.0)))
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (3, 600_000_007)
    assert (message.info.map_load_time.sec, message.info.map_load_time.nanosec) == (5, 100_000_007)


def test_ahead_what_enters_the_unknown_is_known_and_nothing_comes_out_of_it():
    into = cells_of(ahead(BAND, 1.0, ((5, 4, 1), (-5.0, 0.0))))
    assert into[4, 0] == OCCUPIED and into[3, 0] == -1 and into[4, 5] == 0
    out = cells_of(ahead(BAND, 1.0, ((0, 4, 1), (5.0, 0.0))))
    assert occupied_in(out) == [] and out[4, 0] == -1


def test_ahead_the_likeliest_of_two_voxels_that_meet_counts_and_is_inflated():
    prediction = prediction_with(((5, 4, 1), (1.0, 0.0)), ((7, 4, 1), (-1.0, 0.0)), grid=GRID)
    prediction.sdf_m[7, 4, 1] = -0.2
    voxels = conversions.voxel_arrays(prediction, "base_link")
    likeliest = round(100 / (1 + math.exp(-2.0)))
    assert cells_of(CostmapConverter(GRID, BAND).ahead(voxels, frame(), 1.0))[4, 6] == likeliest
    inflated = BAND.model_copy(update={"inflation_m": 2.0})
    cells = cells_of(CostmapConverter(GRID, inflated).ahead(voxels, frame(), 1.0))
    assert cells[4, 6:9].tolist() == [99, round(99 / 2), 0]


def test_what_is_seen_is_found_anew_for_another_frame():
    convert = CostmapConverter(GRID, BAND)
    prediction, here = prediction_with(grid=GRID), frame()
    first = cells_of(convert(prediction, here, "base_link"))
    high = cells_of(convert(prediction, frame(height_m=8.0), "base_link"))
    assert (high == -1).sum() > (first == -1).sum()
    assert np.array_equal(cells_of(convert(prediction, here, "base_link")), first)


def test_a_band_outside_the_grid_is_named():
    with pytest.raises(ConfigError, match="node.costmap.z_m"):
        CostmapConverter(GRID, CostmapConfig(z_m=(5.0, 6.0)))


def test_each_horizon_has_its_topic_and_its_time(ros, tiny_preset):
    import rclpy

    run = config.load(tiny_preset).run
    settings = run.node.model_copy(
        update={"costmap": CostmapConfig(z_m=(-1.0, 3.0), horizons_s=(1.0, 2.5))}
    )
    node = rclpy.create_node("occflow")
    outputs = Outputs(node, run.model_copy(update={"node": settings}))
    heard = []
    node.create_subscription(OccupancyGrid, "/occflow/costmap/ahead_1", heard.append, 5)
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(node)
    grid = run.model.grid.voxels
    prediction = OccupancyFlow(
        0, grid, torch.ones(grid.shape), torch.zeros(*grid.shape, 2), 0.5, 10.0, 0.1
    )
    deadline_s = time.monotonic() + 20.0
    while not heard:
        assert time.monotonic() < deadline_s
        outputs.publish(prediction, frame())
        executor.spin_once(timeout_sec=0.1)
    topics = dict(node.get_topic_names_and_types())
    assert {f"/occflow/costmap{end}" for end in ("", "/ahead_0", "/ahead_1")} <= set(topics)
    load_time = heard[0].info.map_load_time
    assert (load_time.sec, load_time.nanosec) == (2, 500_000_000)
    outputs.close()
    executor.shutdown()
    node.destroy_node()
