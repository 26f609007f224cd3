"""Equation 1 by hand: where the voxels of a frame lie as the pivot sees them."""

import math

import numpy as np
import pytest
import torch

from occflow_ros.geometry import se3
from occflow_ros.models.refine.coordinates import relative_coordinates, relative_poses
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((0.0, -4.0, -1.0), (16.0, 4.0, 3.0), (8, 4, 2))  # 16 × 8 × 4 m, not centred


def pose(yaw=0.0, x_m=0.0, y_m=0.0, z_m=0.0):
    cosine, sine = math.cos(yaw), math.sin(yaw)
    rotation = [[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]]
    return se3.from_rotation_translation(rotation, (x_m, y_m, z_m))


def coordinates(poses, pivot=0):
    return relative_coordinates(relative_poses(np.stack(poses), pivot, GRID), GRID.shape)


def test_the_pivots_own_box_reaches_from_minus_one_to_one():
    own = coordinates([pose(yaw=1.0, x_m=50.0)])[0]
    torch.testing.assert_close(own[0, :, 0, 0], (torch.arange(8) + 0.5) / 4 - 1)
    torch.testing.assert_close(own[1, 0, :, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    torch.testing.assert_close(own[2, 0, 0], torch.tensor([-0.5, 0.5]))


def test_a_frame_further_ahead_sees_the_same_places_from_nearer():
    # 4 m ahead in a box of 16 m is half a unit; 2 m to the left of 8 m too; 1 m up of 4 m too.
    first, ahead = coordinates([pose(), pose(x_m=4.0, y_m=2.0, z_m=1.0)])
    torch.testing.assert_close(ahead, first + 0.5)
    behind, own = coordinates([pose(), pose(x_m=4.0, y_m=2.0, z_m=1.0)], pivot=1)
    torch.testing.assert_close(behind, own - 0.5)


def test_a_voxel_of_a_turned_frame_by_hand():
    # The frame stands at (10, 3) and looks to the left. Its voxel around (x, y, z) = (1, -3, 0) is
    # 1 m to the left and 3 m ahead of there, (10 + 3, 3 + 1, 0): in box units (13 - 8) / 8, 4 / 4
    # and (0 - 1) / 2.
    turned = coordinates([pose(), pose(yaw=math.pi / 2, x_m=10.0, y_m=3.0)])[1]
    expected = torch.tensor([5.0 / 8.0, 1.0, -0.5])
    torch.testing.assert_close(turned[:, 0, 0, 0], expected)


def test_only_relative_poses_count():
    poses = [pose(0.1, 1.0), pose(0.3, 4.0, 1.0), pose(-0.2, 9.0)]
    moved = [pose(2.0, 100.0, -70.0, 3.0) @ one for one in poses]
    torch.testing.assert_close(coordinates(poses, 1), coordinates(moved, 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("lower_m", [(0.0, 0.0, 0.0), (-8.0, -4.0, -2.0)])
def test_the_same_voxel_is_the_same_point_of_the_world(lower_m):
    """Whatever the box, two voxels that share a place share a coordinate."""
    upper_m = tuple(low + size for low, size in zip(lower_m, (16.0, 8.0, 4.0)))
    grid = VoxelGrid(lower_m, upper_m, (8, 4, 2))
    poses = relative_poses(np.stack([pose(), pose(x_m=6.0)]), 0, grid)
    first, second = relative_coordinates(poses, grid.shape)
    torch.testing.assert_close(second[:, :5], first[:, 3:])  # 3 voxels of 2 m
