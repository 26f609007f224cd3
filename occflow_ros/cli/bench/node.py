"""The node under a rig of cameras."""

from __future__ import annotations

from collections.abc import Iterator

from occflow_ros.errors import OccflowError
from occflow_ros.measurement import Measurement, Options


def measure(options: Options) -> Iterator[Measurement]:
    """Latency, accounts and processor time; raises OccflowError without ROS 2."""
    try:
        from occflow_ros.ros import bench_node
    except ImportError as error:
        raise OccflowError(
            f"bench node: expected a sourced ROS 2 with this package built, got: {error}"
        ) from None
    yield from bench_node.measure(options)
