"""Faults of localisation and of time over DDS."""

import math
import time

import pytest

pytest.importorskip("rclpy")

from two_cameras import camera, pose

from occflow_ros.data.drive import Drive
from occflow_ros.ros import drive_messages


@pytest.fixture(scope="module")
def shared_trial(shared_trial_of):
    return shared_trial_of(node__pose__wait_s=1.0)


@pytest.fixture
def trial(shared_trial):
    return shared_trial.begin()


def send_pose(trial, stamp, **changes):
    """A pose of which numbers of the quaternion or translation are others."""
    message = drive_messages.pose_message(
        Drive("vehicle", {"left": camera("left")}, ()), pose(0.0), stamp
    )
    for name, value in changes.items():
        part, axis = name.split("_")
        setattr(getattr(message.transform, part), axis, value)
    trial.vehicle.tf.sendTransform(message)


def test_transforms_that_stop_are_named_until_they_return(trial):
    for _ in range(2):
        stamp = trial.next_ns()
        trial.vehicle.send_images(stamp)
        trial.dropped(stamp, "pose_late", "odom <- base_link", "the newest is at")
    assert trial.good()["reset"] == ""
    trial.assert_recovered()


def test_a_transform_that_comes_while_its_set_waits_is_used(trial):
    stamp = trial.next_ns()
    trial.vehicle.send_images(stamp)
    time.sleep(0.1)
    trial.vehicle.send_pose(stamp, 3.0)
    assert trial.processed(stamp)["reset"] == ""
    assert trial.frames[stamp].odom_T_base[0, 3] == 3.0
    trial.assert_recovered()


def test_a_transform_that_comes_after_its_set_was_dropped_serves_the_next_one(trial):
    stamp = trial.next_ns()
    trial.vehicle.send_images(stamp)
    trial.dropped(stamp, "pose_late")
    trial.vehicle.send_pose(stamp)
    trial.assert_recovered()


def test_a_jump_is_one_reset(trial):
    assert trial.good(x_m=500.0)["reset"] == "jump of 500.00 m, longer than 25 m"
    assert trial.good(x_m=500.0)["reset"] == ""
    trial.good(x_m=0.0)
    trial.assert_recovered()


@pytest.mark.parametrize(
    ("changes", "mention"),
    [
        ({"translation_x": math.nan}, "finite"),
        ({"rotation_w": math.inf}, "finite"),
        ({"rotation_w": 0.9}, "length 1"),
        ({"rotation_w": 0.0}, "length 1"),
    ],
)
def test_a_pose_that_is_none_is_never_used(trial, changes, mention):
    stamp = trial.next_ns()
    send_pose(trial, stamp, **changes)
    trial.vehicle.send_images(stamp)
    trial.dropped(stamp, "invalid_pose", "odom <- base_link", mention)
    assert trial.good()["reset"] == ""
    trial.assert_recovered()


def play(trial, stamps, places_m):
    """What is said of the history as a bag is played whose poses come just after the images."""
    for stamp, x_m in zip(stamps, places_m):
        trial.vehicle.outcomes.pop(stamp, None)
        trial.vehicle.send_images(stamp)
        time.sleep(0.02)
        trial.vehicle.send_pose(stamp, x_m)
        yield trial.processed(stamp)["reset"]


def test_a_bag_that_starts_again_is_one_reset_and_uses_no_pose_of_before(trial):
    begun = trial.next_ns()
    stamps = [begun + index * 400_000_000 for index in range(5)]
    trial.now_ns = stamps[-1]
    first_m, second_m = [float(i) for i in range(5)], [100.0 + i for i in range(5)]
    assert list(play(trial, stamps, first_m)) == [""] * 5
    assert list(play(trial, stamps, second_m)) == ["time went back by 1.600 s", "", "", "", ""]
    assert [trial.frames[stamp].odom_T_base[0, 3].item() for stamp in stamps] == second_m
    trial.good(x_m=second_m[-1])
    trial.assert_exact()


def test_sets_that_are_late_by_less_than_a_jump_are_dropped_by_name(trial):
    stamp = trial.good_ns[-1]
    trial.good()
    late = stamp + 1
    trial.vehicle.send_pose(late)
    trial.vehicle.send_images(late)
    trial.wait_for_summary(
        lambda _: (
            int(trial.vehicle.summary["images.left.late"]) > 0 or late in trial.vehicle.outcomes
        ),
        "the late images to be counted",
    )
    if late in trial.vehicle.outcomes:
        trial.dropped(late, "out_of_order")
    trial.assert_recovered()


def test_sets_of_the_future_are_dropped_by_name(trial):
    future = time.time_ns() + 3_600_000_000_000
    for index in range(3):  # one alone is a camera with a wrong clock
        trial.vehicle.send_pose(future + index)
        trial.vehicle.send_images(future + index)
        trial.dropped(future + index, "future_stamp", "ahead of the ROS clock")
    trial.good()
    trial.assert_recovered()
