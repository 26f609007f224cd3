"""Eikonal, Hessian and sparsity terms, by hand and on a true signed distance field."""

import pytest
import torch

from occflow_ros.losses.sdf import (
    adaptive_sparsity_loss,
    eikonal_errors,
    hessian_loss,
    soft_sparsity_loss,
    solid_behind,
)


@pytest.mark.parametrize(
    ("gradient", "expected"),
    [
        ((0.6, 0.0, 0.8), 0.0),
        ((0.0, 0.0, 0.0), 1.0),
        ((0.0, 3.0, 4.0), 16.0),
        ((0.0, 0.0, 0.9), 0.01),
    ],
)
def test_eikonal_error_is_how_far_the_gradient_is_from_unit_length(gradient, expected):
    assert eikonal_errors(torch.tensor([gradient])).item() == pytest.approx(expected, abs=1e-6)


def test_eikonal_gradient_is_finite_where_the_field_is_flat():
    gradient = torch.zeros(2, 3, requires_grad=True)
    eikonal_errors(gradient).sum().backward()
    assert gradient.grad.isfinite().all()


def test_hessian_loss_is_the_mean_of_all_entries():
    assert hessian_loss(torch.zeros(4, 3, 3)).item() == 0.0
    hessian = torch.zeros(2, 1, 1, 3, 3)
    hessian[0, 0, 0, 0, 0], hessian[0, 0, 0, 1, 2], hessian[0, 0, 0, 2, 1] = -2.0, 3.5, 3.5
    assert hessian_loss(hessian).item() == pytest.approx(0.5)


def test_soft_sparsity_is_the_mean_depth_inside():
    sdf = torch.tensor([3.0, -1.0, 0.0, -2.0]).reshape(2, 2, 1)
    assert soft_sparsity_loss(sdf).item() == pytest.approx(0.75)
    assert soft_sparsity_loss(sdf.abs()).item() == 0.0


def test_adaptive_sparsity_looks_behind_the_slack_only():
    # The rays end at 10 m and 5 m; with 4 m of slack what counts lies beyond 14 m and 9 m.
    range_m = torch.tensor([[8.0, 12.0, 15.0, 18.0], [8.0, 9.0, 12.0, 18.0]])
    sdf = torch.tensor([[1.0, -2.0, -3.0, 1.0], [-5.0, -5.0, -1.0, -2.0]], requires_grad=True)
    solid, count = solid_behind(sdf, range_m, torch.tensor([10.0, 5.0]), 4.0)
    assert solid.tolist() == [3.0, 3.0]
    assert count.tolist() == [2, 2]
    loss = adaptive_sparsity_loss(solid, count, torch.tensor([True, True]))
    assert loss.item() == pytest.approx(1.5)
    loss.backward()
    assert sdf.grad.tolist() == [[0.0, 0.0, -0.25, 0.0], [0.0, 0.0, -0.25, -0.25]]


def test_rays_that_miss_the_volume_and_empty_space_cost_nothing():
    solid, count = torch.tensor([4.0, 9.0]), torch.tensor([2, 9])
    one = adaptive_sparsity_loss(solid, count, torch.tensor([True, False]))
    assert one.item() == pytest.approx(2.0)
    none = adaptive_sparsity_loss(solid, 0 * count, torch.tensor([False, False]))
    assert none.item() == 0.0


def test_gradients_are_those_of_the_formulas():
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        value = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return value.requires_grad_()

    range_m = torch.arange(4.0).expand(3, 4)

    def sparsity(sdf):
        solid, count = solid_behind(sdf, range_m, torch.tensor([0.5, 1.5, 9.0]), 0.2)
        return adaptive_sparsity_loss(solid, count, torch.ones(3, dtype=torch.bool))

    assert torch.autograd.gradcheck(eikonal_errors, (random(5, 3),))
    assert torch.autograd.gradcheck(hessian_loss, (random(2, 3, 3),))
    assert torch.autograd.gradcheck(soft_sparsity_loss, (random(2, 3, 2),))
    assert torch.autograd.gradcheck(sparsity, (random(3, 4),))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: eikonal_errors(torch.zeros(4, 2)), r"gradient: expected \(4, 3\), got \(4, 2\)"),
        (lambda: hessian_loss(torch.zeros(4, 3)), r"hessian: expected \(3, 3\), got \(4, 3\)"),
        (
            lambda: soft_sparsity_loss(torch.zeros(4, 4)),
            r"sdf_m: expected \(X, Y, Z\), got \(4, 4\)",
        ),
        (
            lambda: solid_behind(torch.zeros(4, 2), torch.zeros(4, 3), torch.zeros(4), 4.0),
            r"range_m: expected \(4, 2\), got \(4, 3\)",
        ),
        (
            lambda: adaptive_sparsity_loss(torch.zeros(3), torch.zeros(3), torch.ones(4).bool()),
            r"solid_m: expected \(4\), got \(3,\)",
        ),
    ],
)
def test_wrong_shapes_say_expected_and_got(call, message):
    with pytest.raises(ValueError, match=message):
        call()
