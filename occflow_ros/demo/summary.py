"""The numbers of a run, and the tables in which the console and the report show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from occflow_ros.demo.accounting import Drops, StageLatency
from occflow_ros.demo.accuracy import Accuracy

NOT_KNOWN = "-"
UNTRAINED = "untrained: random weights, so the accuracy says nothing about the method"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title.

    Args:
        title: of the table.
        header: name of each column.
        rows: cells as they are shown.
        note: below the table.
        numbers: how many columns after the first hold numbers; the others hold words.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    numbers: int = 1

    def holds_numbers(self, column: int) -> bool:
        """Whether the cells of a column are to be aligned as numbers."""
        return 1 <= column <= self.numbers


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in numbers.

    Args:
        drive: name of the drive.
        source: what was asked for.
        licence: of the data.
        weights: file of the weights, None where they are random.
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
        header = ("measure", "prediction", "trivial answer", "which is")
        if self.accuracy is None:
            return Table("Accuracy", header, (), "There is no ground truth in this source.")
        against_lidar = self.accuracy.against == "lidar"
        rows = _lidar_rows if against_lidar else _truth_rows
        note = _LIDAR_NOTE if against_lidar else _TRUTH_NOTE
        sets = "1 set" if self.accuracy.sets == 1 else f"{self.accuracy.sets} sets"
        return Table("Accuracy", header, rows(self.accuracy), note.format(sets=sets), numbers=2)

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the derived numbers beside the counts; NaN becomes None."""
        values = asdict(self)
        if self.accuracy is not None:
            values["accuracy"] |= _derived(self.accuracy)
        return values


_TRUTH_NOTE = "Over {sets}, against the exact occupancy of the voxels that a camera sees."
_LIDAR_NOTE = (
    "Over {sets}, against voxels that hold LiDAR points: this source has no occupancy truth. "
    "A voxel without points may still be occupied, so precision and IoU are lower bounds."
)


def _truth_rows(accuracy: Accuracy) -> tuple[tuple[str, ...], ...]:
    made_up = (
        "speed made up on standing voxels, m/s",
        _number(accuracy.standing.mean_mps, 2),
        _number(0.0 if accuracy.standing.voxels else math.nan, 2),
        "everything stands",
    )
    return *_occupancy_rows(accuracy), _velocity_row(accuracy), made_up


def _lidar_rows(accuracy: Accuracy) -> tuple[tuple[str, ...], ...]:
    return *_occupancy_rows(accuracy), _velocity_row(accuracy)


def _velocity_row(accuracy: Accuracy) -> tuple[str, ...]:
    return (
        "velocity error of moving voxels that were found, m/s",
        _number(accuracy.velocity.mean_mps, 2),
        _number(accuracy.zero_velocity.mean_mps, 2),
        "everything stands",
    )


def _occupancy_rows(accuracy: Accuracy) -> tuple[tuple[str, ...], ...]:
    predicted, trivial = accuracy.occupancy, accuracy.flat_ground
    return (
        ("occupied IoU", _number(predicted.iou), _number(trivial.iou), "flat ground"),
        ("precision", _number(predicted.precision), _number(trivial.precision), "flat ground"),
        ("recall", _number(predicted.recall), _number(trivial.recall), "flat ground"),
    )


def _number(value: float, digits: int = 3) -> str:
    return NOT_KNOWN if math.isnan(value) else f"{value:.{digits}f}"


def _derived(accuracy: Accuracy) -> dict[str, float | None]:
    values = {
        "iou": accuracy.occupancy.iou,
        "precision": accuracy.occupancy.precision,
        "recall": accuracy.occupancy.recall,
        "flat_ground_iou": accuracy.flat_ground.iou,
        "velocity_error_mps": accuracy.velocity.mean_mps,
        "zero_velocity_error_mps": accuracy.zero_velocity.mean_mps,
        "standing_speed_mps": accuracy.standing.mean_mps,
    }
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def as_text(table: Table) -> str:
    """A table for the console."""
    rows = [table.header, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.header))]
    lines = [table.title]
    for row in table.rows and rows:
        cells = [
            cell.rjust(width) if table.holds_numbers(column) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  " + "   ".join(cells).rstrip())
    return "\n".join([*lines, *([f"  {table.note}"] if table.note else [])])
