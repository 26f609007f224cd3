"""When a message was taken."""

from typing import Any

from rclpy.clock import ROSClock
from rclpy.logging import get_logger
from rclpy.time import Time


def stamp_of(msg: Any, allow_headerless: bool, logger_name: str) -> Time | None:
    """The header stamp; without one, the ROS time now if that is allowed, else None and a log."""
    stamp = getattr(getattr(msg, "header", None), "stamp", None)
    if stamp is not None:
        return stamp if hasattr(stamp, "nanoseconds") else Time.from_msg(stamp)
    if allow_headerless:
        return ROSClock().now()
    get_logger(logger_name).warning(
        f"Dropped a {type(msg).__name__}: it has no header.stamp, and allow_headerless is off"
    )
    return None
