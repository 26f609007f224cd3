"""What the node said during a run, read from the recorded bag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from occflow_ros.data.recorded_predictions import (
    PREDICTION_TYPE,
    ClassLegends,
    open_bag,
    scene_of,
    stamp_ns,
)
from occflow_ros.data.scene import VoxelScene

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
    with open_bag(path) as reader:
        legends = ClassLegends(reader)
        for connection, _, data in reader.messages():
            if connection.msgtype == PREDICTION_TYPE:
                message: Any = reader.deserialize(data, connection.msgtype)
                predictions[stamp_ns(message.header)] = scene_of(
                    message, legends.of(connection.topic)
                )
            elif connection.msgtype == DIAGNOSTICS_TYPE:
                message = reader.deserialize(data, connection.msgtype)
                reports += [_report(s) for s in message.status if _is_frame(s)]
        messages = {topic: info.msgcount for topic, info in reader.topics.items()}
        duration_s = reader.duration * 1e-9
    return BagContents(predictions, tuple(reports), messages, duration_s)


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
