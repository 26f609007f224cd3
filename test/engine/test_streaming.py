"""Streaming is the clip pass, frame by frame; every reset is visible."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from scipy.spatial.transform import Rotation
from tiny_network import as_trained, assert_same, differs, frame, pose, tiny_config

from occflow_ros.engine.feature_buffer import relative_poses
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3
from occflow_ros.models import temporal
from occflow_ros.models.build import build_network
from occflow_ros.ops.voxel_warp import past_index, voxel_warp
from occflow_ros.structures import Clip, VoxelGrid

STAGES = ["preprocess", "backbone", "lift", "temporal", "refine", "heads"]


def stream(history=2, **options):
    config = tiny_config(history, **options)
    return OccupancyStream(as_trained(build_network(config.model)), config)


def rigid(euler_xyz_rad, translation_m):
    rotation = Rotation.from_euler("xyz", euler_xyz_rad).as_matrix()
    return torch.from_numpy(se3.from_rotation_translation(rotation, translation_m))


@pytest.mark.parametrize("history", [0, 1, 2, 4])
def test_step_with_a_warm_buffer_equals_the_clip_pass(history):
    one = stream(history)
    frames = [frame(index) for index in range(7)]
    for index, item in enumerate(frames):
        got = one.step(item)
        assert one.last_reset is None
        assert_same(got, one.forward_clip(Clip(tuple(frames[: index + 1]))))


def test_history_and_ego_motion_matter():
    frames = [frame(index) for index in range(3)]
    one = stream()
    with_history = [one.step(item) for item in frames][-1]
    assert differs(with_history, stream().step(frames[-1]))
    at_rest = [replace(item, odom_T_base=pose()) for item in frames]
    one.reset("again")
    assert differs(with_history, [one.step(item) for item in at_rest][-1])


@pytest.mark.parametrize(
    "odom2_T_odom",
    [pose(300.0, -20.0, 2.0), rigid((0.4, -0.9, 2.8), (5e5, 4.2e6, 300.0))],
    ids=["nearby", "any turn in 3D, at map coordinates"],
)
def test_moving_the_odom_frame_changes_nothing(odom2_T_odom):
    """Poses are float64: at 5000 km they are good to 1e-9 m, far below a float32 voxel index."""
    frames = [frame(index) for index in range(4)]
    moved = [replace(item, odom_T_base=odom2_T_odom @ item.odom_T_base) for item in frames]
    one, other = stream(), stream()
    for item, item_moved in zip(frames, moved):
        assert_same(one.step(item), other.step(item_moved))


@pytest.fixture
def alignments(monkeypatch):
    """Each past volume that is aligned from now on, with what comes of it."""
    found = []

    def spy(volume_past, past_T_current, grid):
        aligned, seen = voxel_warp(volume_past, past_T_current, grid)
        found.append((volume_past, aligned, seen))
        return aligned, seen

    monkeypatch.setattr(temporal, "voxel_warp", spy)
    return found


@pytest.mark.parametrize(
    ("start", "atol"),
    [
        (pose(), 0.0),
        (pose(5000.0, -3000.0), 1e-9),
        (rigid((0.1, 0.2, 0.7), (5e5, 4.2e6, 9.0)), 1e-6),
    ],
    ids=["at the origin", "far away", "turned at map coordinates"],
)
def test_history_lines_up_after_the_ego_moves_by_whole_voxels(alignments, start, atol):
    """Bit by bit where the poses are exact: two voxels of 2 m ahead, one of 8/3 m to the right."""
    one = stream(history=1)
    for index, here in enumerate((pose(), pose(4.0, -8.0 / 3.0))):
        one.step(frame(index, odom_T_base=start @ here))
    ((past, aligned, seen),) = alignments
    in_sight = torch.zeros_like(seen)
    in_sight[:, :, :-2, 1:] = True
    assert torch.equal(seen, in_sight) and not (aligned * ~seen).any()
    torch.testing.assert_close(aligned[:, :, :-2, 1:], past[:, :, 2:, :-1], atol=atol, rtol=0)


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_history_lines_up_after_the_ego_turns_by_quarters(alignments, quarter_turns):
    one = stream(history=1, shape=(12, 12, 4))
    for index, yaw_rad in enumerate((0.3, 0.3 + quarter_turns * math.pi / 2)):
        one.step(frame(index, odom_T_base=pose(700.0, 30.0, yaw_rad)))
    ((past, aligned, seen),) = alignments
    assert seen.all()
    torch.testing.assert_close(aligned, past.rot90(-quarter_turns, dims=(2, 3)), atol=1e-5, rtol=0)


def test_history_is_the_world_seen_from_here():
    """A wave sin(k·w) over the world, sampled in the past ego frame, seen from the current one.

    Trilinear interpolation is off by at most Σ h²/8 · max |∂²/∂xᵢ²|, which is h²/8 · |k|² however
    the frames are turned.
    """
    grid = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 3.0), (20, 20, 10))  # h = 0.4 m
    wave_per_m = torch.tensor([0.9, -0.6, 0.5], dtype=torch.float64)
    odom_T_past = rigid((0.05, -0.1, 0.7), (100.0, -50.0, 3.0))
    odom_T_current = odom_T_past @ rigid((0.02, 0.03, 0.4), (0.9, -0.35, 0.11))

    def sampled(odom_T_base):
        points_m = grid.centers_m().double() @ odom_T_base[:3, :3].T + odom_T_base[:3, 3]
        return torch.sin(points_m @ wave_per_m)[None, None]

    past_T_current = relative_poses([odom_T_past], odom_T_current)
    aligned, _ = voxel_warp(sampled(odom_T_past), past_T_current[:, 0], grid)
    index = past_index(past_T_current[:, 0], grid).view(*grid.shape, 3)
    between = ((index >= 0) & (index <= torch.tensor(grid.shape) - 1)).all(dim=-1)
    error = (aligned - sampled(odom_T_current))[0, 0][between].abs().max()
    bound = 0.4**2 / 8 * wave_per_m.square().sum()
    assert between.sum() > 1000
    assert 0.5 * bound < error <= bound


def test_clip_pass_leaves_the_memory_alone():
    one, other = stream(), stream()
    for index in range(4):
        one.forward_clip(Clip((frame(8), frame(9))))
        assert_same(one.step(frame(index)), other.step(frame(index)))


def test_a_break_starts_over_and_says_why():
    one = stream(max_gap_s=0.6)
    for index in range(3):
        one.step(frame(index))
    after_gap = one.step(frame(5))
    assert one.last_reset == "gap of 1.500 s, longer than 0.6 s"
    assert_same(after_gap, stream().step(frame(5)))
    one.step(frame(6))
    assert one.last_reset is None


def test_reset_forgets():
    one = stream()
    one.step(frame(0))
    one.reset("parameters changed")
    assert one.last_reset == "parameters changed"
    assert one.history_bytes == 0
    assert_same(one.step(frame(1)), stream().step(frame(1)))


def test_a_bad_pose_is_refused_and_clears_the_history():
    one = stream()
    one.step(frame(0))
    bad = pose()
    bad[0, 3] = float("nan")
    with pytest.raises(DataError, match="odom_T_base of frame 1500000000: expected a finite"):
        one.step(frame(1, odom_T_base=bad))
    assert one.last_reset is not None and one.last_reset.startswith(
        "odom_T_base: expected a finite"
    )
    assert one.history_bytes == 0


def test_output_carries_what_the_config_says():
    flow = stream().step(frame(3))
    assert flow.stamp_ns == frame(3).stamp_ns
    assert flow.grid.shape == (16, 12, 4)
    assert (flow.interval_s, flow.sharpness_per_m, flow.level_m) == (0.5, 10.0, 0.1)


def test_every_stage_is_timed_in_order():
    one = stream()
    assert one.timings_ms == {}
    for index in range(2):
        one.step(frame(index))
        assert list(one.timings_ms) == STAGES
        assert all(time_ms > 0 for time_ms in one.timings_ms.values())


def test_compiled_stages_give_the_same(monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    plain, compiled = stream(), stream(compile=True)
    for index in range(3):
        assert_same(compiled.step(frame(index)), plain.step(frame(index)))
    assert list(compiled.timings_ms) == STAGES


def test_bfloat16_is_near_and_gives_float32():
    plain, reduced = stream(), stream(precision="bfloat16")
    for index in range(3):
        expected, got = plain.step(frame(index)), reduced.step(frame(index))
    assert got.sdf_m.dtype == got.flow_m.dtype == torch.float32
    error_m = (got.sdf_m - expected.sdf_m).square().mean().sqrt()
    assert 1e-4 < error_m < 0.05 * expected.sdf_m.std()


def test_warming_up_leaves_no_trace():
    warm, cold = stream(), stream()
    warm.warm_up(cameras=2)
    assert warm.history_bytes == 0
    first = frame(0)
    assert_same(warm.step(first), cold.step(first))
    assert warm.last_reset is None
