"""The numbers of a run, and the tables in which the console and the report show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from occflow_ros.demo.accounting import Drops, StageLatency
from occflow_ros.metrics.accuracy import Accuracy
from occflow_ros.metrics.accuracy_table import accuracy_numbers, accuracy_table
from occflow_ros.table import Table

UNTRAINED = "untrained: random weights, so the accuracy says nothing about the method"


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in numbers.

    Args:
        drive: name of the drive.
        source: what was asked for.
        licence: of the data.
        weights: file of the weights, None where they are random.
        semantics: file of the semantic network's weights, None where it did not run.
        device: torch device of the node.
        rate: replay speed over real time.
        sent: camera sets sent.
        processed: sets with a prediction in the bag.
        dropped: the other sets by reason.
        resets: why the history was cleared before processed sets, in time order.
        latencies: by stage.
        accuracy: over the sets that could be compared, None where none could.
        messages: recorded messages by topic.
    """

    drive: str
    source: str
    licence: str
    weights: str | None
    semantics: str | None
    device: str
    rate: float
    sent: int
    processed: int
    dropped: Sequence[Drops]
    resets: Sequence[str]
    latencies: Sequence[StageLatency]
    accuracy: Accuracy | None
    messages: Mapping[str, int]

    def __post_init__(self) -> None:
        counted = self.processed + sum(drops.count for drops in self.dropped)
        if counted != self.sent:
            raise ValueError(f"expected all {self.sent} sent sets accounted for, got {counted}")

    @property
    def weights_text(self) -> str:
        """The weights in words; says where they are untrained."""
        return self.weights or UNTRAINED

    @property
    def semantics_text(self) -> str:
        """The weights of the semantic network in words."""
        return self.semantics or "none: the run has no classes"

    def tables(self) -> tuple[Table, ...]:
        """Everything that console and report show as tables."""
        return self.sets_table(), self.latency_table(), self.accuracy_table()

    def sets_table(self) -> Table:
        """What became of every set that was sent."""
        rows = [("sent", str(self.sent), ""), ("processed", str(self.processed), "")]
        rows += [(f"dropped: {d.reason}", str(d.count), d.detail) for d in self.dropped]
        rows += [("dropped", "0", "")] * (not self.dropped)
        return Table(
            "Camera sets",
            ("outcome", "sets", "what was said first"),
            tuple(rows),
            self._resets_note(),
        )

    def _resets_note(self) -> str:
        if not self.resets:
            return "The history was never cleared."
        sets = "1 processed set" if len(self.resets) == 1 else f"{len(self.resets)} processed sets"
        return f"The history was cleared before {sets}, first because of: {self.resets[0]}."

    def latency_table(self) -> Table:
        """p50 and p99 of each stage."""
        rows = tuple(
            (entry.stage, f"{entry.p50_ms:.1f}", f"{entry.p99_ms:.1f}") for entry in self.latencies
        )
        header = ("stage", "p50 ms", "p99 ms")
        return Table("Latency", header, rows, f"Device: {self.device}.", numbers=2)

    def accuracy_table(self) -> Table:
        """Prediction beside the trivial answers."""
        return accuracy_table(self.accuracy)

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the derived numbers beside the counts; NaN becomes None."""
        values = asdict(self)
        if self.accuracy is not None:
            derived = accuracy_numbers(self.accuracy)
            values["accuracy"] |= {
                name: None if math.isnan(value) else value for name, value in derived.items()
            }
        return values
