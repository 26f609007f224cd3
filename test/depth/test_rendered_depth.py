"""Rendered depth of planes against closed form, and what counts as unknown."""

from dataclasses import replace

import pytest
import torch
from tiny_network import frame

from occflow_ros.depth.rendered import render_depths
from occflow_ros.structures import OccupancyFlow, VoxelGrid

GRID = VoxelGrid((-16.0, -16.0, -1.0), (16.0, 16.0, 5.4), (80, 80, 16))
SHARPNESS_PER_M = 40.0


def flow_of(sdf):
    """A prediction whose signed distance is a function of the voxels' centres."""
    centers_m = GRID.centers_of(torch.arange(GRID.num_voxels)).float()
    sdf_m = sdf(centers_m).reshape(GRID.shape)
    return OccupancyFlow(0, GRID, sdf_m, torch.zeros(*GRID.shape, 2), 0.5, 10.0, 0.1)


def wall_ahead(centers_m):
    return 10.0 - centers_m[:, 0]


def ground(centers_m):
    return centers_m[:, 2]


def test_a_wall_has_the_same_depth_in_all_cells():
    """The first camera stands 0.5 m ahead of the ego and looks along x; depth is not range."""
    depth_m = render_depths(flow_of(wall_ahead), frame(0, hw_px=(64, 128)), SHARPNESS_PER_M)
    assert depth_m.shape == (3, 16, 32)
    assert depth_m.dtype == torch.float32
    middle = depth_m[0, 6:10]
    torch.testing.assert_close(middle, torch.full_like(middle, 9.5), atol=0.1, rtol=0)


@pytest.mark.parametrize("stride_px", [4, 8])
def test_ground_is_seen_at_the_centres_of_cells(stride_px):
    """A camera 1.5 m high with a focal length f sees the ground v rows down at 1.5 m · f / v."""
    depth_m = render_depths(
        flow_of(ground), frame(0, hw_px=(64, 128)), SHARPNESS_PER_M, stride_px=stride_px
    )
    rows_px = stride_px * (torch.arange(64 // stride_px) + 0.5) - 32.0
    expected_m = 1.5 * 64.0 / rows_px[rows_px > 12]
    got_m = depth_m[0, rows_px > 12, depth_m.shape[2] // 2]
    torch.testing.assert_close(got_m, expected_m, atol=0.05, rtol=0.02)


def test_rays_that_meet_nothing_are_unknown():
    depth_m = render_depths(flow_of(ground), frame(0, hw_px=(64, 128)), SHARPNESS_PER_M)
    assert (depth_m[:, :7] == 0).all()
    assert (depth_m[:, -1] > 0).all()


def test_rays_that_miss_the_grid_are_unknown():
    """A grid far ahead is out of sight of the cameras that look back."""
    grid = VoxelGrid((20.0, -8.0, -1.0), (36.0, 8.0, 5.4), (20, 20, 8))
    sdf_m = -torch.ones(grid.shape)
    flow = OccupancyFlow(0, grid, sdf_m, torch.zeros(*grid.shape, 2), 0.5, 10.0, 0.1)
    depth_m = render_depths(flow, frame(0, hw_px=(32, 64)), SHARPNESS_PER_M)
    assert (depth_m[1:] == 0).all()


def test_absent_cameras_are_zero_and_others_stay():
    whole = frame(0)
    present = torch.tensor([True, False, True])
    flow = flow_of(ground)
    part = replace(whole, rig=replace(whole.rig, present=present))
    got_m = render_depths(flow, part, SHARPNESS_PER_M)
    expected_m = render_depths(flow, whole, SHARPNESS_PER_M)
    assert (got_m[1] == 0).all()
    torch.testing.assert_close(got_m[present], expected_m[present])


def test_cells_must_fill_the_images():
    with pytest.raises(ValueError, match=r"expected a divisor of \(32, 64\), got 5"):
        render_depths(flow_of(ground), frame(0), SHARPNESS_PER_M, stride_px=5)
