"""The node under a rig of cameras: latency by message, accounts by set, and processor time."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import rclpy
from ament_index_python.packages import get_package_share_directory
from message_filters import SimpleFilter
from rclpy.publisher import Publisher
from rclpy.signals import SignalHandlerOptions

from occflow_ros import config as configuration
from occflow_ros.errors import OccflowError
from occflow_ros.measurement import Measurement, Options
from occflow_ros.ros import conversions, frames, process
from occflow_ros.ros.accounting import PROCESSED
from occflow_ros.ros.bench_cpu import CpuTimes, Place
from occflow_ros.ros.bench_messages import NUM_VOXELS, random_prediction
from occflow_ros.ros.bench_rig import NODE_NAME, Order, Report, Rig, serve
from occflow_ros.ros.cameras import LatestInfos
from occflow_ros.ros.diagnostics import Diagnostics
from occflow_ros.ros.node import OccflowNode
from occflow_ros.ros.outputs import Outputs
from occflow_ros.ros.poses import Poses
from occflow_ros.ros.transforms import TransformTree
from occflow_ros.structures import Frame, OccupancyFlow

WIDTH_PX, HEIGHT_PX = 1600, 900
RATES_HZ = (2.0, 10.0, 12.0)
CPU_AIM_MS = 15.0
WARM_UP_SETS = 4
END_S = 5.0
DOMAINS = 100
_RIGS = itertools.count()
JPEG = "JPEG decoding"
PARTS: dict[str, list[Place]] = {
    JPEG: [(cv2, "imdecode")],
    "other work on images": [(frames, "rgb_image"), (frames, "rectified_view")],
    "resize and assemble": [(frames, "assemble_frame")],
    "poses, looked up": [(Poses, "of_base"), (Poses, "of_sensor")],
    "poses, received": [(TransformTree, "take")],
    "calibration, received": [(LatestInfos, "put")],
    "synchronise": [(SimpleFilter, "signalMessage")],
    "voxels to the host": [(conversions, "voxel_arrays")],
    "build messages": [(Outputs, "publish")],
    "serialise and send": [(Publisher, "publish")],
    "diagnostics of the set": [(Diagnostics, "record")],
    "summary, each second": [(Diagnostics, "summarize")],
}
"""What is counted by itself; it ends where another part of the list begins."""
THREADS = {
    "executor": "executor: wait, take, deserialise",
    "session": "session: the rest",
    "native": "DDS and other threads",
}


def measure(options: Options) -> Iterator[Measurement]:
    """Latencies and accounts of raw and compressed images at each rate, then processor time."""
    for compressed in (False, True):
        rig = full_rig(options.cameras, compressed)
        transport = "compressed" if compressed else "raw"
        with running(rig, options) as bench:
            for rate_hz in RATES_HZ:
                run = bench.run(Order(rate_hz, options.repeat))
                yield from rows(f"node.{transport} {rate_hz:g} Hz", run)
    yield from measure_cpu(full_rig(options.cameras, compressed=True), options)


def measure_cpu(rig: Rig, options: Options) -> Iterator[Measurement]:
    """Processor time of a set in all threads of the node, with a prediction that is there before.

    What the network and the processes of rig and subscribers need is not in it.
    """
    prediction = prepared_prediction(options)
    times = CpuTimes()
    with times.watching(PARTS), running(rig, options, prediction) as bench:
        run = bench.run(Order(None, options.repeat), times)
    yield from cpu_rows("node.CPU", run)


def full_rig(cameras: int, compressed: bool) -> Rig:
    """Cameras of the size that is reported on, in a domain where no other rig was before."""
    domain_id = 1 + (os.getpid() + next(_RIGS)) % DOMAINS
    return Rig(cameras, WIDTH_PX, HEIGHT_PX, compressed, domain_id)


def prepared_prediction(options: Options) -> OccupancyFlow:
    """A result of full size on the grid and the device of the run."""
    grid = options.config.model.grid.voxels
    made = random_prediction(min(NUM_VOXELS, grid.num_voxels // 2), grid)
    return replace(made, sdf_m=made.sdf_m.to(options.device), flow_m=made.flow_m.to(options.device))


@dataclass(frozen=True, slots=True)
class Run:
    """What became of an order, on both sides.

    Args:
        report: of the rig.
        lost: images that were sent and did not reach the node, by camera.
        cpu_s: processor time of the node by part.
    """

    report: Report
    lost: Mapping[str, int]
    cpu_s: Mapping[str, float]

    @property
    def outcomes(self) -> Counter[str]:
        """Sets by what became of them: processed, or the reason of the drop."""
        return Counter(v["reason"] or v["outcome"] for v in self.report.outcomes.values())

    @property
    def incomplete(self) -> int:
        """Sets that the node never had, for images lost on the way."""
        return min(len(self.report.sent_ns) - len(self.report.outcomes), sum(self.lost.values()))

    @property
    def unaccounted(self) -> int:
        """Sets of which nothing is known; there must be none."""
        return len(self.report.sent_ns) - len(self.report.outcomes) - self.incomplete

    def times_ms(self) -> dict[str, list[float]]:
        """By stage, of each processed set; `sent.` and the topic: until the message was sent."""
        found: dict[str, list[float]] = {}
        for values in self.report.outcomes.values():
            for key, value in values.items():
                if values["outcome"] == PROCESSED and key.endswith("_ms"):
                    found.setdefault(key.removesuffix("_ms"), []).append(float(value))
        return found


class BenchedNode(OccflowNode):
    """The node, which may have its results from the start in place of a network."""

    prediction: OccupancyFlow | None = None

    def configure(self) -> None:
        """Load the network, unless there is a prediction already."""
        if self.prediction is None:
            super().configure()
        else:
            self._stream = PreparedStream(self.prediction)
            self._outputs = Outputs(self, self._config)

    def received(self) -> dict[str, int]:
        """Images that came, by camera."""
        facts = self._session.cameras.facts()
        return {name: facts[f"images.{name}.received"] for name in self._config.node.cameras.names}


class PreparedStream:
    """Has the face of `OccupancyStream` and always the same result.

    Args:
        prediction: but for its stamp.
    """

    last_reset: str | None = None
    history_bytes = 0

    def __init__(self, prediction: OccupancyFlow) -> None:
        self._prediction = prediction
        self.timings_ms: dict[str, float] = {}

    def reset(self, reason: str) -> None:
        """There is no past."""

    def step(self, frame: Frame) -> OccupancyFlow:
        """The prediction at the frame's stamp."""
        return replace(self._prediction, stamp_ns=frame.stamp_ns)


