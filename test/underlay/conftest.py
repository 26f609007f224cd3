"""Fixtures of the conformance suite, which runs on the underlay and on upstream ROS 2 alike.

ROS is imported where it is used, so that without it the tests are skipped, not broken.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from geometry_msgs.msg import TransformStamped
    from rclpy.node import Node

Xyz = tuple[float, float, float]
Xyzw = tuple[float, float, float, float]


class Tf:
    """Transforms written and compared in one line."""

    @staticmethod
    def yaw(angle_deg: float) -> Xyzw:
        half_rad = math.radians(angle_deg) / 2
        return (0.0, 0.0, math.sin(half_rad), math.cos(half_rad))

    @staticmethod
    def transform(
        parent: str,
        child: str,
        time_s: float = 0.0,
        xyz: Xyz = (0.0, 0.0, 0.0),
        xyzw: Xyzw = (0.0, 0.0, 0.0, 1.0),
    ) -> "TransformStamped":
        from geometry_msgs.msg import TransformStamped
        from rclpy.time import Time

        msg = TransformStamped(child_frame_id=child)
        msg.header.frame_id = parent
        msg.header.stamp = Time(nanoseconds=round(time_s * 1e9)).to_msg()
        t, q = msg.transform.translation, msg.transform.rotation
        t.x, t.y, t.z = xyz
        q.x, q.y, q.z, q.w = xyzw
        return msg

    @staticmethod
    def assert_pose(msg: "TransformStamped", xyz: Xyz, xyzw: Xyzw = (0.0, 0.0, 0.0, 1.0)) -> None:
        """The translation is equal, and the rotation up to the quaternion's sign."""
        t, q = msg.transform.translation, msg.transform.rotation
        assert (t.x, t.y, t.z) == pytest.approx(xyz, abs=1e-9)
        found = (q.x, q.y, q.z, q.w)
        sign = math.copysign(1.0, sum(a * b for a, b in zip(found, xyzw, strict=True)))
        assert found == pytest.approx([sign * x for x in xyzw], abs=1e-9)


class Bus:
    """Real nodes on a DDS domain of their own."""

    def __init__(self) -> None:
        from rclpy.executors import SingleThreadedExecutor

        self.executor = SingleThreadedExecutor()
        self.nodes: list[Node] = []

    def node(self, name: str, *, spun: bool = True, **kwargs: object) -> "Node":
        from rclpy.node import Node

        node = Node(name, **kwargs)
        self.nodes.append(node)
        if spun:
            self.executor.add_node(node)
        return node

    def spin_until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> bool:
        end_s = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < end_s:
            self.executor.spin_once(timeout_sec=0.05)
        return condition()

    def close(self) -> None:
        self.executor.shutdown()
        for node in self.nodes:
            node.destroy_node()


@pytest.fixture
def tf() -> type[Tf]:
    return Tf


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    import rclpy

    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init(domain_id=60 + os.getpid() % 40)
    bus = Bus()
    yield bus
    bus.close()
    rclpy.shutdown()
