"""When history may be used, with the reason where it may not."""

import re
from dataclasses import replace

import pytest
import torch
from tiny_network import frame, pose

from occflow_ros.engine.feature_buffer import FeatureBuffer, relative_poses


def filled(*indices, length=2):
    buffer = FeatureBuffer(length, max_gap_s=1.5, max_jump_m=25.0)
    for index in indices:
        assert buffer.admit(frame(index)) is None
        buffer.push(frame(index), torch.full((1, 2, 2, 2, 2), float(index)))
    return buffer


def test_keeps_the_last_ones_newest_first():
    volumes, past_T_current = filled(0, 1, 2).seen_from(frame(3).odom_T_base)
    assert [value.flatten()[0].item() for value in volumes] == [2.0, 1.0]
    assert past_T_current.shape == (1, 2, 4, 4)
    for index, got in zip((2, 1), past_T_current[0]):
        expected = torch.linalg.inv(frame(index).odom_T_base) @ frame(3).odom_T_base
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=0)


def test_relative_pose_keeps_millimetres_far_from_the_origin():
    past, current = pose(x_m=6e6), pose(x_m=6e6 + 0.001)
    assert relative_poses([past], current)[0, 0, 0, 3].item() == pytest.approx(0.001, abs=1e-8)


def test_empty_buffer_gives_no_volumes():
    volumes, past_T_current = filled().seen_from(pose())
    assert volumes == []
    assert past_T_current.shape == (1, 0, 4, 4)


def test_counts_its_bytes():
    assert filled(0, 1, 2).num_bytes == 2 * 16 * 4


@pytest.mark.parametrize(
    ("following", "reason"),
    [
        (frame(2, stamp_ns=frame(0).stamp_ns), "time does not advance: -0.500 s"),
        (frame(2, stamp_ns=frame(1).stamp_ns), "time does not advance: 0.000 s"),
        (frame(2, stamp_ns=frame(1).stamp_ns + 1_600_000_000), "gap of 1.600 s, longer than 1.5 s"),
        (frame(2, odom_T_base=pose(5001.7, 30.2)), "jump of 30.00 m, longer than 25 m"),
        (
            frame(2, cameras=2),
            "the rig changed from cam_0, cam_1, cam_2 at 32×64 px to cam_0, cam_1",
        ),
        (frame(2, hw_px=(32, 96)), "the rig changed from .* at 32×64 px to .* at 32×96 px"),
    ],
)
def test_a_break_clears_and_says_why(following, reason):
    buffer = filled(0, 1)
    assert len(buffer) == 2
    got = buffer.admit(following)
    assert re.search(reason, str(got))
    assert len(buffer) == 0


def test_nothing_to_clear_is_no_reset():
    assert filled().admit(frame(5)) is None
    assert filled(length=0).admit(frame(5)) is None


def test_length_zero_keeps_nothing():
    assert len(filled(0, 1, length=0)) == 0


def test_an_absent_camera_is_the_same_rig():
    item = frame(2)
    absent = replace(item, rig=replace(item.rig, present=torch.tensor([True, False, True])))
    assert filled(0, 1).admit(absent) is None
