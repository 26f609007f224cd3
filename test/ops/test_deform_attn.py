"""Deformable attention, kernel and twin: loops, hand-computed samples and finite differences."""

import math
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from occflow_ros.ops.deform_attn import deform_attn

SIZES = ((3, 5), (2, 2))

backends = pytest.mark.parametrize("backend", ["numba", "torch"])


def random_case(batch=2, heads=2, channels=3, points=3, queries=4, sizes=SIZES, dtype=torch.double):
    """Values, locations from −0.3 to 1.3, and weights of which some are zero."""
    generator = torch.Generator().manual_seed(0)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=dtype)

    values = [rand(batch, *size, heads, channels) for size in sizes]
    locations = 1.6 * rand(batch, queries, heads, len(sizes), points, 2) - 0.3
    weights = rand(batch, queries, heads, len(sizes), points)
    return values, locations, weights * (weights > 0.2)


def with_gradients(values, locations, weights, backend):
    """The answer and the gradients of values, locations and weights for some loss."""
    inputs = [tensor.detach().requires_grad_() for tensor in (*values, locations, weights)]
    answer = deform_attn(inputs[:-2], *inputs[-2:], backend)
    slope = torch.linspace(-1.0, 1.0, answer.numel(), dtype=answer.dtype).view_as(answer)
    return answer.detach(), *torch.autograd.grad((answer * slope).sum(), inputs)


def one_sample(value, x, y, backend, weight=1.0):
    """A map (H, W, C) sampled at one place, (C)."""
    location = torch.tensor([x, y], dtype=value.dtype).view(1, 1, 1, 1, 1, 2)
    weights = torch.full((1, 1, 1, 1, 1), weight, dtype=value.dtype)
    return deform_attn([value[None, :, :, None]], location, weights, backend)[0, 0]


def sample(value, x, y):
    """One bilinear sample (C) of a map (H, W, C), cell by cell, zero outside."""
    height, width, channels = value.shape
    column, row = x * width - 0.5, y * height - 0.5
    total = torch.zeros(channels, dtype=value.dtype)
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < height and 0 <= j < width:
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * value[i, j]
    return total


@backends
@pytest.mark.parametrize(
    ("batch", "heads", "queries"), [(2, 3, 4), (1, 1, 1), (3, 2, 1)], ids=["all", "one", "batch"]
)
def test_equals_the_loop_over_everything(backend, batch, heads, queries):
    values, locations, weights = random_case(batch, heads, queries=queries)
    got = deform_attn(values, locations, weights, backend)
    assert got.shape == (batch, queries, heads * 3)
    for b in range(batch):
        for q in range(queries):
            for h in range(heads):
                expected = sum(
                    weights[b, q, h, level, p]
                    * sample(value[b, :, :, h], *locations[b, q, h, level, p].tolist())
                    for level, value in enumerate(values)
                    for p in range(weights.shape[-1])
                )
                torch.testing.assert_close(got[b, q, 3 * h : 3 * h + 3], expected)


@backends
@pytest.mark.parametrize("x", [0.0, 0.5 / 5, 1.0 / 5, 0.37, 4.5 / 5, 1.0, -0.5 / 5, 5.5 / 5])
@pytest.mark.parametrize("y", [0.0, 0.5 / 3, 0.61, 2.5 / 3, 1.0, -0.5 / 3, 3.5 / 3])
def test_borders_and_centres_equal_the_loop(backend, x, y):
    value = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    torch.testing.assert_close(one_sample(value, x, y, backend), sample(value, x, y))


@backends
def test_centre_of_a_cell_is_its_value(backend):
    value = torch.arange(6.0).view(2, 3, 1)
    assert one_sample(value, 2.5 / 3, 0.5 / 2, backend).item() == pytest.approx(2.0)


@backends
@pytest.mark.parametrize("place", [(-1.0, 0.5), (0.5, 2.0), (1e6, -1e6)])
def test_points_outside_contribute_zero(backend, place):
    assert one_sample(torch.ones(2, 3, 4), *place, backend).tolist() == [0.0] * 4


@backends
def test_a_place_that_is_not_a_number_is_not_passed_over(backend):
    assert one_sample(torch.ones(2, 3, 4), math.nan, 0.5, backend).isnan().all()


