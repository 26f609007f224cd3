"""An evaluation written down: tables to read, numbers as JSON and CSV, plots."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from occflow_ros.evaluation.plots import draw_plots
from occflow_ros.evaluation.protocol import Protocol
from occflow_ros.evaluation.records import Record, or_none
from occflow_ros.evaluation.run import THIS, Outcome
from occflow_ros.evaluation.trivial import trivial_classes_table, trivial_table
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.output import write_text
from occflow_ros.table import Table, as_markdown, as_text

JSON = "evaluation.json"
CSV = "sets.csv"
MARKDOWN = "evaluation.md"

_MOST_NAMES = 10


def as_console(protocol: Protocol[Any], outcome: Outcome) -> str:
    """All tables, what has no number and why."""
    tables = [as_text(table) for table in _tables(protocol, outcome)]
    return "\n\n".join([*tables, *_remarks(protocol, outcome)])


def write_report(out: Path, protocol: Protocol[Any], outcome: Outcome) -> list[Path]:
    """Write all files of the report but the gallery.

    Args:
        out: folder of the evaluation.
        protocol: of the evaluation.
        outcome: of it.

    Returns:
        what was written.

    Raises:
        OutputError: where a file cannot be written.
    """
    tables = _tables(protocol, outcome)
    texts = {
        JSON: _json(protocol, outcome),
        CSV: _csv(outcome.records),
        MARKDOWN: _markdown(tables, _remarks(protocol, outcome), outcome),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return [*(out / name for name in texts), *draw_plots(out, protocol, outcome)]


def _tables(protocol: Protocol[Any], outcome: Outcome) -> tuple[Table, ...]:
    """Those of the protocol, and what trivial answers are worth."""
    tables = protocol.tables(outcome.total)
    if outcome.beside:
        tables = (*protocol.comparison(outcome.beside), *tables)
    totals = ((THIS, outcome.total), *outcome.trivial)
    counts = [(name, protocol.classes(total)) for name, total in totals]
    rows = [(name, found) for name, found in counts if found is not None]
    if not outcome.trivial or not rows:
        return tables
    return (*tables, trivial_table(rows), trivial_classes_table(rows))


def _json(protocol: Protocol[Any], outcome: Outcome) -> str:
    """Numbers, and the counts behind them; null where a number is not known."""
    content = {
        "evaluated": outcome.described,
        "sets": len(outcome.records),
        "sets_without_prediction": outcome.missing,
        "numbers": _known(protocol, outcome.total),
        "reasons": protocol.reasons(outcome.total),
        "counts": outcome.total.to_dict(),
    }
    if outcome.trivial:
        content["trivial_answers"] = {
            name: _known(protocol, total) for name, total in outcome.trivial
        }
    if outcome.beside:
        content["beside"] = {name: _known(protocol, total) for name, total in outcome.beside}
    return json.dumps(content, indent=2) + "\n"


def _known(protocol: Protocol[Any], total: Accumulator) -> dict[str, float | None]:
    return {name: or_none(value) for name, value in protocol.numbers(total).items()}


def _csv(records: Sequence[Record]) -> str:
    """One row for each set, empty where a number is not known."""
    names = list(dict.fromkeys(name for record in records for name in record.numbers))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["drive", "set", "stamp_ns", *names])
    for record in records:
        values = [record.numbers.get(name, math.nan) for name in names]
        cells = ["" if math.isnan(value) else repr(value) for value in values]
        writer.writerow([record.drive, record.index, record.stamp_ns, *cells])
    return text.getvalue()


def _markdown(tables: Sequence[Table], remarks: Sequence[str], outcome: Outcome) -> str:
    facts = {key: value for key, value in outcome.described.items() if key != "model"}
    lines = [f"- {key}: {value}" for key, value in facts.items() if value]
    parts = ["# Evaluation", "\n".join(lines), *map(as_markdown, tables), *remarks]
    return "\n\n".join(parts) + "\n"


def _remarks(protocol: Protocol[Any], outcome: Outcome) -> list[str]:
    remarks = []
    if outcome.missing:
        remarks.append(
            f"{len(outcome.missing)} of {len(outcome.records)} sets have no prediction and count "
            f"nowhere: {_named(outcome.missing)}."
        )
    by_reason: dict[str, list[str]] = {}
    for name, reason in protocol.reasons(outcome.total).items():
        by_reason.setdefault(reason, []).append(name)
    remarks += [f"No number for {', '.join(names)}: {why}." for why, names in by_reason.items()]
    return remarks


def _named(sets: Sequence[tuple[str, int]]) -> str:
    """The first ones; JSON has them all."""
    names = [f"{drive} {index}" for drive, index in sets[:_MOST_NAMES]]
    return ", ".join([*names, "…"] if len(sets) > _MOST_NAMES else names)
