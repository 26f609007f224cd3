"""Accuracy of hand-made predictions against hand-made truth, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from occflow_ros.data.drive import Box, SensorFile
from occflow_ros.demo.accounting import account
from occflow_ros.demo.bag import read_bag
from occflow_ros.demo.evaluation import evaluate, total_accuracy
from occflow_ros.geometry import se3
from occflow_ros.metrics.accuracy import flat_ground
from occflow_ros.metrics.lidar_accuracy import against_lidar, load_lidar
from occflow_ros.metrics.voxel_iou import OccupancyCounts


@pytest.fixture
def evaluated(drive, bag):
    contents = read_bag(bag)
    return evaluate(drive, account(drive.sets, drive.cameras, contents), contents)


def test_perfect_and_partial_predictions(evaluated):
    first, second = evaluated
    assert [one.number for one in evaluated] == [0, 1]
    assert first.accuracy.occupancy == OccupancyCounts(2, 0, 0)
    assert first.accuracy.velocity.mean_mps == pytest.approx(0.0, abs=1e-6)
    assert first.accuracy.zero_velocity.mean_mps == 4.0
    assert second.accuracy.occupancy == OccupancyCounts(1, 1, 1)
    assert second.accuracy.velocity.mean_mps == 4.0
    assert math.isnan(second.accuracy.standing.mean_mps)


def test_rays_meet_the_car_where_it_is(evaluated):
    """The second prediction lacks the farther voxel, which no ray reaches, and stands."""
    first, second = (one.accuracy.rays for one in evaluated)
    assert first.all_rays == first.objects  # there is no ground in the truth
    assert first.all_rays.ray_iou == 1.0
    assert first.velocity.mean_mps == pytest.approx(0.0, abs=1e-6)
    assert first.zero_velocity.mean_mps == 4.0
    assert second.all_rays.ray_iou == 1.0
    assert second.velocity.mean_mps == 4.0
    assert second.all_rays_flat == first.all_rays_flat
    assert first.all_rays_flat.ray_iou < 0.5


def test_the_total_pools_the_counts(evaluated):
    total = total_accuracy(evaluated)
    assert total.sets == 2
    assert total.occupancy == OccupancyCounts(3, 1, 1)
    assert total.velocity.mean_mps == pytest.approx(4.0 / 3)
    assert total_accuracy(()) is None


def test_flat_ground_is_the_layer_of_the_ego_origin(evaluated):
    ground = flat_ground(evaluated[0].prediction.grid)  # layers of 1.6 m from -1 m
    assert ground[:, :, 0].all()
    assert not ground[:, :, 1:].any()


def test_without_truth_the_voxels_with_lidar_points_count(drive, evaluated, tmp_path):
    # Points in both voxels of the car and in one that is not predicted; the sensor is 1 m up.
    points = np.array([(3.6, 0.4, 0.0), (5.2, 0.4, 0.0), (-7.0, -7.0, -1.5), (99.0, 0.0, 0.0)])
    np.save(tmp_path / "sweep.npy", points.astype(np.float32))
    raised = np.eye(4)
    raised[2, 3] = 1.0
    sweep = SensorFile(tmp_path / "sweep.npy", drive.sets[0].stamp_ns, np.eye(4))
    box_pose = se3.from_rotation_translation(np.eye(3), (4.4, 0.4, 1.0))
    box = Box("1", "vehicle.car", box_pose, (3.0, 1.0, 1.0), (5.0, 3.0))
    camera_set = replace(drive.sets[0], occupancy=None, lidar=sweep, boxes=(box,))
    scanned = replace(drive, base_T_lidar=raised)
    prediction = evaluated[0].prediction  # moves at (4, 0) m/s
    hit = load_lidar(scanned, camera_set, prediction.grid)
    assert np.argwhere(hit.moving).tolist() == [[7, 5, 1], [8, 5, 1]]
    accuracy = against_lidar(prediction, hit)
    assert accuracy.against == "lidar"
    assert accuracy.occupancy == OccupancyCounts(2, 0, 1)
    assert accuracy.velocity.mean_mps == pytest.approx(math.hypot(1.0, 3.0))
    assert accuracy.zero_velocity.mean_mps == pytest.approx(math.hypot(5.0, 3.0))
    assert load_lidar(drive, drive.sets[0], prediction.grid) is None