@backends
def test_gradients_equal_finite_differences(backend):
    values, locations, weights = random_case(batch=1, queries=2)
    inputs = [tensor.requires_grad_() for tensor in (*values, locations, weights)]
    assert torch.autograd.gradcheck(lambda a, b, c, d: deform_attn([a, b], c, d, backend), inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "case",
    [
        {"batch": 1, "heads": 1, "channels": 1, "queries": 1, "sizes": ((1, 1),)},
        {"batch": 5, "heads": 4, "channels": 13, "queries": 30, "sizes": ((7, 9), (7, 9))},
        {"batch": 2, "heads": 3, "channels": 16, "queries": 50, "sizes": ((4, 9), (2, 5), (1, 3))},
    ],
    ids=["smallest", "two maps", "pyramid"],
)
def test_the_kernel_equals_its_twin(case, dtype):
    inputs = random_case(**case, dtype=dtype)
    tolerance = {"atol": 2e-5, "rtol": 2e-5} if dtype == torch.float32 else {}
    for got, expected in zip(with_gradients(*inputs, "numba"), with_gradients(*inputs, "torch")):
        torch.testing.assert_close(got, expected, **tolerance)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_no_bit(threads):
    inputs = random_case(batch=3, heads=4, queries=50)
    before = torch.get_num_threads()
    expected = with_gradients(*inputs, "numba")
    try:
        torch.set_num_threads(threads)
        got = with_gradients(*inputs, "numba")
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(got, expected))


def test_two_threads_may_call_at_once():
    cases = [random_case(queries=200), random_case(queries=300)]
    expected = [with_gradients(*case, "numba") for case in cases]
    start = Barrier(2)

    def repeat(case):
        start.wait()
        return [with_gradients(*case, "numba") for _ in range(20)]

    with ThreadPoolExecutor(2) as pool:
        for results, once in zip(pool.map(repeat, cases), expected):
            assert all(torch.equal(a, b) for result in results for a, b in zip(result, once))


@backends
def test_memory_layout_does_not_matter(backend):
    values, locations, weights = random_case()
    scattered = [
        value.permute(0, 4, 3, 2, 1).contiguous().permute(0, 4, 3, 2, 1) for value in values
    ]
    every_other = torch.stack((locations, -locations), dim=-1).flatten(-2)[..., ::2]
    backwards = weights.flip(1).contiguous().flip(1)
    got = with_gradients(scattered, every_other, backwards, backend)
    for a, b in zip(got, with_gradients(values, locations, weights, backend)):
        torch.testing.assert_close(a, b)


@backends
@pytest.mark.parametrize("empty", [{"queries": 0}, {"batch": 0}])
def test_nothing_asked_nothing_given(backend, empty):
    answer, *gradients = with_gradients(*random_case(**empty), backend)
    assert answer.numel() == 0
    assert not any(gradient.any() for gradient in gradients)


@backends
def test_values_in_bfloat16_are_sampled_in_the_precision_of_the_locations(backend):
    values, locations, weights = random_case(dtype=torch.float32)
    half = [value.bfloat16() for value in values]
    got = deform_attn(half, locations, weights.bfloat16(), backend)
    rounded = [value.float() for value in half]
    assert torch.equal(got, deform_attn(rounded, locations, weights.bfloat16().float(), backend))
    with pytest.raises(ValueError, match=r"locations: expected float32 .* got torch.bfloat16"):
        deform_attn(half, locations.bfloat16(), weights, backend)


def test_the_kernel_is_one_operator_to_autograd_and_compiler():
    values, locations, weights = random_case(batch=1, queries=2)
    inputs = [tensor.requires_grad_() for tensor in (*values, locations, weights)]
    operator = torch.ops.occflow_ros.deform_attn.default
    torch.library.opcheck(operator, (inputs[:-2], *inputs[-2:]))
    compiled = torch.compile(deform_attn, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(
        compiled(inputs[:-2], *inputs[-2:]), deform_attn(inputs[:-2], *inputs[-2:], "torch")
    )


def test_without_numba_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "occflow_ros.ops.deform_attn_numba", raising=False)
    case = random_case()
    with pytest.raises(ImportError, match="pip install numba"):
        deform_attn(*case)
    assert deform_attn(*case, backend="torch").shape == (2, 4, 6)


def test_where_no_folder_can_be_written_the_kernel_is_compiled_all_the_same(monkeypatch):
    from occflow_ros.ops import compiled

    def njit_without_cache(*, cache=False, **_):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(compiled, "njit", njit_without_cache)
    assert compiled.compiled(nogil=True)(sum)([1, 2]) == 3


def test_wrong_shapes_say_expected_and_got():
    values, locations, weights = random_case()
    with pytest.raises(ValueError, match=r"locations: expected \(B, Q, heads, 1, P, 2\), got"):
        deform_attn(values[:1], locations, weights)
    with pytest.raises(ValueError, match=r"weights: expected \(2, 4, 2, 2, 3\), got"):
        deform_attn(values, locations, weights[..., :1])
    with pytest.raises(ValueError, match=r"values\[1\]: expected \(2, H, W, 2, 3\), got"):
        deform_attn([values[0], values[1][..., :1]], locations, weights)
