"""Clips of keyframes and of sweeps, with as much history as there is."""

import pytest

from occflow_ros.data.clips import load_clip
from occflow_ros.data.nuscenes import read_nuscenes
from occflow_ros.data.nuscenes_writer import nuscenes_writer

VERSION = "v1.0-tiny"
HW_PX = (16, 32)


@pytest.fixture
def dataroot(tmp_path, made):
    folder = tmp_path / "data"
    with nuscenes_writer(folder, VERSION, made.header()) as writer:
        writer.add_set(made.keyframe(0))
        writer.add_set(made.sweep(made.START_NS + 100_000_000))
        writer.add_set(made.keyframe(1))
        writer.add_set(made.keyframe(2))
    return folder


@pytest.mark.parametrize("keyframes_only", [True, False])
def test_a_clip_ends_with_the_set_asked_for(dataroot, keyframes_only):
    drive = read_nuscenes(dataroot, VERSION, keyframes_only=keyframes_only)
    stamps = [one.stamp_ns for one in drive.sets]
    clip = load_clip(drive, 2, 1, HW_PX)
    assert [frame.stamp_ns for frame in clip.frames] == stamps[1:3]
    assert clip.frames[-1].images.shape == (2, 3, *HW_PX)


def test_sweeps_are_closer_in_time_than_keyframes(dataroot):
    def step_ns(keyframes_only):
        drive = read_nuscenes(dataroot, VERSION, keyframes_only=keyframes_only)
        first, second = load_clip(drive, 1, 1, HW_PX).frames
        return second.stamp_ns - first.stamp_ns

    assert step_ns(keyframes_only=False) < step_ns(keyframes_only=True) == 500_000_000


def test_the_begin_of_a_drive_has_less_history(dataroot):
    drive = read_nuscenes(dataroot, VERSION)
    assert len(load_clip(drive, 0, 2, HW_PX).frames) == 1


def test_a_set_that_is_not_there_is_refused(dataroot):
    drive = read_nuscenes(dataroot, VERSION)
    with pytest.raises(IndexError, match=f"from 0 to {len(drive.sets) - 1}, got -1"):
        load_clip(drive, -1, 0, HW_PX)


def test_the_reference_camera_gives_the_stamp(dataroot):
    drive = read_nuscenes(dataroot, VERSION)
    clip = load_clip(drive, 1, 0, HW_PX, reference="cam_back")
    assert clip.frames[-1].stamp_ns == drive.sets[1].images["cam_back"].stamp_ns
