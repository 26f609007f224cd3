"""Times in nanoseconds to and from messages."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

NS_PER_S = 1_000_000_000


def time_message(stamp_ns: int) -> Time:
    """Nanoseconds to a message."""
    return Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)


def stamp_ns(header: Header) -> int:
    """The header's stamp in nanoseconds."""
    return header.stamp.sec * NS_PER_S + header.stamp.nanosec


def header_message(stamp_ns: int, frame_id: str) -> Header:
    """A header at a time, in a frame."""
    return Header(stamp=time_message(stamp_ns), frame_id=frame_id)


def seconds_text(stamp_ns: int) -> str:
    """A stamp as people read it in `ros2 topic echo`."""
    return f"{stamp_ns // NS_PER_S}.{stamp_ns % NS_PER_S:09d} s"
