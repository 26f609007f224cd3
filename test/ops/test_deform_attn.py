"""Deformable attention against loops, hand-computed samples and finite differences."""

import math

import pytest
import torch

from occflow_ros.ops import deform_attn as module
from occflow_ros.ops.deform_attn import deform_attn

SIZES = ((3, 5), (2, 2))


def random_case(batch=2, heads=2, channels=3, points=2, queries=4):
    generator = torch.Generator().manual_seed(0)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    values = [rand(batch, heads, channels, *size) for size in SIZES]
    locations = 1.6 * rand(batch, heads, len(SIZES), points, queries, 2) - 0.3
    return values, locations, rand(batch, heads, len(SIZES), points, queries)


def sample(value, x, y):
    """One bilinear sample (C) of a map (C, H, W), cell by cell, zero outside."""
    _, height, width = value.shape
    column, row = x * width - 0.5, y * height - 0.5
    total = torch.zeros(value.shape[0], dtype=value.dtype)
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < height and 0 <= j < width:
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * value[:, i, j]
    return total


def test_equals_the_loop_over_everything():
    values, locations, weights = random_case()
    got = deform_attn(values, locations, weights)
    for b, h, q in torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(4)).tolist():
        expected = sum(
            weights[b, h, level, p, q]
            * sample(values[level][b, h], *locations[b, h, level, p, q].tolist())
            for level in range(2)
            for p in range(2)
        )
        torch.testing.assert_close(got[b, q, 3 * h : 3 * h + 3], expected)


@pytest.mark.parametrize("samples_at_once", [1, 30, 10**9])
def test_chunks_do_not_change_the_sum(monkeypatch, samples_at_once):
    values, locations, weights = random_case(points=5)
    expected = deform_attn(values, locations, weights)
    monkeypatch.setattr(module, "_CPU_SAMPLES", samples_at_once)
    torch.testing.assert_close(deform_attn(values, locations, weights), expected)


def test_gradients_equal_finite_differences():
    values, locations, weights = random_case(batch=1, queries=2)
    inputs = [tensor.requires_grad_() for tensor in (*values, locations, weights)]
    assert torch.autograd.gradcheck(lambda a, b, c, d: deform_attn([a, b], c, d), inputs)


def test_centre_of_a_cell_is_its_value():
    value = torch.arange(6.0).view(1, 1, 1, 2, 3)
    location = torch.tensor([2.5 / 3, 0.5 / 2]).view(1, 1, 1, 1, 1, 2)
    assert deform_attn([value], location, torch.ones(1, 1, 1, 1, 1)).item() == pytest.approx(2.0)


@pytest.mark.parametrize("location", [(-1.0, 0.5), (0.5, 2.0), (1e6, -1e6)])
def test_points_outside_contribute_zero(location):
    value = torch.ones(1, 1, 4, 2, 3)
    locations = torch.tensor(location).view(1, 1, 1, 1, 1, 2)
    got = deform_attn([value], locations, torch.ones(1, 1, 1, 1, 1))
    assert got.tolist() == [[[0.0] * 4]]


def test_wrong_shapes_say_expected_and_got():
    values, locations, weights = random_case()
    with pytest.raises(ValueError, match=r"locations: expected \(B, heads, 1, P, Q, 2\), got"):
        deform_attn(values[:1], locations, weights)
    with pytest.raises(ValueError, match="weights: expected"):
        deform_attn(values, locations, weights[..., :1])
    with pytest.raises(ValueError, match=r"values\[1\]: expected"):
        deform_attn([values[0], values[1][:, :1]], locations, weights)
