"""Very many synthetic sets through the real node over DDS: is each accounted for, is memory flat?

Node and cameras run in this process, in a ROS domain of their own, with a network so small that
what is soaked is all the rest.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from occflow_ros import config
from occflow_ros.data.drive import Camera, Drive
from occflow_ros.errors import OccflowError
from occflow_ros.msg import OccupancyFlow
from occflow_ros.ros import drive_messages, process
from occflow_ros.ros.accounting import PROCESSED
from occflow_ros.ros.diagnostics import FRAME_STATUS, QUEUE_SIZE
from occflow_ros.ros.node import OccflowNode
from occflow_ros.ros.rejection import Reason
from occflow_ros.ros.stamps import NS_PER_S, header_message

EXPECTED = (PROCESSED, Reason.BAD_IMAGE, Reason.OVERLOAD)
IN_FLIGHT, IN_BURST = 2, 4
"""Sets without outcome at a time, and before each set of a multiple of `BURST`.

Fewer than the queues hold, so none is lost; more than two are overload."""
BURST = 10
FAULTY = 50
"""Each set of a multiple of this has a JPEG that cannot be decoded."""
DEFAULT_RATE_HZ = 10.0
STEP_M = 0.1
IMAGE_HW_PX = (80, 120)
STALLED_S = 60.0
NUM_SAMPLES = 50


@dataclass(frozen=True, slots=True)
class Memory:
    """What the process holds after some sets.

    Args:
        sets: sent so far.
        resident_mib: memory of the whole process.
        blocks: that Python's allocator has given out.
    """

    sets: int
    resident_mib: float
    blocks: int


@dataclass(frozen=True, slots=True)
class SoakReport:
    """What became of the sets.

    Args:
        sent: sets.
        faulty: of these, that no result can come from.
        outcomes: sets by what became of them.
        results: messages on `occupancy_flow`.
        memory: at even distances, first to last.
    """

    sent: int
    faulty: int
    outcomes: dict[str, int]
    results: int
    memory: tuple[Memory, ...]

    @property
    def unaccounted(self) -> int:
        """Sets without outcome."""
        return self.sent - sum(self.outcomes.values())

    @property
    def settled(self) -> tuple[Memory, ...]:
        """Samples after the first fifth, in which caches and pools fill."""
        return self.memory[len(self.memory) // 5 :]

    @property
    def growth_mib(self) -> float:
        """Of resident memory, from the median of the second fifth to that of the last one."""
        part = max(1, len(self.memory) // 5)
        first, last = self.settled[:part], self.settled[-part:]
        return float(
            np.median([sample.resident_mib for sample in last])
            - np.median([sample.resident_mib for sample in first])
        )

    @property
    def growth_blocks(self) -> int:
        """Python's blocks of memory that came to stay since the first fifth."""
        return self.settled[-1].blocks - self.settled[0].blocks

    def problems(self, max_growth_mib: float) -> list[str]:
        """What is not as it must be, in words."""
        processed = self.outcomes.get(PROCESSED, 0)
        unexpected = sorted(set(self.outcomes) - set(EXPECTED))
        checks = {
            f"{self.unaccounted} sets have no outcome": self.unaccounted != 0,
            f"{self.results} results of {processed} processed sets": self.results != processed,
            f"unexpected outcomes: {', '.join(unexpected)}": bool(unexpected),
            f"memory grew by {self.growth_mib:.1f} MiB": self.growth_mib > max_growth_mib,
        }
        return [what for what, is_wrong in checks.items() if is_wrong]


def soak(sets: int, rate_hz: float | None = None) -> SoakReport:
    """Send sets and wait for the outcome of each.

    Args:
        sets: how many.
        rate_hz: None: as fast as they go, with some in flight at a time.

    Raises:
        OccflowError: where outcomes stop to come.
    """
    with tempfile.TemporaryDirectory() as folder, _ros(Path(folder)):
        node = OccflowNode()
        node.start()
        with process.spinning(node, threading.Event()), _vehicle(sets, rate_hz) as vehicle:
            return vehicle.drive()


