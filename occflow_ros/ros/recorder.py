"""Records topics into a rosbag2 MCAP as the serialised messages that arrive."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field
from rclpy.clock import Clock, ClockType
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rosbags.interfaces import Connection

from occflow_ros.errors import DataError, OccflowError
from occflow_ros.ros import process
from occflow_ros.ros.bag import Bag
from occflow_ros.ros.parameters import ConfiguredNode, Parameters
from occflow_ros.validation import StrictModel

QUEUE_SIZE = 100
DISCOVERY_PERIOD_S = 0.1
GRACE_S = 0.3
RAW_IMAGE = "sensor_msgs/msg/Image"


class RecorderParameters(StrictModel):
    """What to record, and where to."""

    output: str = Field("", description="folder of the bag, which must not exist yet")
    topics: tuple[str, ...] = Field(
        ("*",),
        min_length=1,
        description="topics, or patterns with *; raw images only where they are named in full",
    )


class Recorder(ConfiguredNode):
    """Subscribes to topics as they appear, with a quality of service that their publishers offer.

    Raises:
        OccflowError: names a wrong parameter, or the output where it cannot be used.
    """

    def __init__(self) -> None:
        super().__init__("recorder")
        parameters = Parameters(self)
        self._settings = settings = parameters.read(RecorderParameters())
        parameters.check_all_known()
        if not settings.output:
            raise OccflowError("output: expected a folder for the bag, got none")
        self._patterns = [
            topic if "*" in topic else self.resolve_topic_name(topic) for topic in settings.topics
        ]
        self._bag = Bag(Path(settings.output))
        self._seen: set[str] = set()
        self._messages = 0
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DISCOVERY_PERIOD_S, self._discover, clock=steady)
        self.get_logger().info(f"recording {', '.join(self._patterns)} into {settings.output}")

    def close(self) -> None:
        """Finish the bag; callbacks must have ended."""
        self._bag.close()
        self.get_logger().info(f"recorded {self._messages} messages into {self._settings.output}")

    def _discover(self) -> None:
        for topic, kinds in self.get_topic_names_and_types():
            if topic in self._seen or not self._wanted(topic, kinds[0]):
                continue
            if publishers := self.get_publishers_info_by_topic(topic):
                self._seen.add(topic)
                self._record(topic, kinds[0], publishers)

    def _wanted(self, topic: str, kind: str) -> bool:
        if topic in self._patterns:
            return True
        matches = any(fnmatchcase(topic, pattern) for pattern in self._patterns)
        return matches and kind != RAW_IMAGE

    def _record(self, topic: str, kind: str, publishers: list[TopicEndpointInfo]) -> None:
        try:
            offered = [publisher.qos_profile for publisher in publishers]
            connection = self._bag.add_topic(topic, kind, offered)
            message_class = _message_class(kind)
        except DataError as error:
            self.get_logger().warning(f"{topic} is not recorded: {error}")
            return
        self.create_subscription(
            message_class, topic, self._writer_of(connection), _matching_qos(publishers), raw=True
        )
        self.get_logger().info(f"recording {topic}")

    def _writer_of(self, connection: Connection) -> Callable[[bytes], None]:
        def write(data: bytes) -> None:
            self._messages += 1
            self._bag.write(connection, self.get_clock().now().nanoseconds, data)

        return write


def main() -> None:
    """The `recorder` executable."""
    process.run("recorder", _work)


def _work(stop: threading.Event) -> None:
    recorder = Recorder()
    try:
        with process.spinning(recorder, stop):
            stop.wait()
            time.sleep(GRACE_S)  # what was sent before the signal is still on its way
    finally:
        recorder.close()


def _message_class(kind: str) -> type:
    package, _, name = kind.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise DataError(f"{kind}: expected an installed message type: {error}") from None


def _matching_qos(publishers: list[TopicEndpointInfo]) -> QoSProfile:
    """The strongest quality of service that every publisher offers."""
    offered = [publisher.qos_profile for publisher in publishers]
    reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
    latched = all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=QUEUE_SIZE,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
