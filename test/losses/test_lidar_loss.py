"""Losses of LiDAR rays: perfect, of another scale, close, absent."""

import math

import pytest
import torch

from occflow_ros.losses.lidar import lidar_range_loss, line_of_sight_errors
from occflow_ros.rendering.neus import log_survival

MEASURED = torch.tensor([5.0, 10.0, 20.0, 40.0])
ALL = torch.ones(4, dtype=torch.bool)


def loss(range_m, valid=ALL, scale_invariance=0.85):
    return lidar_range_loss(range_m, MEASURED, valid, scale_invariance).item()


def test_perfect_prediction_has_no_loss_and_a_finite_gradient():
    range_m = MEASURED.clone().requires_grad_()
    value = lidar_range_loss(range_m, MEASURED, ALL, 0.85)
    assert value.item() == 0.0
    value.backward()
    assert range_m.grad.isfinite().all()


@pytest.mark.parametrize(
    ("scale_invariance", "expected"),
    [(1.0, 0.0), (0.85, math.sqrt(0.15) * math.log(2)), (0.0, math.log(2))],
)
def test_a_wrong_scale_costs_what_invariance_leaves_of_it(scale_invariance, expected):
    assert loss(2 * MEASURED, ALL, scale_invariance) == pytest.approx(expected, abs=2e-3)


def test_by_hand():
    # e = (ln 2, 0, 0, −ln 2): mean of squares ln²2 / 2, mean zero.
    range_m = MEASURED * torch.tensor([2.0, 1.0, 1.0, 0.5])
    assert loss(range_m) == pytest.approx(math.log(2) / math.sqrt(2), abs=2e-3)


def test_a_ray_without_measurement_has_no_part():
    range_m = torch.tensor([5.0, 10.0, 20.0, torch.nan], requires_grad=True)
    measured = torch.tensor([5.0, 10.0, 40.0, 0.0])
    valid = torch.tensor([True, True, True, False])
    value = lidar_range_loss(range_m, measured, valid, 0.0)
    assert value.item() == pytest.approx(math.log(2) / math.sqrt(3), abs=2e-3)
    assert lidar_range_loss(range_m, measured, ~ALL, 0.85).item() == 0.0


def test_a_ray_that_sees_nothing_is_finite():
    assert math.isfinite(loss(torch.zeros(4)))


def test_closer_is_better():
    values = [loss(MEASURED + noise * torch.tensor([1.0, -1.0, 2.0, -2.0])) for noise in (0.1, 0.5)]
    assert 0.0 < values[0] < values[1]


@pytest.mark.parametrize("scale_invariance", [0.0, 0.85, 1.0])
def test_gradient_is_that_of_the_formula(scale_invariance):
    range_m = torch.tensor([4.0, 11.0, 25.0, 38.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda value: lidar_range_loss(value, MEASURED.double(), ALL, scale_invariance), (range_m,)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(4, 1), MEASURED, ALL, 0.85), r"range_m: expected \(R\), got \(4, 1\)"),
        ((MEASURED, MEASURED[:3], ALL, 0.85), r"measured_m: expected \(4\), got \(3,\)"),
        ((MEASURED, MEASURED, MEASURED, 0.85), "valid: expected bool, got torch.float32"),
        ((MEASURED, MEASURED, ALL, 1.2), r"scale_invariance: expected .*\[0, 1\], got 1.2"),
    ],
)
def test_wrong_input_says_expected_and_got(arguments, message):
    with pytest.raises(ValueError, match=message):
        lidar_range_loss(*arguments)


ENDS = torch.tensor([[1.0, 2.0, 3.0, 4.0]])


def sight(survival, measured_m=2.5, slack_m=10.0):
    log = torch.tensor([survival], dtype=torch.float64).log()
    return line_of_sight_errors(log, ENDS.double(), torch.tensor([measured_m]), slack_m).item()


def test_line_of_sight_by_hand():
    # On its way after 1 and 2 m, stopped after 3 and 4 m.
    expected = -math.log(0.9) - math.log(0.8) - math.log(1 - 0.3) - math.log(1 - 0.1)
    assert sight([0.9, 0.8, 0.3, 0.1]) == pytest.approx(expected / 4)


def test_a_ray_that_ends_where_it_should_has_no_line_of_sight_error():
    assert sight([1.0, 1.0, 0.0, 0.0]) == 0.0
    assert sight([1.0, 1.0, 1.0, 1.0], measured_m=9.0) == 0.0


def test_steps_far_behind_the_return_do_not_count():
    near = sight([0.9, 0.8, 0.3, 0.2], slack_m=1.0)
    assert near == pytest.approx(-(math.log(0.9) + math.log(0.8) + math.log(0.7)) / 3)
    assert sight([0.5] * 4, measured_m=0.5, slack_m=0.1) == 0.0


def test_line_of_sight_is_least_at_the_true_surface():
    ends_m = torch.linspace(0.5, 20.0, 40)[None]
    sdf_m = [surface_m - torch.cat((torch.zeros(1, 1), ends_m), 1) for surface_m in (8, 10, 12)]
    before, at, behind = (
        line_of_sight_errors(log_survival(s, 5.0), ends_m, torch.tensor([10.0]), 4.0).item()
        for s in sdf_m
    )
    assert at < 0.1 and min(before, behind) > 5 * at


def test_a_surface_that_was_missed_by_far_is_pulled_near():
    ends_m = torch.linspace(0.5, 20.0, 40)[None]
    sdf_m = (20.0 - torch.cat((torch.zeros(1, 1), ends_m), 1)).requires_grad_()
    line_of_sight_errors(log_survival(sdf_m, 1.0), ends_m, torch.tensor([10.0]), 1.0).backward()
    assert sdf_m.grad.max() > 0.01  # where the ray should have ended, the distance shall fall


def test_line_of_sight_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"ends_m: expected \(1, 4\), got \(1, 3\)"):
        line_of_sight_errors(ENDS.neg(), ENDS[:, :3], torch.ones(1), 1.0)
