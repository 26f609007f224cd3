"""Which rays are rendered: one pixel in each cell, and the returns of the LiDAR."""

import pytest
import torch
import torch.nn.functional as F
from tiny_network import ring

from occflow_ros.geometry.camera import pixel_rays, project_from_base
from occflow_ros.structures import VoxelGrid
from occflow_ros.training.rays import draw_camera_pixels, draw_lidar_rays
from occflow_ros.training.sample import LidarReturns

HW_PX = (10, 21)  # cells of (2.5, 3) pixels
CELLS = (4, 7)
LARGE = VoxelGrid((-100.0,) * 3, (100.0,) * 3, (2, 2, 2))
SMALL = VoxelGrid((-12.0,) * 3, (12.0,) * 3, (2, 2, 2))


def drawn(seed=0, hw_px=HW_PX, cells=CELLS, grid=LARGE):
    generator = torch.Generator().manual_seed(seed)
    rig = ring(3, hw_px)
    return draw_camera_pixels(rig, hw_px, cells, 0.5, 30.0, grid, generator, "cpu")


def test_one_pixel_in_each_cell():
    """Pixel v lies in the cell [2.5 r, 2.5 (r + 1)) of its row, u in [3 c, 3 (c + 1))."""
    for seed in range(20):
        some = drawn(seed)
        assert some.cells == (3, *CELLS) and len(some.rays) == 3 * 4 * 7
        v, u, camera = (some.on_grid(values) for values in (some.v, some.u, some.camera))
        row, column = torch.arange(4).view(1, 4, 1), torch.arange(7)
        assert ((v + 1 > 2.5 * row) & (v < 2.5 * (row + 1))).all()
        assert torch.equal(u // 3, column.expand_as(u))
        assert torch.equal(camera, torch.arange(3).view(3, 1, 1).expand_as(camera))


def test_every_pixel_is_drawn_alike_often():
    """Cells of 1 × 2 pixels: each of the two about half of the times, four deviations allowed."""
    u = torch.cat([drawn(seed, (32, 64), (32, 32)).u for seed in range(4)])
    assert u.unique().tolist() == list(range(64))
    assert (u % 2).float().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / len(u) ** 0.5)


def test_as_many_cells_as_pixels_are_the_image():
    some = drawn(cells=HW_PX)
    v, u = torch.meshgrid(torch.arange(10), torch.arange(21), indexing="ij")
    assert torch.equal(some.on_grid(some.v), v.expand(3, 10, 21))
    assert torch.equal(some.on_grid(some.u), u.expand(3, 10, 21))


def test_rays_are_those_of_the_pixels():
    some, rig = drawn(), ring(3, HW_PX)
    directions = torch.stack([pixel_rays(K, *HW_PX) for K in rig.K])  # (N, H, W, 3)
    turned = torch.einsum("nij,nhwj->nhwi", rig.base_T_camera[:, :3, :3], directions)
    torch.testing.assert_close(some.rays.directions, some.of(F.normalize(turned, dim=-1)))
    torch.testing.assert_close(some.rays.axis_cosine, some.of(1.0 / directions.norm(dim=-1)))
    torch.testing.assert_close(some.rays.origins_m, rig.base_T_camera[some.camera, :3, 3])
    assert (some.rays.near_m == 0.5).all() and (some.rays.far_m == 30.0).all()


def test_points_of_a_ray_project_onto_its_pixel():
    some, rig = drawn(), ring(3, HW_PX)
    points_m = some.rays.points_m(torch.full((len(some.rays), 1), 7.0)).squeeze(1)
    location, visible = project_from_base(points_m, rig.K, rig.base_T_camera, HW_PX)
    row = torch.arange(len(points_m))
    assert visible[some.camera, row].all()
    pixels = location[some.camera, row] * torch.tensor([21.0, 10.0]) - 0.5
    torch.testing.assert_close(pixels, some.pixels, atol=1e-4, rtol=0)


def test_rays_end_where_they_leave_the_grid():
    some = drawn(grid=SMALL)
    ends_m = some.rays.points_m(some.rays.far_m.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(ends_m.abs().amax(dim=1), torch.full((len(some.rays),), 12.0))


def test_the_seed_draws():
    assert torch.equal(drawn(1).pixels, drawn(1).pixels)
    assert not torch.equal(drawn(1).pixels, drawn(2).pixels)


def lidar_rays(count, seed=0, grid=LARGE):
    generator = torch.Generator().manual_seed(0)
    points_m = 20.0 * torch.randn(200, 3, generator=generator)
    returns = LidarReturns(torch.tensor([1.0, -0.5, 1.8]), points_m)
    generator.manual_seed(seed)
    return returns, *draw_lidar_rays(returns, count, 10.0, 30.0, grid, generator)


def test_lidar_rays_hit_their_points():
    returns, rays, range_m = lidar_rays(40)
    assert len(rays) == 40
    assert (range_m > 10.0).all()
    near = range_m < 30.0
    assert near.any() and not near.all()
    hits_m = rays.points_m(range_m.unsqueeze(1)).squeeze(1)
    which = torch.cdist(hits_m, returns.points_m).argmin(dim=1)
    torch.testing.assert_close(hits_m[near], returns.points_m[which][near], atol=1e-5, rtol=0)
    assert len(which[near].unique()) == near.sum()
    torch.testing.assert_close(rays.origins_m, returns.origin_m.expand(40, 3))
    torch.testing.assert_close(rays.directions.norm(dim=-1), torch.ones(40))
    assert (rays.near_m == 10.0).all() and (rays.far_m == 30.0).all()


def test_a_return_beyond_the_grid_says_that_the_way_out_is_free():
    _, rays, range_m = lidar_rays(200, grid=SMALL)
    ends_m = rays.points_m(range_m.unsqueeze(1)).squeeze(1).abs().amax(dim=1)
    outside = range_m == rays.far_m
    assert outside.any() and (ends_m <= 12.0 + 1e-4).all()
    torch.testing.assert_close(ends_m[outside], torch.full_like(ends_m[outside], 12.0))


def test_a_return_whose_ray_never_meets_the_grid_is_left_out():
    aside = VoxelGrid((5.0, -1.0, -1.0), (6.0, 1.0, 1.0), (2, 2, 2))
    returns = LidarReturns(torch.zeros(3), torch.tensor([[9.0, 0.0, 0.0], [-9.0, 0.0, 0.0]]))
    rays, range_m = draw_lidar_rays(returns, 5, 0.5, 30.0, aside, torch.Generator())
    assert range_m.tolist() == [6.0]
    assert rays.near_m.tolist() == [5.0]


def test_lidar_rays_are_no_more_than_there_are_returns_beyond_near():
    returns, _, range_m = lidar_rays(1000)
    distance_m = (returns.points_m - returns.origin_m).norm(dim=-1)
    expected = distance_m[distance_m > 10.0].clamp(max=30.0)
    assert 0 < len(expected) < 200
    torch.testing.assert_close(range_m.sort().values, expected.sort().values)


def test_lidar_rays_are_drawn_by_the_seed():
    assert torch.equal(lidar_rays(40, 1)[2], lidar_rays(40, 1)[2])
    assert not torch.equal(lidar_rays(40, 1)[2], lidar_rays(40, 2)[2])


def test_no_returns_give_no_rays():
    empty = LidarReturns(torch.zeros(3), torch.zeros(0, 3))
    rays, range_m = draw_lidar_rays(empty, 5, 0.5, 30.0, LARGE, torch.Generator())
    assert len(rays) == len(range_m) == 0