class Bench:
    """The node in this process, and the way to the rig in another one."""

    def __init__(self, node: BenchedNode, rig: Connection) -> None:
        self._node, self._rig = node, rig

    def run(self, order: Order, times: CpuTimes | None = None) -> Run:
        """Warm up, then measure; raises OccflowError where the rig does not hear the node."""
        self._carry_out(replace(order, num_sets=WARM_UP_SETS))
        received, before_s = self._node.received(), times.now_s() if times else {}
        report = self._carry_out(order)
        after_s = times.now_s() if times else {}
        return Run(
            report=report,
            lost={
                name: order.num_sets - count + received[name]
                for name, count in self._node.received().items()
            },
            cpu_s={part: spent_s - before_s.get(part, 0.0) for part, spent_s in after_s.items()},
        )

    def _carry_out(self, order: Order) -> Report:
        self._rig.send(order)
        try:
            answer = self._rig.recv()
        except (EOFError, ConnectionError):
            raise OccflowError("bench node: the rig's process ended by itself") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def running(rig: Rig, options: Options, prediction: OccupancyFlow | None = None) -> Iterator[Bench]:
    """A node and the rig it serves."""
    _stay_on_this_machine()
    with _ros(rig, options), _rig_process(rig) as connection:
        node = BenchedNode()
        node.prediction = prediction
        node.start()
        with process.spinning(node, threading.Event()):
            yield Bench(node, connection)


