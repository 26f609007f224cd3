"""Lookups between frames at two times, through a frame that is fixed."""

import pytest

pytest.importorskip("tf2_ros", reason="needs the underlay or upstream ROS 2")

import tf2_ros
from tf2_ros.buffer import Buffer
from tf_buffers import at, filled, stamp_s


@pytest.fixture
def turning(tf) -> Buffer:
    """base drives 10 m along odom x within a second, and turns left by 90 degrees."""
    return filled(
        tf.transform("odom", "base", 1),
        tf.transform("odom", "base", 2, (10.0, 0.0, 0.0), tf.yaw(90)),
    )


@pytest.mark.parametrize(
    ("target_s", "source_s", "xyz", "yaw_deg"),
    [
        (2, 1, (0.0, 10.0, 0.0), -90),
        (1, 2, (10.0, 0.0, 0.0), 90),
        (1, 1.5, (5.0, 0.0, 0.0), 45),
        (2, 2, (0.0, 0.0, 0.0), 0),
    ],
)
def test_time_travel_through_the_fixed_frame(turning, tf, target_s, source_s, xyz, yaw_deg) -> None:
    found = turning.lookup_transform_full("base", at(target_s), "base", at(source_s), "odom")
    tf.assert_pose(found, xyz, tf.yaw(yaw_deg))
    assert stamp_s(found) == target_s


def test_time_travel_reaches_sensors_on_the_moving_frame(turning, tf) -> None:
    turning.set_transform_static(tf.transform("base", "camera", 0, (1.0, 0.0, 0.0)), "test")
    found = turning.lookup_transform_full("base", at(2), "camera", at(1), "odom")
    # The camera stood at odom (1, 0); base is at odom (10, 0) and looks along odom y.
    tf.assert_pose(found, (0.0, 9.0, 0.0), tf.yaw(-90))


def test_time_travel_out_of_the_history_fails(turning) -> None:
    with pytest.raises(tf2_ros.ExtrapolationException):
        turning.lookup_transform_full("base", at(3), "base", at(1), "odom")
    with pytest.raises(tf2_ros.LookupException):
        turning.lookup_transform_full("base", at(2), "base", at(1), "nowhere")
    assert not turning.can_transform_full("base", at(3), "base", at(1), "odom")
    assert turning.can_transform_full("base", at(2), "base", at(1), "odom")
