"""Buffers filled in one line, and their times in seconds."""

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time
from tf2_ros.buffer import Buffer


def at(time_s: float) -> Time:
    return Time(nanoseconds=round(time_s * 1e9))


def stamp_s(msg: TransformStamped) -> float:
    return Time.from_msg(msg.header.stamp).nanoseconds * 1e-9


def filled(*transforms: TransformStamped, cache_s: float = 10.0) -> Buffer:
    buffer = Buffer(cache_time=Duration(seconds=cache_s))
    for transform in transforms:
        buffer.set_transform(transform, "test")
    return buffer
