"""Trilinear samples of a volume against PyTorch's own sampler and numbers made by hand."""

import pytest
import torch
from torch.nn import functional

from occflow_ros.ops.deform_attn_3d import deform_attn_3d

SHAPE = (4, 3, 5)


def random_case(queries=7, points=3, heads=2, dtype=torch.float64):
    """Locations reach a cell and a half out of the volume on all sides."""
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(2, *SHAPE, heads, 3, generator=generator, dtype=dtype)
    unit = torch.rand(2, queries, heads, points, 3, generator=generator, dtype=dtype)
    locations = unit * (torch.tensor(SHAPE, dtype=dtype) + 2.0) - 1.5
    weights = torch.rand(2, queries, heads, points, generator=generator, dtype=dtype)
    return values, locations, weights


def by_grid_sample(values, locations, weights):
    """The same with `grid_sample` in three dimensions, head by head."""
    size = torch.tensor(SHAPE, dtype=values.dtype)
    unit = 2.0 * (locations + 0.5) / size - 1.0
    heads = []
    for head in range(values.shape[4]):
        volume = values[..., head, :].permute(0, 4, 3, 2, 1)  # (B, C, Z, Y, X)
        samples = functional.grid_sample(volume, unit[:, None, :, head], align_corners=False)
        heads.append((samples[:, :, 0] * weights[:, None, :, head]).sum(-1).transpose(1, 2))
    return torch.cat(heads, dim=-1)


def one_sample(value, location):
    """A volume (X, Y, Z) at one place."""
    places = torch.tensor(location, dtype=value.dtype).view(1, 1, 1, 1, 3)
    return deform_attn_3d(value[None, ..., None, None], places, value.new_ones(1, 1, 1, 1)).item()


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_equals_the_sampler_of_volumes_inside_and_outside(backend):
    case = random_case()
    torch.testing.assert_close(deform_attn_3d(*case, backend), by_grid_sample(*case))


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_gradients_equal_those_of_the_sampler(backend):
    def gradients(compute, *extra):
        inputs = [tensor.detach().requires_grad_() for tensor in random_case()]
        answer = compute(*inputs, *extra)
        slope = torch.linspace(-1.0, 1.0, answer.numel(), dtype=answer.dtype).view_as(answer)
        return torch.autograd.grad((answer * slope).sum(), inputs)

    for got, expected in zip(gradients(deform_attn_3d, backend), gradients(by_grid_sample)):
        torch.testing.assert_close(got, expected)


def test_between_cells_it_is_the_mean_and_outside_it_fades_to_zero():
    value = torch.zeros(SHAPE, dtype=torch.float64)
    value[1, 2, 3], value[1, 2, 4], value[0, 0, 1] = 4.0, 8.0, 16.0
    assert one_sample(value, (1, 2, 3)) == 4.0
    assert one_sample(value, (1, 2, 3.5)) == 6.0
    assert one_sample(value, (1, 2, 4.25)) == 6.0
    assert one_sample(value, (1.5, 1.5, 3.5)) == 1.5
    assert one_sample(value, (-0.5, 0, 1)) == 8.0
    assert one_sample(value, (-1, 0, 1)) == 0.0
    assert one_sample(value, (-3, 0, 1)) == 0.0  # not the last cell of the slice below


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (0, r"values: expected \(B, X, Y, Z, heads, C\)"),
        (1, r"locations: expected \(2, Q, 2, P, 3\)"),
        (2, r"weights: expected \(2, 7, 2, 3\)"),
    ],
)
def test_shapes_that_do_not_belong_together_are_named(changed, message):
    case = list(random_case())
    case[changed] = case[changed][..., :1].squeeze(-1)
    with pytest.raises(ValueError, match=message):
        deform_attn_3d(*case)
