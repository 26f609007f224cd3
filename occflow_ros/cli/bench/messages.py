"""Building and serialising the node's messages."""

from __future__ import annotations

from collections.abc import Iterator

from occflow_ros.errors import OccflowError
from occflow_ros.measurement import Measurement, Options


def measure(options: Options) -> Iterator[Measurement]:
    """Each message from arrays, beside the ordinary way; raises OccflowError without ROS 2."""
    try:
        from occflow_ros.ros import bench_messages
    except ImportError as error:
        raise OccflowError(
            f"bench messages: expected a sourced ROS 2 with this package built, got: {error}"
        ) from None
    yield from bench_messages.measure(options)
