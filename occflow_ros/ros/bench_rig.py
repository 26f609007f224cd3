"""A vehicle in a process of its own, for measuring the node: it sends sets and hears what comes."""

from __future__ import annotations

import array
import importlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from occflow_ros.data.drive import Camera, Drive
from occflow_ros.engine.ring import ring_frame
from occflow_ros.errors import OccflowError
from occflow_ros.ros import drive_messages, process
from occflow_ros.ros.accounting import DROPPED, PROCESSED
from occflow_ros.ros.diagnostics import FRAME_STATUS
from occflow_ros.ros.stamps import time_message

NODE_NAME = "occflow"
STAGGER_S = 0.004
SPEED_MPS = 10.0
JPEG_QUALITY = 90
DETAIL = {4: 40.0, 16: 25.0, 64: 16.0, 256: 8.0, 1600: 2.0}
"""Amplitude of the noise in an image by its number of cells from left to right."""
SETTLE_S = 1.5
TIMEOUT_S = 120.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Rig:
    """What the vehicle has.

    Args:
        cameras: of a ring around it.
        width_px: of their images.
        height_px: of their images.
        compressed: JPEG, not raw images.
        domain_id: of ROS.
    """

    cameras: int
    width_px: int
    height_px: int
    compressed: bool
    domain_id: int

    def calibrated(self) -> dict[str, Camera]:
        """The cameras by name, without distortion."""
        ring = ring_frame(self.cameras, (self.height_px, self.width_px), 0).rig
        return {
            name: Camera(name, self.width_px, self.height_px, K, base_T_camera)
            for name, K, base_T_camera in zip(
                ring.names, ring.K.double().numpy(), ring.base_T_camera.double().numpy()
            )
        }


