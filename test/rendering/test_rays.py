"""Rays of cameras, their clipping to a grid, and where they are sampled."""

import math

import pytest
import torch

from occflow_ros.geometry.camera import pixel_rays
from occflow_ros.rendering.rays import Rays, camera_rays, clip_to_grid
from occflow_ros.rendering.samplers import sample_ranges, stratified_offsets
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-4.0, -3.0, 0.0), (4.0, 3.0, 2.0), (8, 6, 2))
K = torch.tensor([[20.0, 0.0, 15.5], [0.0, 20.0, 11.5], [0.0, 0.0, 1.0]])
# Optical frame (x right, y down, z forward) of a camera that looks along ego x.
FORWARD = torch.tensor(
    [[0.0, 0.0, 1.0, 1.0], [-1.0, 0.0, 0.0, 2.0], [0.0, -1.0, 0.0, 3.0], [0.0, 0.0, 0.0, 1.0]]
)


def ray(origin_m, direction, near_m=0.0, far_m=100.0):
    unit = torch.nn.functional.normalize(torch.tensor([direction]), dim=-1)
    return Rays(torch.tensor([origin_m]), unit, torch.tensor([near_m]), torch.tensor([far_m]))


def test_pixels_of_a_camera_become_unit_rays_from_its_centre():
    rays = camera_rays(pixel_rays(K, 24, 32).flatten(0, 1), FORWARD, 0.5, 60.0)
    assert len(rays) == 24 * 32
    assert torch.equal(rays.origins_m, torch.tensor([1.0, 2.0, 3.0]).expand(len(rays), 3))
    torch.testing.assert_close(rays.directions.norm(dim=-1), torch.ones(len(rays)))
    top_left = torch.tensor([1.0, 15.5 / 20, 11.5 / 20])  # forward, left and up
    torch.testing.assert_close(rays.directions[0], top_left / top_left.norm())
    torch.testing.assert_close(rays.axis_cosine[0], 1 / top_left.norm())
    assert rays.near_m.unique().tolist() == [0.5]
    assert rays.far_m.unique().tolist() == [60.0]


def test_each_camera_has_its_own_pose():
    backward = FORWARD.clone()
    backward[:2, :3] *= -1
    directions = torch.tensor([[0.0, 0.0, 2.0], [2.0, 0.0, 0.0]]).expand(2, 2, 3)
    rays = camera_rays(directions, torch.stack((FORWARD, backward)), 0.0, 1.0)
    assert rays.directions.tolist() == [[1, 0, 0], [0, -1, 0], [-1, 0, 0], [0, 1, 0]]
    assert rays.axis_cosine.tolist() == [1, 0, 1, 0]


def test_autocast_does_not_round_the_directions():
    directions = pixel_rays(K, 24, 32).flatten(0, 1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = camera_rays(directions, FORWARD, 0.5, 60.0).directions
    assert torch.equal(rounded, camera_rays(directions, FORWARD, 0.5, 60.0).directions)


@pytest.mark.parametrize(
    ("origin_m", "direction", "near_m", "far_m", "expected"),
    [
        ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), 0.0, 100.0, (0.0, 4.0)),  # starts inside
        ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), 1.0, 3.0, (1.0, 3.0)),  # the segment lies inside
        ((-10.0, 0.0, 1.0), (1.0, 0.0, 0.0), 0.0, 100.0, (6.0, 14.0)),  # passes through
        ((-10.0, 0.0, 1.0), (1.0, 0.0, 0.0), 7.0, 100.0, (7.0, 14.0)),
        ((-5.0, -1.0, 1.0), (1.0, 1.0, 0.0), 0.0, 100.0, (2**0.5, 4 * 2**0.5)),  # by a corner
        ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 0.0, 100.0, (0.0, 4.0)),  # along a face
        ((0.0, 0.0, 1.0), (0.0, 0.0, -1.0), 0.0, 100.0, (0.0, 1.0)),
    ],
)
def test_segments_are_clipped_to_the_grid(origin_m, direction, near_m, far_m, expected):
    clipped = clip_to_grid(ray(origin_m, direction, near_m, far_m), GRID)
    assert not clipped.is_empty.any()
    assert (clipped.near_m.item(), clipped.far_m.item()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("origin_m", "direction", "near_m", "far_m"),
    [
        ((-10.0, 0.0, 1.0), (-1.0, 0.0, 0.0), 0.0, 100.0),  # the grid lies behind
        ((-10.0, 0.0, 1.0), (1.0, 0.0, 0.0), 0.0, 5.0),  # too short
        ((-10.0, 0.0, 1.0), (1.0, 0.0, 0.0), 20.0, 30.0),  # starts behind it
        ((-10.0, 0.0, 2.5), (1.0, 0.0, 0.0), 0.0, 100.0),  # passes above
        ((-6.0, 0.0, 1.0), (1.0, 2.0, 0.0), 0.0, 100.0),  # passes a corner
    ],
)
def test_rays_that_miss_are_empty(origin_m, direction, near_m, far_m):
    clipped = clip_to_grid(ray(origin_m, direction, near_m, far_m), GRID)
    assert clipped.is_empty.all()
    assert sample_ranges(clipped, 5).unique().tolist() == [near_m]


def test_uniform_samples_lie_in_the_middle_of_their_parts():
    rays = ray((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), near_m=2.0, far_m=6.0)
    range_m = sample_ranges(rays, 4)
    assert range_m.tolist() == [[2.5, 3.5, 4.5, 5.5]]
    assert rays.points_m(range_m)[0, :, 0].tolist() == [2.5, 3.5, 4.5, 5.5]


def test_stratified_samples_take_every_place_in_their_part():
    rays = ray((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), near_m=2.0, far_m=6.0)
    many = Rays(
        *(getattr(rays, name).repeat_interleave(1000, dim=0) for name in Rays.__slots__[:4])
    )
    offsets = stratified_offsets(many, torch.Generator().manual_seed(0))
    range_m = sample_ranges(many, 4, offsets)
    torch.testing.assert_close(range_m.diff(dim=1), torch.ones(1000, 3))
    within = range_m - torch.tensor([2.0, 3.0, 4.0, 5.0])
    assert ((within >= 0) & (within <= 1)).all()
    assert within.mean().item() == pytest.approx(0.5, abs=0.03)
    assert within.std().item() == pytest.approx(math.sqrt(1 / 12), abs=0.02)


def test_samples_may_each_have_an_offset():
    offsets = torch.tensor([[0.0, 1.0, 0.25, 0.5]])
    rays = ray((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), near_m=0.0, far_m=4.0)
    assert sample_ranges(rays, 4, offsets).tolist() == [[0.0, 2.0, 2.25, 3.5]]


def test_what_does_not_fit_is_refused():
    rays = ray((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match=r"near_m: expected shape \(1,\), got \(1, 1\)"):
        Rays(rays.origins_m, rays.directions, rays.near_m[:, None], rays.far_m)
    with pytest.raises(ValueError, match=r"got \(5, 3\) and \(2, 4, 4\)"):
        camera_rays(torch.ones(5, 3), torch.eye(4).expand(2, 4, 4), 0.0, 1.0)
    with pytest.raises(ValueError, match=r"0 <= near_m < far_m, got 2.0 and 1.0"):
        camera_rays(torch.ones(5, 3), torch.eye(4), 2.0, 1.0)
    with pytest.raises(ValueError, match="n_samples: expected at least 2, got 1"):
        sample_ranges(rays, 1)
    with pytest.raises(ValueError, match=r"offsets: expected \(1, 1 or 4\), got \(1, 3\)"):
        sample_ranges(rays, 4, torch.zeros(1, 3))
