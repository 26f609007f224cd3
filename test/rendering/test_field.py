"""Volumes read at points, and their derivatives."""

import pytest
import torch

from occflow_ros.rendering.derivatives import sdf_gradient, sdf_hessian
from occflow_ros.rendering.field import interpolate, volume_field
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-4.0, -3.0, -1.0), (4.0, 3.0, 2.2), (10, 6, 4))  # 0.8, 1.0 and 0.8 m
SMALL = VoxelGrid((-1.0, -1.0, -1.0), (1.0, 2.0, 1.0), (3, 4, 3))


def centers_m(grid=GRID):
    return grid.centers_of(torch.arange(grid.num_voxels)).view(*grid.shape, 3)  # float64


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def points_between_centres_m(grid, count):
    lower_m, upper_m = centers_m(grid)[0, 0, 0], centers_m(grid)[-1, -1, -1]
    draws = torch.rand(count, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return lower_m + draws * (upper_m - lower_m)


def test_a_centre_has_its_voxels_value():
    volume = random(3, *GRID.shape)
    torch.testing.assert_close(interpolate(volume, GRID, centers_m()), volume)


def test_between_centres_the_field_is_trilinear():
    points_m = points_between_centres_m(GRID, 500)

    def trilinear(at_m):
        x, y, z = at_m.unbind(dim=-1)
        return 0.3 + 2 * x - y + 0.5 * z + x * y - 0.2 * x * y * z

    got = interpolate(trilinear(centers_m()).unsqueeze(0), GRID, points_m)[0]
    torch.testing.assert_close(got, trilinear(points_m))


@pytest.mark.parametrize(
    ("point_m", "nearest_m"),
    [
        ((50.0, 0.2, 0.5), (3.6, 0.2, 0.5)),  # far outside
        ((3.9, 0.2, 0.5), (3.6, 0.2, 0.5)),  # in the outer half voxel
        ((-9.0, 9.0, -9.0), (-3.6, 2.5, -0.6)),
    ],
)
def test_outside_the_border_repeats(point_m, nearest_m):
    volume = random(2, *GRID.shape)
    both = torch.tensor([point_m, nearest_m], dtype=torch.float64, requires_grad=True)
    outside, border = interpolate(volume, GRID, both).unbind(dim=-1)
    torch.testing.assert_close(outside, border)
    (gradient,) = torch.autograd.grad(outside.sum(), both)
    assert gradient[0, 0] == 0  # nothing changes further out


@pytest.mark.parametrize("threads", [1, 2])
def test_values_do_not_depend_on_the_threads(threads):
    """Enough points for two threads to have a gradient volume each."""
    volume = random(2, *SMALL.shape).requires_grad_()
    points_m = points_between_centres_m(SMALL, 120)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        values = interpolate(volume, SMALL, points_m.view(12, 10, 3))
        (gradient,) = torch.autograd.grad(values.square().sum(), volume)
    finally:
        torch.set_num_threads(before)
    single = torch.stack([interpolate(volume, SMALL, point_m) for point_m in points_m], dim=-1)
    (expected,) = torch.autograd.grad(single.square().sum(), volume)
    torch.testing.assert_close(values, single.view(2, 12, 10))
    torch.testing.assert_close(gradient, expected)


def test_gradients_in_double_precision():
    volume = random(2, *SMALL.shape).requires_grad_()
    points_m = (1.5 * random(8, 3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, p: interpolate(v, SMALL, p), (volume, points_m))
    sdf_m = random(*SMALL.shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: sdf_gradient(s, SMALL), sdf_m)
    assert torch.autograd.gradcheck(lambda s: sdf_hessian(s, SMALL), sdf_m)


def test_a_field_reads_sdf_and_flow_together():
    slope = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    sdf_m = centers_m() @ slope
    flow_m = random(*GRID.shape, 2)
    points_m = points_between_centres_m(GRID, 30).view(5, 6, 3)
    values = volume_field(GRID, sdf_m, flow_m)(points_m)
    torch.testing.assert_close(values.sdf_m, points_m @ slope)
    torch.testing.assert_close(
        values.flow_m, interpolate(flow_m.movedim(-1, 0), GRID, points_m).movedim(0, -1)
    )
    static = volume_field(GRID, sdf_m)(points_m)
    torch.testing.assert_close(static.sdf_m, values.sdf_m)
    assert static.flow_m is None


def test_gradient_of_a_plane_is_exact_everywhere():
    slope = torch.tensor([0.6, 0.0, -0.8], dtype=torch.float64)
    gradient = sdf_gradient(centers_m() @ slope + 3.0, GRID)
    torch.testing.assert_close(gradient, slope.expand(*GRID.shape, 3))


def test_gradient_of_a_quadric_is_exact_inside():
    x, y, z = centers_m().unbind(dim=-1)
    gradient = sdf_gradient(x * x - 2 * y * z, GRID)[1:-1, 1:-1, 1:-1]
    expected = torch.stack((2 * x, -2 * z, -2 * y), dim=-1)[1:-1, 1:-1, 1:-1]
    torch.testing.assert_close(gradient, expected)


def test_hessian_of_a_quadric_is_exact_everywhere():
    matrix = random(3, 3)
    matrix = matrix + matrix.T
    points_m = centers_m()
    quadric = 0.5 * torch.einsum("...i,ij,...j->...", points_m, matrix, points_m) + points_m[..., 0]
    hessian = sdf_hessian(quadric, GRID)
    torch.testing.assert_close(hessian, matrix.expand(*GRID.shape, 3, 3))


def test_hessian_sees_a_checkerboard():
    """Every other voxel +1 m: differences over two voxels would call it flat."""
    x, y, z = (torch.arange(count) for count in GRID.shape)
    sign = 1.0 - 2.0 * ((x[:, None, None] + y[:, None] + z) % 2)
    hessian = sdf_hessian(sign, GRID)
    torch.testing.assert_close(hessian[..., 0, 0][1:-1], (-4 * sign / 0.8**2)[1:-1])


def test_derivatives_of_a_batch_are_those_of_its_volumes():
    batch = random(2, *GRID.shape)
    assert torch.equal(sdf_gradient(batch, GRID)[1], sdf_gradient(batch[1], GRID))
    assert torch.equal(sdf_hessian(batch, GRID)[1], sdf_hessian(batch[1], GRID))


def test_what_does_not_fit_is_refused():
    good = torch.zeros(GRID.shape)
    with pytest.raises(ValueError, match=r"sdf_m: expected \(10, 6, 4\), got \(10, 6\)"):
        volume_field(GRID, good[..., 0])
    with pytest.raises(ValueError, match=r"flow_m: expected \(10, 6, 4, 2\), got \(10, 6, 4\)"):
        volume_field(GRID, good, good)
    with pytest.raises(
        ValueError, match=r"volume: expected \(C, \*\(10, 6, 4\)\), got \(10, 6, 4\)"
    ):
        interpolate(good, GRID, torch.zeros(3))
    with pytest.raises(ValueError, match=r"points_m: expected \(..., 3\), got \(5, 2\)"):
        interpolate(good.unsqueeze(0), GRID, torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"sdf_m: expected \(..., \*\(10, 6, 4\)\), got \(3, 3\)"):
        sdf_hessian(torch.zeros(3, 3), GRID)
    flat = VoxelGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (4, 4, 2))
    with pytest.raises(ValueError, match=r"at least 3 voxels along each axis, got \(4, 4, 2\)"):
        sdf_gradient(torch.zeros(4, 4, 2), flat)