class _Vehicle:
    """Two cameras, one raw and one compressed, that drive straight on."""

    def __init__(self, sets: int, rate_hz: float | None) -> None:
        self._sets, self._rate_hz = sets, rate_hz
        self._period_ns = round(NS_PER_S / (rate_hz or DEFAULT_RATE_HZ))
        self._begun_ns = time.time_ns() - (sets + 1) * self._period_ns
        self._cameras = {name: _camera(name, y_m) for name, y_m in (("left", 0.5), ("right", -0.5))}
        self._drive = Drive("soak", self._cameras, ())
        self._pixels = np.random.default_rng(0).integers(0, 256, (*IMAGE_HW_PX, 3), dtype=np.uint8)
        self._jpeg = cv2.imencode(".jpg", self._pixels)[1].tobytes()
        self._outcomes: dict[int, str] = {}
        self._results = 0
        self.node = node = rclpy.create_node("soak")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._tf, self._static_tf = TransformBroadcaster(node), StaticTransformBroadcaster(node)
        self._infos = {
            name: node.create_publisher(CameraInfo, f"{name}/camera_info", 10)
            for name in self._cameras
        }
        self._raw = node.create_publisher(Image, "left/image_raw", 10)
        self._compressed = node.create_publisher(CompressedImage, "right/image_raw/compressed", 10)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, QUEUE_SIZE)
        node.create_subscription(
            OccupancyFlow, "/occflow/occupancy_flow", self._on_result, QUEUE_SIZE
        )

    def drive(self) -> SoakReport:
        """Send all sets; the report once each has its outcome."""
        self._connect()
        samples, every = [], max(1, self._sets // NUM_SAMPLES)
        begun_s = time.monotonic()
        for index in range(self._sets):
            self._wait_for_turn(index, begun_s)
            self._send(index)
            if (index + 1) % every == 0:
                samples.append(_memory(index + 1))
        self._wait(lambda: len(self._outcomes) == self._sets, "the last outcomes")
        outcomes = Counter(self._outcomes.values())
        self._wait(lambda: self._results >= outcomes[PROCESSED], "the last results")
        return SoakReport(
            sent=self._sets,
            faulty=len(range(0, self._sets, FAULTY)),
            outcomes=dict(outcomes),
            results=self._results,
            memory=tuple(samples),
        )

    def close(self) -> None:
        """End the node."""
        self._executor.shutdown()
        self.node.destroy_node()

    def _connect(self) -> None:
        publishers = [self._raw, self._compressed, *self._infos.values(), self._tf.pub_tf]
        self._wait(lambda: all(one.get_subscription_count() for one in publishers), "the node")
        results = "/occflow/occupancy_flow"
        self._wait(lambda: self.node.count_publishers(results) > 0, results)
        self._static_tf.sendTransform(drive_messages.extrinsic_messages(self._drive))

    def _wait_for_turn(self, index: int, begun_s: float) -> None:
        if self._rate_hz is None:
            most = IN_FLIGHT if index % BURST else IN_BURST
            self._wait(lambda: index - len(self._outcomes) < most, "outcomes")
            return
        while (left_s := begun_s + index / self._rate_hz - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def _send(self, index: int) -> None:
        stamp = self._begun_ns + index * self._period_ns
        odom_T_base = np.eye(4)
        odom_T_base[0, 3] = index * STEP_M
        self._tf.sendTransform(drive_messages.pose_message(self._drive, odom_T_base, stamp))
        for name, publisher in self._infos.items():
            publisher.publish(drive_messages.info_message(self._cameras[name], stamp))
        left, right = map(drive_messages.optical_frame, self._cameras)
        self._raw.publish(drive_messages.image_of(self._pixels, stamp, left))
        data = self._jpeg if index % FAULTY else self._jpeg[: len(self._jpeg) // 2]
        header = header_message(stamp, right)
        self._compressed.publish(CompressedImage(header=header, format="jpeg", data=data))

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        """Spin until this is true; raises where nothing comes for long."""
        known, since_s = -1, time.monotonic()
        while not condition():
            self._executor.spin_once(timeout_sec=0.05)
            if (now := len(self._outcomes) + self._results) != known:
                known, since_s = now, time.monotonic()
            if time.monotonic() - since_s > STALLED_S:
                raise OccflowError(f"soak: waited {STALLED_S:.0f} s for {what}; {now} came before")

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name.endswith(FRAME_STATUS):
                values = {item.key: item.value for item in status.values}
                self._outcomes[int(values["stamp_ns"])] = values["reason"] or PROCESSED

    def _on_result(self, message: OccupancyFlow) -> None:
        self._results += 1


@contextmanager
def _vehicle(sets: int, rate_hz: float | None) -> Iterator[_Vehicle]:
    vehicle = _Vehicle(sets, rate_hz)
    try:
        yield vehicle
    finally:
        vehicle.close()


@contextmanager
def _ros(folder: Path) -> Iterator[None]:
    """rclpy in a domain of its own, with the parameters of a node on the two cameras."""
    preset = folder / "soak.yaml"
    preset.write_text(config.dump(small_config()))
    parameters = {
        "preset": str(preset),
        "weights": "untrained",
        "node.cameras.names": "[left,right]",
        "node.cameras.compressed": "[false,true]",
        "node.cameras.reliable": "true",
        "node.pose.wait_s": "1.0",
    }
    arguments = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
    rclpy.init(
        args=["soak", "--ros-args", "--log-level", "error", *arguments],
        domain_id=1 + os.getpid() % 100,
        signal_handler_options=SignalHandlerOptions.NO,
    )
    try:
        yield
    finally:
        rclpy.try_shutdown()


def small_config() -> config.Config:
    """A network that steps in some milliseconds."""
    nano = config.resolve("nano")
    model = config.ModelConfig(
        grid=config.GridConfig(lower_m=(-8, -6, -1), upper_m=(8, 6, 3), shape=(16, 12, 4)),
        image_hw_px=(32, 64),
        backbone=config.BackboneConfig(depths=(1, 1, 1, 1), widths=(8, 8, 16, 16)),
        channels=16,
        lifter=config.LifterConfig(
            layers=1,
            heads=2,
            cross_plane_points=2,
            image_points_hw=2,
            image_points_zh=2,
            image_points_wz=2,
        ),
        temporal=config.TemporalConfig(history=1, heads=2, points=2),
        refiner=config.RefinerConfig(blocks=(1, 1, 1), channels=16, output_channels=8),
        heads=config.HeadsConfig(hidden=8),
    )
    return nano.model_copy(update={"model": model})


def _camera(name: str, y_m: float) -> Camera:
    """Looking along x, this far beside the middle."""
    height, width = IMAGE_HW_PX
    return Camera(
        name=name,
        width_px=width,
        height_px=height,
        K=np.array([[60.0, 0, (width - 1) / 2], [0, 60.0, (height - 1) / 2], [0, 0, 1]]),
        base_T_camera=np.array([[0.0, 0, 1, 0], [-1, 0, 0, y_m], [0, -1, 0, 1], [0, 0, 0, 1]]),
    )


def _memory(sets: int) -> Memory:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident_mib = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return Memory(sets, resident_mib, sys.getallocatedblocks())