def _stay_on_this_machine() -> None:
    """As `tools/env.sh` does, for both processes, where nothing else is set."""
    share = Path(get_package_share_directory("occflow_ros"))
    profiles = share / "config" / "fastdds.xml"
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(profiles))


@contextmanager
def _ros(rig: Rig, options: Options) -> Iterator[None]:
    """rclpy with the node's parameters."""
    with tempfile.TemporaryDirectory() as folder:
        preset = Path(folder) / "preset.yaml"
        preset.write_text(configuration.dump(options.config), encoding="utf-8")
        parameters = {
            "preset": preset,
            "device": options.device,
            "node.cameras.names": f"[{','.join(rig.calibrated())}]",
            "node.cameras.compressed": str(rig.compressed).lower(),
            "node.fixed_frame": "odom",
            "node.base_frame": "base_link",
        }
        settings = [
            part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")
        ]
        rclpy.init(
            args=[NODE_NAME, "--ros-args", "--log-level", "error", *settings],
            domain_id=rig.domain_id,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        try:
            yield
        finally:
            rclpy.try_shutdown()


@contextmanager
def _rig_process(rig: Rig) -> Iterator[Connection]:
    """The rig, started anew: a fork would share the middleware."""
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    child = context.Process(target=serve, args=(rig, its), name="rig", daemon=True)
    child.start()
    its.close()
    try:
        yield ours
    finally:
        ours.close()
        child.join(END_S)
        child.kill()  # where it still waits for a node that failed


def rows(name: str, run: Run) -> Iterator[Measurement]:
    """p50 and p99 by stage and message, and what became of the sets."""
    for stage, times_ms in run.times_ms().items():
        for quantity, value in zip(("p50", "p99"), np.percentile(times_ms, (50, 99))):
            yield Measurement(f"{name}, {stage}", float(value), "ms", quantity=quantity)
    counts = run.outcomes
    reasons = ", ".join(f"{r} {n}" for r, n in sorted(counts.items()) if r != PROCESSED)
    quantities = {
        "sent": len(run.report.sent_ns),
        PROCESSED: counts[PROCESSED],
        "dropped": counts.total() - counts[PROCESSED],
        "lost on the way": run.incomplete,
        "unaccounted": run.unaccounted,
    }
    for quantity, value in quantities.items():
        note = (
            reasons
            if quantity == "dropped"
            else _lost(run)
            if quantity == "lost on the way"
            else ""
        )
        yield Measurement(f"{name}, sets", value, "sets", quantity=quantity, note=note)
    rate_hz = counts[PROCESSED] / run.report.duration_s
    size = f"images of {run.report.image_bytes / 1e3:,.0f} kB"
    yield Measurement(f"{name}, results", rate_hz, "Hz", note=size)


def _lost(run: Run) -> str:
    lost = {name: count for name, count in run.lost.items() if count}
    return "images lost: " + ", ".join(f"{n} {c}" for n, c in lost.items()) if lost else ""


def cpu_rows(name: str, run: Run) -> Iterator[Measurement]:
    """Milliseconds a set by part, and the sum beyond the decoding of JPEG."""
    sets = run.outcomes[PROCESSED]
    if not sets:
        raise OccflowError(f"bench node: expected processed sets, got {dict(run.outcomes)}")
    by_part_ms = {THREADS.get(part, part): 1e3 * s / sets for part, s in run.cpu_s.items()}
    for part, value_ms in sorted(by_part_ms.items(), key=lambda item: -item[1]):
        yield Measurement(f"{name}, {part}", value_ms, "ms", quantity="a set")
    beyond_ms = sum(by_part_ms.values()) - by_part_ms[JPEG]
    note = f"aim {CPU_AIM_MS:g} ms; {sets} of {len(run.report.sent_ns)} sets processed"
    yield Measurement(f"{name}, all but {JPEG}", beyond_ms, "ms", quantity="a set", note=note)
