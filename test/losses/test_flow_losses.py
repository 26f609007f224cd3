"""Optical flow, dynamic rays and their balance (equations 9 to 11), with numbers by hand."""

import pytest
import torch

from occflow_ros.losses.dynamic import classify_rays, disentangle, dynamic_regularization
from occflow_ros.losses.optical_flow import (
    balanced_flow_loss,
    dynamic_scale,
    optical_flow_errors,
)
from occflow_ros.losses.reduction import RayErrors, masked_mean
from occflow_ros.losses.reprojection import displace, expected_points, reproject

SIZE = (40, 100)
YES, NO = torch.tensor([True]), torch.tensor([False])


def errors_of(pixels, flow, weights=None, known=YES, usable=None, ray=(10.0, 20.0), margin=0.1):
    """Equation 9 of one ray."""
    pixels = torch.tensor([pixels])  # (1, S, 2)
    weights = torch.full(pixels.shape[:2], 0.5) if weights is None else torch.tensor([weights])
    usable = torch.ones(pixels.shape[:2], dtype=torch.bool) if usable is None else usable
    return optical_flow_errors(
        pixels, usable, torch.tensor([ray]), weights, torch.tensor([flow]), known, SIZE, margin
    )


def test_error_is_the_l1_distance_to_where_the_flow_points():
    # The ray's pixel (10, 20) goes to (14, 17); its samples land 1 + 0 and 2 + 2 px from there.
    pixels = [[15.0, 17.0], [12.0, 19.0]]
    assert errors_of(pixels, (4.0, -3.0)).value.item() == pytest.approx(2.5)
    weighted = errors_of(pixels, (4.0, -3.0), weights=[0.6, 0.2])
    assert weighted.value.item() == pytest.approx((0.6 * 1 + 0.2 * 4) / 0.8)
    assert errors_of([[14.0, 17.0]], (4.0, -3.0)).value.item() == 0.0


def test_unknown_flow_counts_for_nothing_even_where_it_is_nan():
    pixels = torch.tensor([[[15.0, 17.0]]], requires_grad=True)
    errors = optical_flow_errors(
        pixels,
        torch.ones(1, 1, dtype=torch.bool),
        torch.tensor([[10.0, 20.0]]),
        torch.ones(1, 1),
        torch.full((1, 2), torch.nan),
        NO,
        SIZE,
        0.1,
    )
    assert not errors.valid.any()
    assert errors.value.item() == 0.0
    masked_mean(errors.value, errors.valid).backward()
    assert not pixels.grad.any()


def test_samples_that_land_nowhere_are_left_out():
    # 104 px is within a tenth of the width beyond the border, 1e6 px is not.
    landed = errors_of([[104.0, 20.0], [1e6, 20.0]], (0.0, 0.0), weights=[0.3, 0.2])
    assert landed.valid.item()
    assert landed.value.item() == pytest.approx(94.0)
    behind = errors_of([[12.0, 20.0]], (0.0, 0.0), usable=torch.zeros(1, 1, dtype=torch.bool))
    assert not behind.valid.item()


@pytest.mark.parametrize(
    ("dynamic", "valid", "expected"),
    [
        ([1, 0, 0, 0], [1, 1, 1, 1], 4.0),
        ([1, 1, 0, 0], [1, 1, 1, 1], 2.0),
        ([1, 0, 0, 0], [1, 1, 0, 0], 2.0),
        ([1, 0, 0, 0], [0, 1, 1, 1], 20.0),
        ([0, 0, 0, 0], [1, 1, 1, 1], 20.0),
        ([1] + 99 * [0], 100 * [1], 20.0),
    ],
)
def test_dynamic_scale_is_the_ratio_of_rays_up_to_its_cap(dynamic, valid, expected):
    scale = dynamic_scale(torch.tensor(dynamic).bool(), torch.tensor(valid).bool(), 20.0)
    assert scale.item() == pytest.approx(expected)


