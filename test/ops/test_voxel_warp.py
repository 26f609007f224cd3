"""Ego-motion alignment: whole-voxel shifts, turns and fields with a closed form."""

import math

import pytest
import torch

from occflow_ros.ops.voxel_warp import voxel_warp
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-8.0, -6.0, -1.0), (8.0, 6.0, 2.2), (20, 15, 4))  # 0.8 m voxels
CUBE = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), (8, 8, 2))


def past_T_current(x_m=0.0, y_m=0.0, z_m=0.0, yaw_rad=0.0):
    sine, cosine = math.sin(yaw_rad), math.cos(yaw_rad)
    transform = torch.eye(4, dtype=torch.float64)
    transform[:2, :2] = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)
    transform[:3, 3] = torch.tensor([x_m, y_m, z_m], dtype=torch.float64)
    return transform.unsqueeze(0)


def volume(grid=GRID, channels=3):
    return torch.randn(1, channels, *grid.shape, generator=torch.Generator().manual_seed(0))


def test_identity_changes_nothing():
    aligned, seen = voxel_warp(volume(), past_T_current(), GRID)
    assert torch.equal(aligned, volume())
    assert seen.all()


@pytest.mark.parametrize("shift", [(3, 0, 0), (-2, 5, 0), (0, -1, 1)])
def test_whole_voxel_shift_is_bit_exact_and_the_rest_is_flagged(shift):
    past = volume()
    aligned, seen = voxel_warp(past, past_T_current(*(0.8 * count for count in shift)), GRID)
    for x in range(20):
        for y in range(15):
            for z in range(4):
                source = (x + shift[0], y + shift[1], z + shift[2])
                inside = all(0 <= i < n for i, n in zip(source, GRID.shape))
                assert seen[0, 0, x, y, z].item() == inside
                expected = past[(0, slice(None), *source)] if inside else torch.zeros(3)
                assert torch.equal(aligned[0, :, x, y, z], expected)


def test_far_away_nothing_is_seen():
    aligned, seen = voxel_warp(volume(), past_T_current(x_m=100.0), GRID)
    assert not seen.any()
    assert not aligned.any()


def test_quarter_turn_turns_the_indices():
    past = volume(CUBE)
    aligned, seen = voxel_warp(past, past_T_current(yaw_rad=math.pi / 2), CUBE)
    torch.testing.assert_close(aligned, past.rot90(-1, dims=(2, 3)), atol=1e-5, rtol=0)
    assert seen.all()


def test_linear_field_is_reproduced_between_centres():
    """A field a·m + b in the past frame is a·(T m) + b in the current one."""
    slope = torch.tensor([0.3, -0.7, 0.9])
    past = (GRID.centers_m() @ slope + 2.0)[None, None]
    transform = past_T_current(0.37, -0.21, 0.05, 0.3)
    aligned, seen = voxel_warp(past, transform, GRID)
    moved_m = GRID.centers_m() @ transform[0, :3, :3].T.float() + transform[0, :3, 3].float()
    index = GRID.continuous_index(moved_m)
    between = ((index > 0) & (index < torch.tensor(GRID.shape) - 1)).all(dim=-1)
    assert between.sum() > 300
    torch.testing.assert_close(
        aligned[0, 0][between], (moved_m @ slope + 2.0)[between], atol=1e-5, rtol=1e-5
    )
    assert seen[0, 0][between].all()


def test_each_volume_of_a_batch_has_its_own_pose():
    past = torch.cat((volume(), -volume()))
    poses = torch.cat((past_T_current(x_m=0.8), past_T_current(y_m=0.5, yaw_rad=0.2)))
    aligned, seen = voxel_warp(past, poses, GRID)
    for index in range(2):
        alone, alone_seen = voxel_warp(past[index : index + 1], poses[index : index + 1], GRID)
        torch.testing.assert_close(aligned[index], alone[0], atol=1e-6, rtol=0)
        assert torch.equal(seen[index], alone_seen[0])


def test_gradient_reaches_the_past_volume():
    grid = VoxelGrid((0.0, 0.0, 0.0), (3.0, 2.0, 2.0), (3, 2, 2))
    past = volume(grid, channels=2).double().requires_grad_()
    pose = past_T_current(0.3, 0.2, 0.1, 0.2)
    assert torch.autograd.gradcheck(lambda value: voxel_warp(value, pose, grid)[0], (past,))


def test_wrong_shapes_say_expected_and_got():
    with pytest.raises(
        ValueError, match=r"volume_past: expected .*20, 15, 4.*got \(1, 3, 8, 8, 2\)"
    ):
        voxel_warp(volume(CUBE), past_T_current(), GRID)
    with pytest.raises(ValueError, match=r"past_T_current: expected \(1, 4, 4\) float64"):
        voxel_warp(volume(), past_T_current().float(), GRID)
