"""Height of the ground: on slopes, below what stands, despite echoes, where nothing is known."""

import label_drives as made
import numpy as np
import pytest

from occflow_ros.labels.ground import TOLERANCE_M, estimate_ground
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((0.0, -20.0, -4.0), (40.0, 20.0, 4.0), (80, 80, 16))
LEVEL = made.points(made.steps(0.1, 39.9, 0.2), made.steps(-19.9, 19.9, 0.2), [-1.7])


def test_a_slope_is_ground_everywhere():
    slope = LEVEL + np.outer(0.1 * LEVEL[:, 0], (0.0, 0.0, 1.0))
    height_m = estimate_ground(slope, GRID).at(slope)
    assert np.abs(slope[:, 2] - height_m).max() < TOLERANCE_M


def test_a_house_stands_on_the_ground_that_it_hides():
    """Roof of 6 × 6 m with nothing measured below it."""
    outside = (np.abs(LEVEL[:, :2] - (20.0, 0.0)) > 3.0).any(axis=1)
    roof = LEVEL[~outside] + (0.0, 0.0, 4.0)
    ground = estimate_ground(np.concatenate((LEVEL[outside], roof)), GRID)
    np.testing.assert_allclose(ground.at(roof), -1.7)


def test_echoes_from_below_do_not_count():
    one_per_cell = LEVEL.reshape(200, 200, 3)[2::5, 2::5].reshape(-1, 3)  # (x, y, 3) to (N, 3)
    echoes = one_per_cell - (0.0, 0.0, 2.0)
    ground = estimate_ground(np.concatenate((LEVEL, echoes)), GRID)
    np.testing.assert_allclose(ground.at(LEVEL), -1.7)


def test_where_nothing_was_measured_it_is_as_high_as_nearby():
    ground = estimate_ground(LEVEL[LEVEL[:, 0] < 12.0], GRID)
    assert ground.at(np.array([39.0, 10.0])) == pytest.approx(-1.7)


def test_of_no_points_nothing_is_known():
    assert np.isnan(estimate_ground(np.zeros((0, 3)), GRID).at(LEVEL)).all()
