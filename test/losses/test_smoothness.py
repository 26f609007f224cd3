"""Edge-aware smoothness of depth and flow on the ray grid."""

import math

import pytest
import torch

from occflow_ros.losses.smoothness import (
    depth_smoothness_loss,
    edge_aware_smoothness,
    flow_smoothness_loss,
)

GRAY = torch.full((1, 2, 3, 3), 0.5)


def test_flat_depth_is_free_and_steps_cost_their_share_of_the_mean():
    assert depth_smoothness_loss(torch.full((1, 2, 3), 7.0), GRAY).item() == 0.0
    # Rows (2, 4, 6): two steps of 2 along x over a mean of 4, none along y.
    depth = torch.tensor([2.0, 4.0, 6.0]).expand(1, 2, 3)
    assert depth_smoothness_loss(depth, GRAY).item() == pytest.approx(0.5)


def test_scale_of_the_scene_is_no_way_out():
    depth = 1.0 + torch.rand(1, 2, 3, generator=torch.Generator().manual_seed(0))
    loss = depth_smoothness_loss(depth, GRAY)
    torch.testing.assert_close(depth_smoothness_loss(0.01 * depth, GRAY), loss)


def test_a_step_at_an_edge_of_the_image_costs_less():
    colors = GRAY.clone()
    colors[:, :, 2] = torch.tensor([0.5, 1.0, 0.2])  # the mean of the differences is 0.8 / 3
    values = torch.tensor([0.0, 0.0, 1.0]).expand(1, 2, 3).unsqueeze(-1)
    assert edge_aware_smoothness(values, GRAY).item() == pytest.approx(0.5)
    expected = 0.5 * math.exp(-0.8 / 3)
    assert edge_aware_smoothness(values, colors).item() == pytest.approx(expected)
    elsewhere = torch.tensor([1.0, 0.0, 0.0]).expand(1, 2, 3).unsqueeze(-1)
    assert edge_aware_smoothness(elsewhere, colors).item() == pytest.approx(0.5)


def test_both_directions_and_both_components_of_flow_count():
    flow = torch.zeros(1, 2, 3, 2)
    flow[:, 1] = torch.tensor([0.5, -0.25])  # three steps along y, each 0.75 m
    assert flow_smoothness_loss(flow, GRAY).item() == pytest.approx(0.75)
    assert flow_smoothness_loss(flow + 3.0, GRAY).item() == pytest.approx(0.75)


def test_cameras_are_no_neighbours():
    depth = torch.tensor([1.0, 9.0]).view(2, 1, 1).expand(2, 3, 3)
    assert depth_smoothness_loss(depth, torch.zeros(2, 3, 3, 3)).item() == 0.0


def test_gradients_are_those_of_the_formula():
    generator = torch.Generator().manual_seed(0)
    depth = 1.0 + torch.rand(2, 3, 4, generator=generator, dtype=torch.float64)
    flow = torch.rand(2, 3, 4, 2, generator=generator, dtype=torch.float64)
    colors = torch.rand(2, 3, 4, 3, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda value: depth_smoothness_loss(value, colors), (depth.requires_grad_(),)
    )
    assert torch.autograd.gradcheck(
        lambda value: flow_smoothness_loss(value, colors), (flow.requires_grad_(),)
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: depth_smoothness_loss(GRAY, GRAY),
            r"depth_m: expected \(N, h, w\), got \(1, 2, 3, 3\)",
        ),
        (lambda: flow_smoothness_loss(GRAY, GRAY), r"flow_m: expected \(N, h, w, 2\), got"),
        (
            lambda: depth_smoothness_loss(torch.ones(1, 3, 3), GRAY),
            r"colors: expected \(1, 3, 3, 3\), got \(1, 2, 3, 3\)",
        ),
        (
            lambda: depth_smoothness_loss(torch.ones(1, 1, 3), GRAY[:, :1]),
            r"expected 2 × 2 rays or more, got \(1, 3\)",
        ),
    ],
)
def test_wrong_shapes_say_expected_and_got(call, message):
    with pytest.raises(ValueError, match=message):
        call()
