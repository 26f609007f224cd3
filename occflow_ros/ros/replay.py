"""Plays a recorded drive as live sensors: images, CameraInfo, TF, clock and LiDAR."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path

from pydantic import Field
from rclpy.duration import Duration
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock

from occflow_ros.data.source import open_drive
from occflow_ros.errors import OccflowError
from occflow_ros.output import write_text
from occflow_ros.ros import process
from occflow_ros.ros.drive_messages import TF, TF_STATIC, DriveMessages, Transport
from occflow_ros.ros.parameters import ConfiguredNode, Parameters
from occflow_ros.ros.stamps import time_message
from occflow_ros.ros.timeline import Event, Timeline
from occflow_ros.validation import StrictModel

QUEUE_SIZE = 10
CLOCK_PERIOD_S = 0.02
POLL_S = 0.05
SETTLE_S = 0.5
DELIVERY_S = 5


class ReplayParameters(StrictModel):
    """What to play, and how."""

    source: str = Field("", description="recording folder, or root of a nuScenes or KITTI data set")
    scene: str = Field(
        "", description="nuScenes scene, KITTI drive or sequence; empty: the only one"
    )
    version: str = Field(
        "", description="tables of nuScenes; training or testing of KITTI tracking; empty: the only"
    )
    keyframes_only: bool = Field(True, description="leave out what lies between keyframes")
    rate: float = Field(1.0, gt=0, description="times real time")
    loop: bool = Field(False, description="start again at the end, with stamps that go on")
    transport: Transport = Field(
        "raw", description="raw: decoded on image_raw; compressed: files on image_raw/compressed"
    )
    lidar: bool = Field(True, description="also send the LiDAR sweeps on lidar/points")
    wait_for_subscribers_s: float = Field(
        30.0, ge=0, description="wait for the nodes' subscriptions; 0: begin at once"
    )
    wait_for_nodes: tuple[str, ...] = Field(
        ("occflow",),
        min_length=1,
        description="nodes that are to hear CameraInfo and TF, and one of them the images",
    )
    summary: str = Field("", description="JSON file that lists the sets sent; empty: none")


class Replay(ConfiguredNode):
    """Sends each message when its stamp is due; `play` returns at the end.

    Raises:
        OccflowError: names a wrong parameter, or what of the drive or output cannot be used.
    """

    def __init__(self) -> None:
        super().__init__("replay")
        parameters = Parameters(self)
        self._settings = settings = parameters.read(ReplayParameters())
        parameters.check_all_known()
        if not settings.source:
            raise OccflowError("source: expected a recording folder or data set, got none")
        self._drive = drive = open_drive(
            settings.source,
            settings.scene or None,
            settings.version or None,
            settings.keyframes_only,
        )
        self._timeline = Timeline(drive, settings.lidar)
        self._messages = messages = DriveMessages(
            drive, settings.transport, self._timeline.has_lidar
        )
        self._sent: dict[tuple[int, int], int] = {}
        self._round = 0
        self._complete = False
        if settings.summary:
            self.write_summary()
        self._publishers_of = {
            name: self.create_publisher(topic.message_class, name, topic.qos)
            for name, topic in messages.topics.items()
        }
        self._clock = self.create_publisher(Clock, "/clock", QUEUE_SIZE)
        self._publishers_of[TF_STATIC].publish(messages.static())

    def play(self, stop: threading.Event) -> None:
        """Send the drive once, or over and over, until the end or until `stop` is set.

        Raises:
            OccflowError: names the topics that nobody subscribes to within the wait.
            DataError: names a file that cannot be read.
        """
        self._wait_for_subscribers(stop)
        self._announce()
        for due_s, event, stamp_ns in self._schedule():
            self._sleep_until(due_s, stamp_ns, stop)
            if stop.is_set():
                return
            self._send(event, stamp_ns)
        self._complete = True
        for publisher in self._publishers_of.values():
            publisher.wait_for_all_acked(Duration(seconds=DELIVERY_S))

    def write_summary(self) -> None:
        """List what was sent so far in the summary file; raises OutputError where it cannot be."""
        sets = [
            {
                "stamp_ns": self._timeline.reference_ns(index)
                + self._timeline.round_shift_ns(round_index),
                "index": index,
                "round": round_index,
                "images": images,
            }
            for (round_index, index), images in sorted(self._sent.items())
        ]
        document = {
            "source": self._settings.source,
            "drive": self._drive.name,
            "cameras": list(self._drive.cameras),
            "rate": self._settings.rate,
            "shift_ns": self._timeline.shift_ns,
            "complete": self._complete,
            "sets": sets,
        }
        write_text(Path(self._settings.summary), json.dumps(document, indent=1) + "\n")

    def close(self) -> None:
        """Write the summary, where one is asked for."""
        if self._settings.summary:
            self.write_summary()
        self.get_logger().info(
            f"sent {sum(self._sent.values())} images in {len(self._sent)} sets"
            + ("" if self._complete else "; stopped before the end")
        )

    def _of_cameras(self, topic: Callable[[str], str]) -> list[Publisher]:
        return [self._publishers_of[topic(name)] for name in self._drive.cameras]

    def _announce(self) -> None:
        drive, timeline = self._drive, self._timeline
        logger = self.get_logger()
        logger.info(
            f"playing {drive.name}: {len(drive.sets)} sets of {len(drive.cameras)} cameras "
            f"at {self._settings.rate:g} times real time"
        )
        if timeline.shift_ns:
            logger.info(f"stamps are shifted by {timeline.shift_ns} ns: ROS reads 0 as the latest")

    def _wait_for_subscribers(self, stop: threading.Event) -> None:
        if not (wait_s := self._settings.wait_for_subscribers_s):
            return
        deadline_s = time.monotonic() + wait_s
        while missing := self._unheard_topics():
            if time.monotonic() > deadline_s:
                who = " and ".join(self._settings.wait_for_nodes)
                raise OccflowError(
                    f"expected {who} to subscribe within {wait_s:g} s to {', '.join(missing)}"
                )
            if stop.wait(POLL_S):
                return
        stop.wait(SETTLE_S)

    def _unheard_topics(self) -> list[str]:
        """Topics that lack an awaited subscriber, or where a subscriber is not connected yet."""
        for_all = [*self._of_cameras(self._messages.info_topic), self._publishers_of[TF]]
        heard = [
            *((publisher, any) for publisher in self._of_cameras(self._messages.image_topic)),
            *((publisher, all) for publisher in for_all),
        ]
        return [p.topic_name for p, how_many in heard if not self._is_heard(p, how_many)]

    def _is_heard(self, publisher: Publisher, how_many: Callable[[Iterable[bool]], bool]) -> bool:
        subscribers = self.get_subscriptions_info_by_topic(publisher.topic_name)
        names = {subscriber.node_name for subscriber in subscribers}
        there = how_many(name in names for name in self._settings.wait_for_nodes)
        return there and publisher.get_subscription_count() >= len(subscribers)

    def _schedule(self) -> Iterator[tuple[float, Event, int]]:
        """When each event is due (s of `time.monotonic`), the event, and its stamp as sent."""
        timeline = self._timeline
        begin_s = time.monotonic()
        begin_ns = timeline.first_ns + timeline.round_shift_ns(0)
        for round_index in count() if self._settings.loop else range(1):
            self._round = round_index
            for event in timeline:
                stamp_ns = event.stamp_ns + timeline.round_shift_ns(round_index)
                yield begin_s + (stamp_ns - begin_ns) * 1e-9 / self._settings.rate, event, stamp_ns

    def _sleep_until(self, due_s: float, stamp_ns: int, stop: threading.Event) -> None:
        """Wait, with the clock running on towards the stamp that is due."""
        while (left_s := due_s - time.monotonic()) > 0 and not stop.is_set():
            now_ns = max(1, stamp_ns - round(left_s * self._settings.rate * 1e9))
            self._clock.publish(Clock(clock=time_message(now_ns)))
            stop.wait(min(left_s, CLOCK_PERIOD_S))

    def _send(self, event: Event, stamp_ns: int) -> None:
        self._clock.publish(Clock(clock=time_message(stamp_ns)))
        for topic, message in self._messages.of(event, stamp_ns):
            self._publishers_of[topic].publish(message)
        if event.camera is not None:
            key = (self._round, event.set_index)
            self._sent[key] = self._sent.get(key, 0) + 1


def main() -> None:
    """The `replay` executable."""
    process.run("replay", _work)


def _work(stop: threading.Event) -> None:
    replay = Replay()
    with process.spinning(replay, stop):
        try:
            replay.play(stop)
        finally:
            replay.close()
