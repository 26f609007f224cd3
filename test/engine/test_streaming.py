"""Streaming is the clip pass, frame by frame; every reset is visible."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from tiny_network import frame, pose, tiny_config

from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.errors import DataError
from occflow_ros.models.build import build_network
from occflow_ros.structures import Clip

STAGES = ["preprocess", "backbone", "lift", "temporal", "refine", "heads"]


def stream(history=2, **options):
    config = tiny_config(history, **options)
    network = build_network(config.model)
    with torch.no_grad():  # fields that depend on the input, as after training
        for last in (network.heads.sdf[-1], network.heads.flow[-1]):
            last.weight.mul_(1e3)
    return OccupancyStream(network, config)


def assert_same(got, expected):
    torch.testing.assert_close(got.sdf_m, expected.sdf_m, atol=1e-5, rtol=0)
    torch.testing.assert_close(got.flow_m, expected.flow_m, atol=1e-5, rtol=0)


def differs(got, expected):
    return (got.sdf_m - expected.sdf_m).abs().max() > 1e-3


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


def test_moving_the_odom_frame_changes_nothing():
    odom2_T_odom = pose(300.0, -20.0, 2.0)
    frames = [frame(index) for index in range(3)]
    moved = [replace(item, odom_T_base=odom2_T_odom @ item.odom_T_base) for item in frames]
    one, other = stream(), stream()
    for item, item_moved in zip(frames, moved):
        assert_same(one.step(item), other.step(item_moved))


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
    error_m = (got.sdf_m - expected.sdf_m).abs().max()
    assert 1e-4 < error_m < 0.05 * expected.sdf_m.std()


def test_warming_up_leaves_no_trace():
    warm, cold = stream(), stream()
    warm.warm_up(cameras=2)
    assert warm.history_bytes == 0
    first = frame(0)
    assert_same(warm.step(first), cold.step(first))
    assert warm.last_reset is None