@dataclass(frozen=True, slots=True)
class Order:
    """Sets to send.

    Args:
        rate_hz: sets a second; None: each as soon as the one before has its outcome.
        num_sets: how many.
    """

    rate_hz: float | None
    num_sets: int


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an order.

    Args:
        sent_ns: stamp of each set that was sent.
        outcomes: what `/diagnostics` said of each, by its stamp.
        duration_s: from the first set until the last outcome was seen.
        image_bytes: of one image's message.
    """

    sent_ns: tuple[int, ...]
    outcomes: Mapping[int, Mapping[str, str]]
    duration_s: float
    image_bytes: int


def serve(rig: Rig, orders: Connection) -> None:
    """Carry out each `Order` and answer with its `Report`, until None comes."""
    rclpy.init(domain_id=rig.domain_id, signal_handler_options=SignalHandlerOptions.NO)
    sender = RigNode(rig)
    with process.spinning(sender, threading.Event()):
        try:
            sender.begin()
            while (order := orders.recv()) is not None:
                orders.send(sender.carry_out(order))
        except OccflowError as error:
            orders.send(error)
        except EOFError:
            """The bench has ended."""
    rclpy.try_shutdown()


class RigNode(Node):
    """Publishes images, calibrations and poses, and subscribes to all that the node publishes.

    Args:
        rig: what it has.
    """

    def __init__(self, rig: Rig) -> None:
        super().__init__("rig")
        self._cameras = rig.calibrated()
        self._drive = Drive("rig", self._cameras, ())
        self._messages = _image_messages(rig, self._cameras)
        self._outcomes: dict[int, Mapping[str, str]] = {}
        self._summary: Mapping[str, str] = {}
        self._summary_s = 0.0
        kind, suffix = (CompressedImage, "/compressed") if rig.compressed else (Image, "")
        self._images = self._advertise(kind, "image_raw" + suffix)
        self._infos = self._advertise(CameraInfo, "camera_info")
        self._tf = TransformBroadcaster(self)
        self._static_tf = StaticTransformBroadcaster(self)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)

    def begin(self) -> None:
        """Wait for the node, subscribe to its results, and say where the cameras are."""
        publishers = [*self._images.values(), *self._infos.values(), self._tf.pub_tf]
        self._wait_until(lambda: all(p.get_subscription_count() for p in publishers), "the node")
        for topic in self._results():
            self._subscribe(topic)
        self._static_tf.sendTransform(drive_messages.extrinsic_messages(self._drive))

    def carry_out(self, order: Order) -> Report:
        """Send sets at a rate, and wait for what becomes of them."""
        begun_s = time.monotonic()
        sent_ns = []
        for number in range(order.num_sets):
            if order.rate_hz is None:
                self._await_outcomes(sent_ns[-1:])
                sent_ns.append(self._send_set(time.monotonic()))
            else:
                sent_ns.append(self._send_set(begun_s + number / order.rate_hz))
        self._await_outcomes(sent_ns)
        sizes = [len(message.data) for message in self._messages.values()]
        return Report(
            sent_ns=tuple(sent_ns),
            outcomes={stamp: self._outcomes[stamp] for stamp in sent_ns if stamp in self._outcomes},
            duration_s=time.monotonic() - begun_s,
            image_bytes=sum(sizes) // len(sizes),
        )

    def _advertise(self, kind: type, suffix: str) -> dict[str, Publisher]:
        return {
            name: self.create_publisher(kind, f"{name}/{suffix}", drive_messages.SENSOR_QOS)
            for name in self._cameras
        }

    def _results(self) -> list[str]:
        """Topics that the node publishes under its name."""
        first = f"/{NODE_NAME}/occupancy_flow"
        self._wait_until(lambda: self.count_publishers(first) > 0, first)
        time.sleep(SETTLE_S)  # until all that was made together is known
        topics = (topic for topic, _ in self.get_topic_names_and_types())
        return [
            topic
            for topic in topics
            if topic.startswith(f"/{NODE_NAME}/") and self.count_publishers(topic)
        ]

    def _subscribe(self, topic: str) -> None:
        """Take the bytes of its messages alone, which costs this process little."""
        offered = self.get_publishers_info_by_topic(topic)[0]
        qos = QoSProfile(depth=10, reliability=offered.qos_profile.reliability)
        package, _, name = offered.topic_type.split("/")
        kind = getattr(importlib.import_module(f"{package}.msg"), name)
        self.create_subscription(kind, topic, lambda _: None, qos, raw=True)

    def _send_set(self, start_s: float) -> int:
        """Send the images one after the other; returns the stamp of the first."""
        stamps_ns = []
        for number, (name, camera) in enumerate(self._cameras.items()):
            time.sleep(max(0.0, start_s + number * STAGGER_S - time.monotonic()))
            stamps_ns.append(time.time_ns())
            self._send_image(name, camera, stamps_ns[-1])
        return stamps_ns[0]

    def _send_image(self, name: str, camera: Camera, stamp_ns: int) -> None:
        odom_T_base = np.eye(4)
        odom_T_base[0, 3] = SPEED_MPS * (stamp_ns % 10**12) * 1e-9
        self._tf.sendTransform(drive_messages.pose_message(self._drive, odom_T_base, stamp_ns))
        self._infos[name].publish(drive_messages.info_message(camera, stamp_ns))
        self._messages[name].header.stamp = time_message(stamp_ns)
        self._images[name].publish(self._messages[name])

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            if status.name.endswith(FRAME_STATUS):
                self._outcomes[int(values["stamp_ns"])] = values
            else:
                self._summary, self._summary_s = values, time.monotonic()

    def _await_outcomes(self, sent_ns: list[int]) -> None:
        """Until there are all of them, or the node has done what it received."""
        sent_s = time.monotonic()

        def all_done() -> bool:
            if all(stamp in self._outcomes for stamp in sent_ns):
                return True
            return self._summary_s - sent_s > SETTLE_S and _is_idle(self._summary)

        self._wait_until(all_done, "the outcome of the last sets")

    def _wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline_s:
                raise OccflowError(f"bench node: waited {TIMEOUT_S:.0f} s for {what}")
            time.sleep(POLL_S)


def _is_idle(summary: Mapping[str, str]) -> bool:
    """Whether each set that was made has its outcome."""
    used = {int(n) for key, n in summary.items() if key.startswith("images.") and ".used" in key}
    return used == {int(summary[PROCESSED]) + int(summary[DROPPED])}


def _image_messages(rig: Rig, cameras: Mapping[str, Camera]) -> dict[str, Image | CompressedImage]:
    """An image of each camera, with as much detail as that of a street."""
    scene = _noise(rig.height_px, rig.width_px)
    messages = {}
    for number, name in enumerate(cameras):
        pixels = np.roll(scene, number * rig.width_px // len(cameras), axis=1)
        raw = drive_messages.image_of(pixels, 0, drive_messages.optical_frame(name))
        messages[name] = _as_jpeg(raw, pixels) if rig.compressed else raw
    return messages


def _as_jpeg(raw: Image, pixels: np.ndarray) -> CompressedImage:
    _, data = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return CompressedImage(header=raw.header, format="jpeg", data=array.array("B", data.tobytes()))


def _noise(height_px: int, width_px: int) -> np.ndarray:
    """(H, W, 3) uint8 with detail of every size, less of the finer."""
    rng = np.random.default_rng(0)
    pixels = np.full((height_px, width_px, 3), 110.0, np.float32)
    for cells, amplitude in DETAIL.items():
        size = (max(2, cells * height_px // width_px), cells, 3)
        coarse = rng.standard_normal(size, dtype=np.float32)
        pixels += amplitude * cv2.resize(coarse, (width_px, height_px))
    return np.clip(pixels, 0, 255).astype(np.uint8)