def test_dynamic_and_static_rays_weigh_the_same():
    """One dynamic ray of 8 px and three static ones of 1, 2 and 3 px: 6 / 4 + 4 · 8 / 4."""
    errors = RayErrors(torch.tensor([8.0, 1.0, 2.0, 3.0]), torch.ones(4, dtype=torch.bool))
    dynamic = torch.tensor([True, False, False, False])
    assert balanced_flow_loss(errors, dynamic, 20.0).item() == pytest.approx(9.5)
    assert balanced_flow_loss(errors, dynamic, 3.0).item() == pytest.approx(7.5)
    assert balanced_flow_loss(errors, torch.zeros_like(dynamic), 20.0).item() == pytest.approx(3.5)


def test_no_ray_no_loss():
    errors = RayErrors(torch.zeros(4), torch.zeros(4, dtype=torch.bool))
    assert balanced_flow_loss(errors, torch.ones(4, dtype=torch.bool), 20.0).item() == 0.0
    assert balanced_flow_loss(RayErrors(errors.value[:0], errors.valid[:0]), YES[:0], 20.0) == 0.0


@pytest.mark.parametrize(
    ("optical", "known", "movable", "dynamic", "static"),
    [
        ((8.0, 0.0), True, True, False, True),  # as far as the threshold
        ((6.0, 6.0), True, True, True, False),  # 8.5 px
        ((6.0, 6.0), True, False, False, True),  # wrong depth of a building
        ((6.0, 6.0), False, False, False, True),
        ((6.0, 6.0), False, True, False, False),  # nobody knows
        ((torch.nan, torch.nan), False, True, False, False),
    ],
)
def test_dynamic_rays_differ_from_static_flow_on_movable_things(
    optical, known, movable, dynamic, static
):
    static_flow = torch.tensor([[1.0, -2.0]])
    optical_flow = static_flow + torch.tensor([optical])
    motion = classify_rays(
        optical_flow, static_flow, torch.tensor([known]), torch.tensor([movable]), 8.0
    )
    assert motion.dynamic.item() == dynamic
    assert motion.static.item() == static


def test_dynamic_rays_teach_flow_and_the_others_geometry():
    weights = torch.full((2, 3), 0.3, requires_grad=True)
    flow = torch.full((2, 3, 2), 0.7, requires_grad=True)
    kept, moved = disentangle(weights, flow, torch.tensor([True, False]))
    assert torch.equal(kept, weights)
    assert torch.equal(moved[0], flow[0])
    assert not moved[1].any()
    (kept.sum() + moved.sum()).backward()
    assert weights.grad.tolist() == [[0.0] * 3, [1.0] * 3]
    assert flow.grad.tolist() == [[[1.0] * 2] * 3, [[0.0] * 2] * 3]


def test_flow_of_static_rays_is_pulled_to_zero():
    flow = torch.tensor([[0.3, -0.4], [5.0, 5.0], [0.1, 0.0]], requires_grad=True)
    loss = dynamic_regularization(flow, torch.tensor([True, False, True]))
    assert loss.item() == pytest.approx((0.7 + 0.1) / 2)
    loss.backward()
    assert not flow.grad[1].any()
    assert dynamic_regularization(flow, torch.zeros(3, dtype=torch.bool)).item() == 0.0


# A camera at the ego's place that has driven 1 m forward, and a ray to a point 10 m ahead and 2 m
# to the right: K·(−y, −z, x).
K = torch.tensor([[[100.0, 0.0, 50.0], [0.0, 100.0, 20.0], [0.0, 0.0, 1.0]]])
POSE = torch.tensor(
    [[[0.0, 0, 1, 1.0], [-1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1.0]]]  # 1 m ahead
)
PIXEL = torch.tensor([[70.0, 20.0]])


def ray_points(*ranges_m):
    return torch.tensor([[[x, -0.2 * x, 0.0] for x in ranges_m]])


