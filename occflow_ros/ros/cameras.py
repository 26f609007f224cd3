"""Subscriptions of the cameras and the synchronised sets made of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from message_filters import ApproximateTimeSynchronizer, SimpleFilter
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from occflow_ros.node_config import CameraTopicConfig
from occflow_ros.ros.stamps import stamp_ns

T = TypeVar("T")


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
        stamp_ns: of the reference camera's image.
        images: by camera name.
        complete_s: when the last image arrived, in seconds of `time.monotonic`.
    """

    stamp_ns: int
    images: Mapping[str, ReceivedImage]
    complete_s: float

    @property
    def receive_ms(self) -> float:
        """From the first image's arrival to the last one's."""
        return (self.complete_s - min(i.arrived_s for i in self.images.values())) * 1e3


class Mailbox(Generic[T]):
    """One slot between two threads; a newer item replaces one that was not yet taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None

    def put(self, item: T) -> T | None:
        """Leave an item; returns the one it replaces."""
        with self._changed:
            replaced, self._item = self._item, item
            self._changed.notify()
            return replaced

    def take(self, timeout_s: float) -> T | None:
        """The item, waiting for it at most `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None, timeout_s)
            item, self._item = self._item, None
            return item


class LatestInfos:
    """The last CameraInfo of each camera, which may arrive just after the first image."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._infos: dict[str, CameraInfo] = {}

    def put(self, name: str, info: CameraInfo) -> None:
        """Keep a camera's newest."""
        with self._changed:
            self._infos[name] = info
            self._changed.notify_all()

    def get(self, name: str, deadline_s: float) -> CameraInfo | None:
        """The last one of a camera, waiting for the first until `time.monotonic` is this."""
        with self._changed:
            wait_s = max(0.0, deadline_s - time.monotonic())
            self._changed.wait_for(lambda: name in self._infos, wait_s)
            return self._infos.get(name)


class CameraInputs:
    """Subscribes to images and CameraInfo, and calls back with each synchronised set.

    Args:
        node: that subscribes.
        config: topics, quality of service and tolerance.
        on_set: gets each `ImageSet`, in the executor's thread.
    """

    def __init__(
        self, node: Node, config: CameraTopicConfig, on_set: Callable[[ImageSet], None]
    ) -> None:
        self._config = config
        self._on_set = on_set
        self.infos = LatestInfos()
        self._received: Counter[str] = Counter()
        self._last_ns: dict[str, int] = {}
        self._used = 0
        self.image_topics = {name: _image_topic(node, config, name) for name in config.names}
        self.info_topics = {
            name: node.resolve_topic_name(config.info_topic.format(name=name))
            for name in config.names
        }
        filters = [self._subscribe(node, name) for name in config.names]
        self._synchronizer = ApproximateTimeSynchronizer(
            filters, config.queue_size, max(config.tolerance_s)
        )
        self._synchronizer.registerCallback(self._collect)

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Images received, and images that became part of a set, by camera."""
        return {name: (self._received[name], self._used) for name in self._config.names}

    def _subscribe(self, node: Node, name: str) -> SimpleFilter:
        images = SimpleFilter()

        def on_image(message: Image | CompressedImage) -> None:
            received = ReceivedImage(message, time.monotonic())
            self._received[name] += 1
            self._note_stamp(name, received.stamp_ns)
            images.signalMessage(received)

        def on_info(message: CameraInfo) -> None:
            self.infos.put(name, message)

        qos = _qos(self._config, name)
        kind = CompressedImage if self._config.by_name(self._config.compressed)[name] else Image
        node.create_subscription(kind, self.image_topics[name], on_image, qos)
        node.create_subscription(CameraInfo, self.info_topics[name], on_info, qos)
        return images

    def _note_stamp(self, name: str, stamp_ns: int) -> None:
        """Where a camera's time goes back, forget the images of its future.

        The synchronizer discards the oldest first, so in full queues they would outlive all others.
        """
        latest_ns = stamp_ns + round(max(self._config.tolerance_s) * 1e9)
        if self._last_ns.get(name, 0) > latest_ns:
            for queue in self._synchronizer.queues:
                for late_ns in [queued_ns for queued_ns in queue if queued_ns > latest_ns]:
                    del queue[late_ns]
        self._last_ns[name] = stamp_ns

    def _collect(self, *received: ReceivedImage) -> None:
        self._used += 1
        images = dict(zip(self._config.names, received))
        self._on_set(
            ImageSet(
                stamp_ns=images[self._config.reference_name].stamp_ns,
                images=images,
                complete_s=max(image.arrived_s for image in received),
            )
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
