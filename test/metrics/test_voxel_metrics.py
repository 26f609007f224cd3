"""Voxel metrics on hand-made volumes: perfect, close and zero predictions, and counts by hand."""

import math

import numpy as np
import pytest

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.metrics.accumulator import ExactSum
from occflow_ros.metrics.coarsen import coarsen_truth, truth_on_grid
from occflow_ros.metrics.velocity import VelocityError, velocity_error
from occflow_ros.metrics.voxel_iou import OccupancyCounts, count_occupancy
from occflow_ros.structures import VoxelGrid

CAR, ROAD = NAMES.index("car"), NAMES.index("driveable_surface")


def line(*values):
    return np.array(values, dtype=bool).reshape(-1, 1, 1)


def test_counts_by_hand():
    counts = count_occupancy(
        predicted=line(1, 1, 1, 0, 0, 1),
        true=line(1, 1, 0, 1, 0, 0),
        observed=line(1, 1, 1, 1, 1, 0),
    )
    assert counts == OccupancyCounts(true_positives=2, false_positives=1, false_negatives=1)
    assert counts.iou == pytest.approx(2 / 4)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(2 / 3)


def test_perfect_and_empty_predictions():
    true, seen = line(1, 0, 1), line(1, 1, 1)
    assert count_occupancy(true, true, seen).iou == 1.0
    nothing = count_occupancy(line(0, 0, 0), true, seen)
    assert nothing.iou == 0.0
    assert nothing.recall == 0.0
    assert math.isnan(nothing.precision)
    assert math.isnan(OccupancyCounts().iou)


def test_counts_add_up_over_frames():
    total = OccupancyCounts(1, 2, 3) + OccupancyCounts(4, 0, 0)
    assert total == OccupancyCounts(5, 2, 3)
    assert total.iou == 0.5


def test_velocity_error_by_hand():
    true = np.array([(3.0, 4.0), (0.0, 2.0), (9.0, 9.0)], dtype=np.float32).reshape(3, 1, 1, 2)
    where = line(1, 1, 0)
    assert velocity_error(true, true, where).mean_mps == 0.0
    assert velocity_error(np.zeros_like(true), true, where).mean_mps == pytest.approx(3.5)
    close = true + np.array((0.6, 0.8), dtype=np.float32)
    assert velocity_error(close, true, where).mean_mps == pytest.approx(1.0)
    assert math.isnan(velocity_error(true, true, line(0, 0, 0)).mean_mps)
    assert (VelocityError(ExactSum.of(6.0), 2) + VelocityError(voxels=1)).mean_mps == 2.0


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="expected equal shapes"):
        count_occupancy(line(1), line(1, 0), line(1))
    with pytest.raises(ValueError, match="expected velocities"):
        velocity_error(
            np.zeros((1, 1, 1, 2), np.float32), np.zeros((2, 1, 1, 2), np.float32), line(1)
        )


def truth(semantics, observed, velocity=None):
    shape = (2, 2, 2)
    velocity_mps = np.zeros((*shape, 2), np.float32) if velocity is None else velocity
    return OccupancyTruth(
        np.array(semantics, np.uint8).reshape(shape), velocity_mps, observed.reshape(shape)
    )


def test_one_occupied_observed_child_fills_the_coarse_voxel():
    coarse = coarsen_truth(truth([ROAD] + 7 * [FREE], np.ones(8, bool)), (1, 1, 1))
    assert coarse.semantics.item() == ROAD
    assert coarse.observed.item()


def test_what_only_hides_is_not_observed():
    observed = np.array([False] + 7 * [True])
    coarse = coarsen_truth(truth([ROAD] + 7 * [FREE], observed), (1, 1, 1))
    assert coarse.semantics.item() == FREE
    assert not coarse.observed.item()


def test_free_and_seen_stays_free_and_seen():
    coarse = coarsen_truth(truth(8 * [FREE], np.array([True] + 7 * [False])), (1, 1, 1))
    assert coarse.semantics.item() == FREE
    assert coarse.observed.item()


def test_a_car_on_the_road_wins_with_its_own_velocity():
    velocity = np.zeros((2, 2, 2, 2), np.float32)
    velocity[1, 1] = (6.0, -2.0)
    semantics = 6 * [ROAD] + 2 * [CAR]  # the last two are voxels (1, 1, 0) and (1, 1, 1)
    coarse = coarsen_truth(truth(semantics, np.ones(8, bool), velocity), (1, 1, 1))
    assert coarse.semantics.item() == CAR
    np.testing.assert_allclose(coarse.velocity_mps.reshape(2), (6.0, -2.0))


def test_each_coarse_voxel_takes_its_own_children():
    semantics = np.full((4, 2, 2), FREE, np.uint8)
    semantics[3, 0, 1] = CAR
    fine = OccupancyTruth(semantics, np.zeros((4, 2, 2, 2), np.float32), np.ones((4, 2, 2), bool))
    assert coarsen_truth(fine, (2, 1, 1)).semantics.ravel().tolist() == [FREE, CAR]
    with pytest.raises(ValueError, match="divides"):
        coarsen_truth(fine, (3, 1, 1))


def test_unknown_velocity_stays_unknown_where_something_may_move():
    velocity = np.full((2, 2, 2, 2), np.nan, np.float32)
    car = coarsen_truth(truth([CAR] + 7 * [FREE], np.ones(8, bool), velocity), (1, 1, 1))
    assert np.isnan(car.velocity_mps).all()
    road = coarsen_truth(truth([ROAD] + 7 * [FREE], np.ones(8, bool), velocity), (1, 1, 1))
    assert (road.velocity_mps == 0.0).all()


def test_only_the_same_box_divided_evenly_has_a_truth():
    fine = truth([CAR] + 7 * [FREE], np.ones(8, bool))
    box = fine.lower_m, fine.upper_m
    assert truth_on_grid(fine, VoxelGrid(*box, (1, 2, 1))).semantics.shape == (1, 2, 1)
    assert truth_on_grid(fine, VoxelGrid(*box, (4, 2, 2))) is None
    assert truth_on_grid(fine, VoxelGrid(box[0], (9.0, 9.0, 9.0), (1, 1, 1))) is None