def test_static_flow_is_what_ego_motion_does_to_the_rendered_depth():
    weights = torch.tensor([[0.2, 0.2]])
    surface = expected_points(ray_points(9.0, 11.0), weights)
    pixels, _ = reproject(surface, K, POSE)
    # 2 m to the right at 9 m is 22.2 px, where at 10 m it was 20.
    torch.testing.assert_close(pixels[:, 0] - PIXEL, torch.tensor([[20.0 / 9.0, 0.0]]))


@pytest.mark.parametrize("speed_m", [0.0, 2.0, -0.5])
def test_flow_loss_is_least_at_the_true_depth_and_motion(speed_m):
    """The thing drives `speed_m` ahead; were it as fast as the ego, its depth would not show."""
    true_pixels, _ = reproject(ray_points(10.0) + torch.tensor([speed_m, 0.0, 0.0]), K, POSE)
    flow_px = true_pixels[:, 0] - PIXEL

    def loss(range_m, guess_m):
        moved = displace(ray_points(range_m), torch.tensor([[[guess_m, 0.0]]]), torch.ones(1))
        pixels, usable = reproject(moved, K, POSE)
        errors = optical_flow_errors(
            pixels, usable, PIXEL, torch.ones(1, 1), flow_px, YES, SIZE, 0.1
        )
        return errors.value.item()

    assert loss(10.0, speed_m) == pytest.approx(0.0, abs=1e-4)
    assert loss(10.0, speed_m + 0.5) > 0.5
    assert loss(6.0, speed_m) > 0.5


def test_gradients_are_those_of_the_formula():
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    pixels = (30.0 * random(6, 3, 2)).requires_grad_()
    weights = (0.1 + random(6, 3)).requires_grad_()
    flow_m = random(6, 3, 2).requires_grad_()
    usable = random(6, 3) > 0.2
    dynamic, known = random(6) > 0.5, random(6) > 0.1

    def loss(pixels, weights, flow_m):
        _, moved = disentangle(weights, flow_m, dynamic)
        errors = optical_flow_errors(
            pixels + 10 * moved,
            usable,
            pixels.new_zeros(6, 2),
            weights,
            pixels.new_ones(6, 2),
            known,
            SIZE,
            1.0,
        )
        rendered = (weights.unsqueeze(-1) * flow_m).sum(1)
        balanced = balanced_flow_loss(errors, dynamic, 20.0)
        return balanced, dynamic_regularization(rendered, ~dynamic)

    assert torch.autograd.gradcheck(loss, (pixels, weights, flow_m))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: classify_rays(torch.zeros(3, 2), torch.zeros(2, 2), ~NO[:0], NO[:0], 8.0),
            r"optical_flow_px: expected \(0, 2\), got \(3, 2\)",
        ),
        (
            lambda: disentangle(torch.zeros(3, 4), torch.zeros(3, 4, 3), torch.zeros(3).bool()),
            r"flow_m: expected \(3, 4, 2\), got \(3, 4, 3\)",
        ),
        (
            lambda: dynamic_regularization(torch.zeros(3, 2), torch.zeros(4).bool()),
            r"rendered_flow_m: expected \(4, 2\), got \(3, 2\)",
        ),
        (
            lambda: balanced_flow_loss(RayErrors(torch.zeros(3), YES), torch.zeros(2).bool(), 20.0),
            r"errors: expected \(2\), got \(3,\)",
        ),
        (
            lambda: dynamic_scale(torch.zeros(3), torch.zeros(3).bool(), 20.0),
            "dynamic: expected bool, got torch.float32",
        ),
        (
            lambda: errors_of([[0.0, 0.0]], (0.0, 0.0, 0.0)),
            r"flow_px: expected \(1, 2\), got \(1, 3\)",
        ),
    ],
)
def test_wrong_shapes_say_expected_and_got(call, message):
    with pytest.raises(ValueError, match=message):
        call()
