"""What became of every camera set, and how long each stage took, as diagnostics."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from occflow_ros.ros.cameras import CameraInputs, ImageSet
from occflow_ros.ros.rejection import Reason, RejectedSetError

PROCESSED = "processed"
DROPPED = "dropped"
FRAME_STATUS = ": frame"
SUMMARY_STATUS = ": summary"
SUMMARY_PERIOD_S = 1.0
LOG_PERIOD_S = 5.0
QUEUE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one set.

    Args:
        image_set: the set.
        rejection: why it was dropped; None where it was processed.
        reset: why the history was cleared with it, where it was.
        times_ms: by stage.
    """

    image_set: ImageSet
    rejection: RejectedSetError | None
    reset: str | None
    times_ms: Mapping[str, float]

    def status(self, node_name: str) -> DiagnosticStatus:
        """The `frame` status of this set."""
        unusual = self.rejection is not None and self.rejection.reason != Reason.NO_SUBSCRIBERS
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if unusual else DiagnosticStatus.OK,
            name=node_name + FRAME_STATUS,
            message=str(self.rejection or PROCESSED),
            values=_key_values(
                {
                    "stamp_ns": self.image_set.stamp_ns,
                    "outcome": DROPPED if self.rejection else PROCESSED,
                    "reason": self.rejection.reason if self.rejection else "",
                    "cameras": len(self.image_set.images),
                    "reset": self.reset or "",
                    **{f"{stage}_ms": f"{ms:.3f}" for stage, ms in self.times_ms.items()},
                }
            ),
        )


class Accounting:
    """Publishes the outcome of every set as it is known, and a summary each second.

    Args:
        node: that publishes on `/diagnostics`.
        cameras: whose images are counted.
        facts: further values of the summary, for example where the weights come from.
    """

    def __init__(self, node: Node, cameras: CameraInputs, facts: Mapping[str, str]) -> None:
        self._node = node
        self._cameras = cameras
        self._facts = dict(facts)
        self._lock = threading.Lock()
        self._outcomes: Counter[str] = Counter()
        self._last_processed = 0
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", QUEUE_SIZE)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(SUMMARY_PERIOD_S, self._summarise, clock=steady)

    def record(self, outcome: Outcome) -> None:
        """Count and publish what became of a set; a drop is logged, a reset too."""
        key = outcome.rejection.reason if outcome.rejection else PROCESSED
        with self._lock:
            self._outcomes[key] += 1
        self._publish(outcome.status(self._node.get_fully_qualified_name()))
        logger = self._node.get_logger()
        if outcome.rejection and outcome.rejection.reason != Reason.NO_SUBSCRIBERS:
            logger.warning(
                f"dropped a set: {outcome.rejection}", throttle_duration_sec=LOG_PERIOD_S
            )
        if outcome.reset:
            logger.info(f"history cleared: {outcome.reset}", throttle_duration_sec=LOG_PERIOD_S)

    def _summarise(self) -> None:
        with self._lock:
            outcomes = dict(self._outcomes)
            processed = outcomes.get(PROCESSED, 0)
            rate_hz = (processed - self._last_processed) / SUMMARY_PERIOD_S
            self._last_processed = processed
        dropped = {key: count for key, count in outcomes.items() if key != PROCESSED}
        values = {
            **self._facts,
            "rate_hz": f"{rate_hz:.1f}",
            PROCESSED: processed,
            DROPPED: sum(dropped.values()),
            **{f"{DROPPED}.{reason}": count for reason, count in sorted(dropped.items())},
        }
        for name, (received, used) in self._cameras.counts.items():
            values[f"images.{name}.received"] = received
            values[f"images.{name}.used"] = used
        self._publish(
            DiagnosticStatus(
                level=DiagnosticStatus.OK,
                name=self._node.get_fully_qualified_name() + SUMMARY_STATUS,
                message=f"{processed} sets processed, {sum(dropped.values())} dropped",
                values=_key_values(values),
            )
        )

    def _publish(self, status: DiagnosticStatus) -> None:
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)


def _key_values(values: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in values.items()]
