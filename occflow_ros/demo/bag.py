"""What the node said during a run, read from the recorded bag with `rosbags` alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import ReaderError

from occflow_ros.data.scene import VoxelScene
from occflow_ros.errors import DataError
from occflow_ros.structures import VoxelGrid

PREDICTION_TYPE = "occflow_ros/msg/OccupancyFlow"
DIAGNOSTICS_TYPE = "diagnostic_msgs/msg/DiagnosticArray"
PROCESSED = "processed"
_FRAME_STATUS = ": frame"
_STAGE_SUFFIX = "_ms"


@dataclass(frozen=True, slots=True)
class SetReport:
    """The node's word on one camera set.

    Args:
        stamp_ns: reference time of the set.
        outcome: `processed`, or what became of it instead.
        reason: why it was not processed, in one word, empty where it was.
        detail: the same in full.
        reset: why the history was cleared before it, empty where it was not.
        stages_ms: time spent by stage.
    """

    stamp_ns: int
    outcome: str
    reason: str = ""
    detail: str = ""
    reset: str = ""
    stages_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BagContents:
    """A recorded run.

    Args:
        predictions: by reference time in nanoseconds.
        reports: in the order in which the node gave them.
        messages: number of messages by topic.
        duration_s: between the first and the last message.
    """

    predictions: Mapping[int, VoxelScene]
    reports: tuple[SetReport, ...]
    messages: Mapping[str, int]
    duration_s: float


def read_bag(path: Path) -> BagContents:
    """Read predictions and per-set diagnostics; message definitions come from the bag itself.

    Raises:
        DataError: where the bag is missing or cannot be read.
    """
    predictions: dict[int, VoxelScene] = {}
    reports: list[SetReport] = []
    try:
        with AnyReader([path]) as reader:
            for connection, _, data in reader.messages():
                if connection.msgtype == PREDICTION_TYPE:
                    message: Any = reader.deserialize(data, connection.msgtype)
                    predictions[stamp_ns(message.header)] = scene_of(message)
                elif connection.msgtype == DIAGNOSTICS_TYPE:
                    message = reader.deserialize(data, connection.msgtype)
                    reports += [_report(s) for s in message.status if _is_frame(s)]
            messages = {topic: info.msgcount for topic, info in reader.topics.items()}
            duration_s = reader.duration * 1e-9
    except (AnyReaderError, ReaderError, OSError) as error:
        raise DataError(f"{path}: expected a readable rosbag2 folder: {error}") from None
    return BagContents(predictions, tuple(reports), messages, duration_s)


def scene_of(message: Any) -> VoxelScene:
    """A decoded `OccupancyFlow` message as dense volumes; unknown velocities become zero."""
    shape = tuple(int(count) for count in message.shape)
    lower = np.array((message.origin.x, message.origin.y, message.origin.z))
    size = np.array((message.voxel_size.x, message.voxel_size.y, message.voxel_size.z))
    grid = VoxelGrid(_three(lower), _three(lower + size * shape), (shape[0], shape[1], shape[2]))
    occupied = np.zeros(grid.num_voxels, dtype=bool)
    occupied[message.index] = True
    velocity = np.zeros((grid.num_voxels, 2), dtype=np.float32)
    raw = np.stack((message.velocity_x, message.velocity_y), axis=-1)  # (M, 2)
    known = raw != message.VELOCITY_UNKNOWN
    velocity[message.index] = np.where(known, raw * np.float32(message.VELOCITY_SCALE), 0.0)
    return VoxelScene(grid, occupied.reshape(shape), velocity.reshape(*shape, 2))


def stamp_ns(header: Any) -> int:
    """Nanoseconds of a decoded `std_msgs/Header`."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def _is_frame(status: Any) -> bool:
    return bool(status.name.endswith(_FRAME_STATUS))


def _report(status: Any) -> SetReport:
    values = {item.key: item.value for item in status.values}
    return SetReport(
        stamp_ns=int(values["stamp_ns"]),
        outcome=values["outcome"],
        reason=values.get("reason", ""),
        detail=status.message,
        reset=values.get("reset", ""),
        stages_ms={
            key.removesuffix(_STAGE_SUFFIX): float(value)
            for key, value in values.items()
            if key.endswith(_STAGE_SUFFIX)
        },
    )


def _three(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
