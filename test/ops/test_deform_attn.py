"""Deformable attention, kernel and twin, against loops, hand-made samples and differences."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from occflow_ros.ops.deform_attn import deform_attn

BACKENDS = ("numba", "torch")
SIZES = ((3, 5), (2, 2))


def random_case(batch=2, queries=4, heads=2, points=2, channels=3, dtype=torch.float64):
    """Two levels of different size; a fifth of the places lie outside, a quarter weighs nothing."""
    generator = torch.Generator().manual_seed(0)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=dtype)

    values = [rand(batch, *size, heads, channels) for size in SIZES]
    shape = (batch, queries, heads, len(SIZES), points)
    weights = rand(*shape)
    return values, 1.6 * rand(*shape, 2) - 0.3, weights * (weights > 0.25)


def sample(value, x, y):
    """One bilinear sample (C) of a map (H, W, C), cell by cell, zero outside."""
    height, width, _ = value.shape
    column, row = x * width - 0.5, y * height - 0.5
    total = torch.zeros(value.shape[-1], dtype=value.dtype)
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < height and 0 <= j < width:
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * value[i, j]
    return total


def loop(values, locations, weights):
    """Equation 3 of Deformable DETR, sample by sample."""
    answer = torch.zeros(*weights.shape[:3], values[0].shape[-1], dtype=weights.dtype)
    for b, q, h, level, p in torch.cartesian_prod(*map(torch.arange, weights.shape)).tolist():
        place = locations[b, q, h, level, p].tolist()
        answer[b, q, h] += weights[b, q, h, level, p] * sample(values[level][b, :, :, h], *place)
    return answer.flatten(2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_the_loop_over_everything(backend):
    case = random_case()
    torch.testing.assert_close(deform_attn(*case, backend), loop(*case))


@pytest.mark.parametrize("backend", BACKENDS)
def test_places_on_borders_and_centres_equal_the_loop(backend):
    """Corners of the map, cell centres, cell edges, and half a cell beyond."""
    values = [torch.rand(1, 2, 4, 1, 3, dtype=torch.float64) for _ in range(2)]
    x = torch.tensor([0.0, 1.0, 0.125, 0.25, 0.5, 0.875, -0.125, 1.125], dtype=torch.float64)
    y = torch.tensor([0.0, 1.0, 0.25, 0.5, 0.75, -0.25, 1.25], dtype=torch.float64)
    places = torch.cartesian_prod(x, y).view(1, -1, 1, 1, 1, 2).expand(-1, -1, -1, 2, -1, -1)
    weights = torch.ones(places.shape[:-1], dtype=torch.float64)
    expected = loop(values, places, weights)
    torch.testing.assert_close(deform_attn(values, places, weights, backend), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_equal_finite_differences(backend):
    values, locations, weights = random_case(batch=2, queries=2)
    inputs = [tensor.requires_grad_() for tensor in (*values, locations, weights)]
    assert torch.autograd.gradcheck(lambda a, b, c, d: deform_attn([a, b], c, d, backend), inputs)


@pytest.mark.parametrize("channels", [1, 12, 13, 32])
def test_the_kernel_gives_what_its_twin_gives(channels):
    """Values and all gradients in float32, at channels that fill a vector and that do not."""
    results = []
    for backend in BACKENDS:
        values, locations, weights = random_case(
            batch=3, queries=50, channels=channels, dtype=torch.float32
        )
        inputs = [tensor.requires_grad_() for tensor in (*values, locations, weights)]
        answer = deform_attn(values, locations, weights, backend)
        gradients = torch.autograd.grad(answer.sin().sum(), inputs)
        results.append((answer, *gradients))
    for kernel, twin in zip(*results):
        torch.testing.assert_close(kernel, twin, atol=1e-5, rtol=1e-5)


def test_the_kernel_is_the_default_on_a_cpu_and_takes_any_memory_layout():
    values, locations, weights = random_case()
    expected = deform_attn(values, locations, weights, "numba")
    scattered = [value.transpose(1, 2).contiguous().transpose(1, 2) for value in values]
    assert not scattered[0].is_contiguous()
    assert torch.equal(deform_attn(scattered, locations, weights), expected)


def test_two_threads_may_call_at_once():
    cases = [random_case(queries=500 + index) for index in range(2)]
    expected = [deform_attn(*case) for case in cases]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            for got, want in zip(pool.map(lambda case: deform_attn(*case), cases), expected):
                assert torch.equal(got, want)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_queries_give_no_answers(backend):
    values, locations, weights = random_case(queries=0)
    assert deform_attn(values, locations, weights, backend).shape == (2, 0, 6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_centre_of_a_cell_is_its_value(backend):
    value = torch.arange(6.0).view(1, 2, 3, 1, 1)
    location = torch.tensor([2.5 / 3, 0.5 / 2]).view(1, 1, 1, 1, 1, 2)
    got = deform_attn([value], location, torch.ones(1, 1, 1, 1, 1), backend)
    assert got.item() == pytest.approx(2.0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("location", [(-1.0, 0.5), (0.5, 2.0), (1e6, -1e6)])
def test_points_outside_contribute_zero(location, backend):
    value = torch.ones(1, 2, 3, 1, 4)
    locations = torch.tensor(location).view(1, 1, 1, 1, 1, 2)
    got = deform_attn([value], locations, torch.ones(1, 1, 1, 1, 1), backend)
    assert got.tolist() == [[[0.0] * 4]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_precision_is_that_of_the_locations(backend):
    values, locations, weights = random_case(dtype=torch.float32)
    rounded = [value.bfloat16() for value in values]
    got = deform_attn(rounded, locations, weights.bfloat16(), backend)
    assert got.dtype == torch.float32
    expected = deform_attn(
        [value.float() for value in rounded], locations, weights.bfloat16().float(), backend
    )
    assert torch.equal(got, expected)


def test_wrong_shapes_say_expected_and_got():
    values, locations, weights = random_case()
    with pytest.raises(ValueError, match=r"locations: expected \(B, Q, heads, 1, P, 2\), got"):
        deform_attn(values[:1], locations, weights)
    with pytest.raises(ValueError, match="weights: expected"):
        deform_attn(values, locations, weights[..., :1])
    with pytest.raises(ValueError, match=r"values\[1\]: expected"):
        deform_attn([values[0], values[1][..., :1, :]], locations, weights)
    with pytest.raises(ValueError, match=r"locations: expected float32 or float64, got .*bfloat16"):
        deform_attn(values, locations.bfloat16(), weights)
