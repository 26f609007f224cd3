"""Subscriptions of the cameras and the synchronised sets made of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from message_filters import SimpleFilter
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from occflow_ros.node_config import CameraTopicConfig
from occflow_ros.ros.approximate_time import ApproximateTime
from occflow_ros.ros.qos import unheard_publishers
from occflow_ros.ros.stamps import stamp_ns
from occflow_ros.ros.synchronizer import MatchedSet, RigSynchronizer

SILENT_S = 2.0
POLLS_PER_WAIT = 4
MIN_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class ReceivedImage:
    """An image message with when it arrived, in seconds of `time.monotonic`."""

    message: Image | CompressedImage
    arrived_s: float

    @property
    def header(self) -> Header:
        """Of the message; the synchronizer reads its stamp."""
        return self.message.header

    @property
    def stamp_ns(self) -> int:
        """When the image was taken."""
        return stamp_ns(self.message.header)


@dataclass(frozen=True, slots=True)
class ImageSet:
    """One image of each camera, taken at about the same time.

    Args:
        stamp_ns: of the set: of the reference camera's image, where it is there.
        images: by camera name.
        missing: cameras of the rig without an image.
        complete_s: when the last image arrived, in seconds of `time.monotonic`.
    """

    stamp_ns: int
    images: Mapping[str, ReceivedImage]
    missing: tuple[str, ...]
    complete_s: float

    @property
    def receive_ms(self) -> float:
        """From the first image's arrival to the last one's."""
        return (self.complete_s - min(i.arrived_s for i in self.images.values())) * 1e3


class LatestInfos:
    """The last CameraInfo of each camera, which may arrive just after the first image."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._infos: dict[str, CameraInfo] = {}

    def put(self, name: str, info: CameraInfo) -> bool:
        """Keep a camera's newest; returns whether it calibrates otherwise than the one before."""
        with self._changed:
            before = self._infos.get(name)
            self._infos[name] = info
            self._changed.notify_all()
        return before is not None and _calibration(before) != _calibration(info)

    def get(self, name: str, deadline_s: float) -> CameraInfo | None:
        """The last one of a camera, waiting for the first until `time.monotonic` is this."""
        with self._changed:
            wait_s = max(0.0, deadline_s - time.monotonic())
            self._changed.wait_for(lambda: name in self._infos, wait_s)
            return self._infos.get(name)


class CameraInputs:
    """Subscribes to images and CameraInfo, and calls back with each synchronised set.

    Args:
        node: that subscribes, until `close`.
        config: topics, quality of service and synchronisation.
        on_set: gets each `ImageSet`, in the executor's thread.
    """

    def __init__(
        self, node: Node, config: CameraTopicConfig, on_set: Callable[[ImageSet], None]
    ) -> None:
        self._node, self._config, self._on_set = node, config, on_set
        self.infos = LatestInfos()
        self._begun_s = time.monotonic()
        self._arrived_s: dict[str, float] = {}
        self.image_topics = {name: _image_topic(node, config, name) for name in config.names}
        self.info_topics = {
            name: node.resolve_topic_name(config.info_topic.format(name=name))
            for name in config.names
        }
        self._filters = {name: SimpleFilter() for name in config.names}
        self._synchronizer = _synchronizer(self._filters, config)
        self._synchronizer.registerCallback(self._collect)
        self._subscriptions = [
            subscription for name in config.names for subscription in self._subscribe(name)
        ]
        self._timer = self._poll_timer() if config.may_lack_cameras else None

    def facts(self) -> dict[str, object]:
        """What became of the images of each camera and of sets, for diagnostics."""
        images = {
            f"images.{name}.{key}": count
            for name, counts in self._synchronizer.counts.items()
            for key, count in asdict(counts).items()
        }
        return {
            **images,
            "sets.too_few_cameras": self._synchronizer.dropped_sets,
            "time_jumps": self._synchronizer.time_jumps,
        }

    def problems(self) -> list[str]:
        """Cameras that are silent, and publishers that cannot be heard, in words."""
        now_s = time.monotonic()
        silent_s = {
            self.image_topics[name]: now_s - self._arrived_s.get(name, self._begun_s)
            for name in self._config.names
        }
        return [
            *(f"no image on {t} for {s:.0f} s" for t, s in silent_s.items() if s > SILENT_S),
            *(
                problem
                for subscription in self._subscriptions
                for problem in unheard_publishers(self._node, subscription)
            ),
        ]

    def close(self) -> None:
        """Unsubscribe; must not run beside the executor's callbacks."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _subscribe(self, name: str) -> list[Subscription]:
        compressed = self._config.by_name(self._config.compressed)[name]
        kind = CompressedImage if compressed else Image
        qos = _qos(self._config, name)
        image_topic, info_topic = self.image_topics[name], self.info_topics[name]

        def on_image(message: Image | CompressedImage) -> None:
            self._arrived_s[name] = time.monotonic()
            self._filters[name].signalMessage(ReceivedImage(message, self._arrived_s[name]))

        def on_info(message: CameraInfo) -> None:
            if self.infos.put(name, message):
                self._node.get_logger().info(f"{info_topic}: the calibration changed")

        return [
            self._node.create_subscription(kind, topic, callback, qos)
            for kind, topic, callback in (
                (kind, image_topic, on_image),
                (CameraInfo, info_topic, on_info),
            )
        ]

    def _poll_timer(self) -> Timer:
        """For sets that wait for missing cameras; each tick costs the executor a round."""
        return self._node.create_timer(
            max(MIN_POLL_S, self._config.max_wait_s / POLLS_PER_WAIT),
            self._poll,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def _poll(self) -> None:
        self._synchronizer.poll(time.monotonic())

    def _collect(self, matched: MatchedSet) -> None:
        images = {
            name: image
            for name, image in zip(self._config.names, matched.messages)
            if image is not None
        }
        self._on_set(
            ImageSet(
                stamp_ns=matched.stamp_ns,
                images=images,
                missing=tuple(name for name in self._config.names if name not in images),
                complete_s=max(image.arrived_s for image in images.values()),
            )
        )


def _synchronizer(
    inputs: Mapping[str, SimpleFilter], config: CameraTopicConfig
) -> RigSynchronizer | ApproximateTime:
    if config.synchronizer == "approximate_time":
        return ApproximateTime(
            inputs,
            reference=config.reference_name,
            tolerance_s=max(config.tolerance_s),
            queue_size=config.queue_size,
        )
    return RigSynchronizer(
        inputs,
        reference=config.reference_name,
        tolerance_s=config.by_name(config.tolerance_s),
        offset_s=config.by_name(config.offset_s),
        grid_hz=config.grid_hz,
        min_cameras=config.min_cameras,
        max_wait_s=config.max_wait_s,
        queue_size=config.queue_size,
    )


def _calibration(info: CameraInfo) -> tuple[object, ...]:
    return (
        info.width,
        info.height,
        info.distortion_model,
        tuple(info.d),
        tuple(info.k),
        tuple(info.r),
        tuple(info.p),
    )


def _image_topic(node: Node, config: CameraTopicConfig, name: str) -> str:
    topic = config.image_topic.format(name=name)
    compressed = config.by_name(config.compressed)[name]
    return node.resolve_topic_name(f"{topic}/compressed" if compressed else topic)


def _qos(config: CameraTopicConfig, name: str) -> QoSProfile:
    reliable = config.by_name(config.reliable)[name]
    reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=config.queue_size, reliability=reliability
    )
