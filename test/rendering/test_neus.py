"""NeuS weights against the formula of the paper, hand-made numbers and extremes."""

import math
from itertools import pairwise

import pytest
import torch

from occflow_ros.rendering.neus import (
    alphas,
    learned_sharpness,
    log_survival,
    scheduled_sharpness,
    weights,
)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def weights_of_the_paper(sdf_m, sharpness_per_m):
    """Equation 13 and w_i = α_i Π (1 − α_j), letter by letter, for one ray."""
    phi = [sigmoid(sharpness_per_m * s) for s in sdf_m]
    result, transmittance = [], 1.0
    for first, second in pairwise(phi):
        alpha = max((first - second) / first, 0.0)
        result.append(alpha * transmittance)
        transmittance *= 1 - alpha
    return result


def random_sdf_m(rays=64, samples=40, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    steps_m = torch.randn(rays, samples, generator=generator, dtype=dtype)
    return 1.0 + steps_m.cumsum(dim=1) / 3


def test_alpha_by_hand():
    alpha = alphas(torch.tensor([[1.0, -1.0, 0.5]]), 2.0)
    expected = (sigmoid(2.0) - sigmoid(-2.0)) / sigmoid(2.0)
    assert alpha[0].tolist() == pytest.approx([expected, 0.0])
    assert expected == pytest.approx(0.8647, abs=1e-4)


@pytest.mark.parametrize("sharpness_per_m", [0.5, 3.0, 20.0])
def test_weights_are_those_of_the_paper_shared_by_both_ends_of_a_step(sharpness_per_m):
    sdf_m = random_sdf_m(dtype=torch.float64)
    for ray_m, got in zip(sdf_m.tolist(), weights(sdf_m, sharpness_per_m)):
        steps = [0.0, *weights_of_the_paper(ray_m, sharpness_per_m), 0.0]
        expected = [(before + after) / 2 for before, after in pairwise(steps)]
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("sharpness_per_m", [0.1, 3.0, 1000.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_weights_are_not_negative_and_sum_to_at_most_one(sharpness_per_m, scale):
    sdf_m = (scale * random_sdf_m()).requires_grad_()
    result = weights(sdf_m, sharpness_per_m)
    assert (result >= 0).all()
    assert (result.sum(dim=1) <= 1 + 1e-5).all()
    result.square().sum().backward()
    assert sdf_m.grad.isfinite().all()


def test_opacity_depends_on_the_deepest_place_only():
    """Along a descent of S, what is kept is Φ(lowest) / Φ(first)."""
    sdf_m = torch.cat((torch.linspace(2, -0.3, 50), torch.linspace(-0.3, 2, 50))).unsqueeze(0)
    opacity = weights(sdf_m, 4.0).sum().item()
    assert opacity == pytest.approx(1 - sigmoid(4 * -0.3) / sigmoid(4 * 2.0), abs=1e-6)


def test_constant_and_rising_fields_are_transparent():
    sdf_m = torch.stack((torch.full((9,), -1.0), torch.linspace(-2, 5, 9))).requires_grad_()
    result = weights(sdf_m, 10.0)
    assert not result.any()
    result.sum().backward()
    assert not sdf_m.grad.any()


def test_scheduled_and_learnable_sharpness_agree_and_only_one_has_a_gradient():
    learnable = torch.tensor(3.0, requires_grad=True)
    sdf_m = torch.tensor([[1.0, 0.2, -0.4]])
    assert torch.equal(weights(sdf_m, learnable), weights(sdf_m, 3.0))
    weights(sdf_m, learnable).sum().backward()
    opacity = [1 - sigmoid(xi * -0.4) / sigmoid(xi * 1.0) for xi in (2.999, 3.001)]
    assert learnable.grad.item() == pytest.approx((opacity[1] - opacity[0]) / 0.002, rel=1e-3)


def test_sharpness_starts_at_e_per_metre_and_is_never_negative():
    parameter = torch.tensor([0.1, -20.0])
    assert learned_sharpness(parameter).tolist() == pytest.approx([math.e, 0.0], abs=1e-5)


@pytest.mark.parametrize(
    ("progress", "expected"), [(-1.0, 2.0), (0.0, 2.0), (0.5, 8.0), (1.0, 32.0), (3.0, 32.0)]
)
def test_scheduled_sharpness_grows_by_equal_factors(progress, expected):
    assert scheduled_sharpness(progress, 2.0, 32.0) == pytest.approx(expected)


def test_gradients_in_double_precision():
    sdf_m = random_sdf_m(rays=3, samples=7, dtype=torch.float64).requires_grad_()
    sharpness_per_m = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(weights, (sdf_m, sharpness_per_m))
    assert torch.autograd.gradcheck(alphas, (sdf_m, sharpness_per_m))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"sdf_m: expected \(R, S\) with S >= 2, got \(4, 1\)"):
        weights(torch.ones(4, 1), 1.0)
    with pytest.raises(ValueError, match=r"sharpness_per_m: expected a scalar, got \(2,\)"):
        alphas(torch.ones(4, 3), torch.ones(2))


def test_survival_is_what_the_weights_have_left():
    sdf_m = random_sdf_m(dtype=torch.float64)
    alpha = alphas(sdf_m, 2.0)
    torch.testing.assert_close(log_survival(sdf_m, 2.0).exp(), (1 - alpha).cumprod(dim=1))


def test_survival_is_precise_far_from_any_surface():
    sdf_m = torch.tensor([[12.0, 11.0]], requires_grad=True)
    (survival,) = log_survival(sdf_m, 5.0).flatten()
    assert survival.item() == pytest.approx(-math.exp(-55.0), rel=0.01)
    survival.backward()
    assert sdf_m.grad[0, 1].item() == pytest.approx(5 * math.exp(-55.0), rel=0.01)
