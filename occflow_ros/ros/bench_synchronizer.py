"""Cost of matching the images of a rig, beside `message_filters.ApproximateTimeSynchronizer`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from message_filters import ApproximateTimeSynchronizer, SimpleFilter
from std_msgs.msg import Header

from occflow_ros.measurement import Measurement, Options
from occflow_ros.node_config import CameraTopicConfig
from occflow_ros.ros.stamps import NS_PER_S, header_message, stamp_ns
from occflow_ros.ros.synchronizer import MatchedSet, RigSynchronizer

RIGS = (6, 12)
RATE_HZ = 30.0
JITTER_S = 0.004
DROPS = 0.05
LATENCY_S = (0.005, 0.030)
TOLERANCE_S = 0.015
QUEUE_SIZE = CameraTopicConfig().queue_size
NUM_FRAMES = 300
START_S = 1000.0

Images = tuple["StampedMessage | None", ...]


@dataclass(frozen=True, slots=True)
class StampedMessage:
    """As much of an image as a synchronizer looks at."""

    header: Header


@dataclass(frozen=True, slots=True)
class Run:
    """One synchronizer over one stream.

    Args:
        cpu_s: of the thread.
        sets: images that were called back with, reference first.
    """

    cpu_s: float
    sets: list[Images]

    @property
    def num_valid(self) -> int:
        """Sets with every image within the tolerance of the reference's."""
        return sum(map(_is_valid, self.sets))

    @property
    def us_per_set(self) -> float:
        """CPU time for each valid set."""
        return self.cpu_s * 1e6 / max(self.num_valid, 1)


def measure(options: Options) -> Iterator[Measurement]:
    """CPU time for each set, and sets; both synchronizers in turn over the same streams."""
    for num_cameras in RIGS:
        events = stream(num_cameras, NUM_FRAMES)
        rig, rival = _best_of(options.repeat, num_cameras, events)
        ratio = rival.us_per_set / rig.us_per_set
        streams = f"{JITTER_S * 1e3:.0f} ms jitter, {DROPS:.0%} lost"
        name = f"synchronizer.{num_cameras} cameras at {RATE_HZ:.0f} Hz"
        for suffix, run, note in (
            ("", rig, f"{ratio:.1f} times cheaper; {streams}"),
            (", approximate", rival, ApproximateTimeSynchronizer.__module__),
        ):
            for quantity, value, unit in (
                ("CPU/set", run.us_per_set, "us"),
                ("sets", len(run.sets), "1"),
                ("valid", run.num_valid, "1"),
            ):
                yield Measurement(
                    name=name + suffix,
                    value=value,
                    unit=unit,
                    note=note if quantity == "valid" else "",
                    quantity=quantity,
                )


def stream(num_cameras: int, num_frames: int) -> list[tuple[int, StampedMessage]]:
    """Camera and message, in the order of arrival: jittered stamps, random delays, some lost."""
    rng = np.random.default_rng(0)
    shape = (num_frames, num_cameras)
    triggers_s = START_S + np.arange(num_frames)[:, None] / RATE_HZ  # (num_frames, 1)
    stamps_s = triggers_s + rng.normal(0.0, JITTER_S, shape)
    arrivals_s = stamps_s + rng.uniform(*LATENCY_S, shape)
    kept = np.flatnonzero(rng.random(shape) >= DROPS)
    order = kept[np.argsort(arrivals_s.flat[kept])]
    return [
        (
            int(index % num_cameras),
            StampedMessage(header_message(round(stamps_s.flat[index] * NS_PER_S), "")),
        )
        for index in order
    ]


def run_rig(num_cameras: int, events: Sequence[tuple[int, StampedMessage]]) -> Run:
    """Ours, for whole sets."""
    inputs = {f"camera_{index}": SimpleFilter() for index in range(num_cameras)}
    synchronizer = RigSynchronizer(
        inputs,
        reference="camera_0",
        tolerance_s=dict.fromkeys(inputs, TOLERANCE_S),
        offset_s=dict.fromkeys(inputs, 0.0),
        grid_hz=0.0,
        min_cameras=0,
        max_wait_s=0.0,
        queue_size=QUEUE_SIZE,
    )
    sets: list[Images] = []

    def on_set(matched: MatchedSet) -> None:
        sets.append(matched.messages)

    return _run(synchronizer, on_set, [*inputs.values()], events, sets)


def run_approximate_time(num_cameras: int, events: Sequence[tuple[int, StampedMessage]]) -> Run:
    """That of message_filters with the same tolerance and queues."""
    inputs = [SimpleFilter() for _ in range(num_cameras)]
    sets: list[Images] = []

    def on_set(*messages: StampedMessage) -> None:
        sets.append(messages)

    rival = ApproximateTimeSynchronizer(inputs, QUEUE_SIZE, TOLERANCE_S)
    return _run(rival, on_set, inputs, events, sets)


def _run(
    synchronizer: SimpleFilter,
    on_set: Callable[..., Any],
    inputs: Sequence[SimpleFilter],
    events: Sequence[tuple[int, StampedMessage]],
    sets: list[Images],
) -> Run:
    synchronizer.registerCallback(on_set)
    start_s = time.thread_time()
    for camera, message in events:
        inputs[camera].signalMessage(message)
    return Run(time.thread_time() - start_s, sets)


def _best_of(
    repeat: int, num_cameras: int, events: Sequence[tuple[int, StampedMessage]]
) -> tuple[Run, Run]:
    """The fastest run of each, which other load disturbs least."""
    pairs = [
        (run_rig(num_cameras, events), run_approximate_time(num_cameras, events))
        for _ in range(repeat)
    ]
    rigs, rivals = zip(*pairs)
    return min(rigs, key=lambda run: run.cpu_s), min(rivals, key=lambda run: run.cpu_s)


def _is_valid(images: Images) -> bool:
    stamps_ns = [stamp_ns(image.header) for image in images if image is not None]
    farthest_ns = max(abs(image_ns - stamps_ns[0]) for image_ns in stamps_ns)
    return len(stamps_ns) == len(images) and farthest_ns <= TOLERANCE_S * NS_PER_S
