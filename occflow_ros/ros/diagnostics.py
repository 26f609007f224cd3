"""`/diagnostics`: the outcome of every set, a summary each second, and log lines to act on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from std_msgs.msg import Float32

from occflow_ros.ros.accounting import DROPPED, PROCESSED, Ledger, Outcome, Totals
from occflow_ros.ros.lifecycle import ManagedNode

FRAME_STATUS = ": frame"
SUMMARY_STATUS = ": summary"
SUMMARY_PERIOD_S = 1.0
LOG_PERIOD_S = 5.0
QUEUE_SIZE = 100
FLUSH_S = 1


@dataclass(frozen=True, slots=True)
class Health:
    """What the summary says beside the counts.

    Args:
        facts: what runs, and what it uses.
        problems: what an operator should look at, each a short sentence.
    """

    facts: Mapping[str, object]
    problems: tuple[str, ...]


class Diagnostics:
    """Publishes from the node's start to its end, in every state.

    Args:
        node: that publishes.
        health: asked for each summary, in the executor's thread.
    """

    def __init__(self, node: ManagedNode, health: Callable[[], Health]) -> None:
        self._node = node
        self._health = health
        self._ledger = Ledger()
        self._logged_s: dict[str, float] = {}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", QUEUE_SIZE)
        self._latency = node.create_publisher(Float32, "~/latency_ms", QUEUE_SIZE)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(SUMMARY_PERIOD_S, self.summarize, clock=steady)

    def record(self, outcome: Outcome) -> None:
        """Count and publish what became of a set; a drop is logged, a reset too."""
        self._ledger.record(outcome)
        self._publish(_frame_status(outcome, self._node.get_fully_qualified_name()))
        if outcome.rejection is None and self._latency.get_subscription_count():
            self._latency.publish(Float32(data=outcome.times_ms["total"]))
        logger = self._node.get_logger()
        if outcome.is_unusual and self._is_due(outcome.key):
            logger.warning(f"dropped a set: {outcome.rejection}")
        if outcome.reset and self._is_due("reset"):
            logger.info(f"history cleared: {outcome.reset}")

    def summarize(self) -> None:
        """Publish the counts and the node's health."""
        totals, health = self._ledger.totals(), self._health()
        counts = f"{totals.processed} sets processed, {sum(totals.dropped.values())} dropped"
        self._publish(
            DiagnosticStatus(
                level=self._level(health.problems),
                name=self._node.get_fully_qualified_name() + SUMMARY_STATUS,
                message="; ".join((*health.problems, counts)),
                values=_key_values({**health.facts, **_values_of(totals)}),
            )
        )

    def flush(self) -> None:
        """Wait until every subscriber has what was published, but not for long."""
        self._publisher.wait_for_all_acked(Duration(seconds=FLUSH_S))

    def _level(self, problems: Iterable[str]) -> bytes:
        if self._node.failure is not None:
            return DiagnosticStatus.ERROR
        return DiagnosticStatus.WARN if any(problems) else DiagnosticStatus.OK

    def _is_due(self, key: str) -> bool:
        """Whether a log line of this kind was not written lately."""
        now_s = time.monotonic()
        due = now_s - self._logged_s.get(key, -LOG_PERIOD_S) >= LOG_PERIOD_S
        if due:
            self._logged_s[key] = now_s
        return due

    def _publish(self, status: DiagnosticStatus) -> None:
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)


def _frame_status(outcome: Outcome, node_name: str) -> DiagnosticStatus:
    image_set = outcome.image_set
    return DiagnosticStatus(
        level=DiagnosticStatus.WARN if outcome.is_unusual else DiagnosticStatus.OK,
        name=node_name + FRAME_STATUS,
        message=str(outcome.rejection or PROCESSED),
        values=_key_values(
            {
                "stamp_ns": image_set.stamp_ns,
                "outcome": DROPPED if outcome.rejection else PROCESSED,
                "reason": outcome.rejection.reason if outcome.rejection else "",
                "cameras": len(image_set.images),
                "missing": " ".join(image_set.missing),
                "reset": outcome.reset or "",
                **{f"{stage}_ms": f"{ms:.3f}" for stage, ms in outcome.times_ms.items()},
            }
        ),
    )


def _values_of(totals: Totals) -> dict[str, object]:
    return {
        "rate_hz": f"{totals.rate_hz:.1f}",
        "age_s": "" if totals.age_s is None else f"{totals.age_s:.2f}",
        PROCESSED: totals.processed,
        DROPPED: sum(totals.dropped.values()),
        **{f"{DROPPED}.{reason}": count for reason, count in totals.dropped.items()},
        **{
            f"latency.{stage}.{quantity}_ms": f"{ms:.1f}"
            for stage, found_ms in totals.latency_ms.items()
            for quantity, ms in zip(("p50", "p99"), found_ms)
        },
    }


def _key_values(values: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in values.items()]
