"""Numbers in rows under a title, for the console and for reports."""

from __future__ import annotations

import math
from dataclasses import dataclass

NOT_KNOWN = "-"


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


def number(value: float, digits: int = 3) -> str:
    """A number as a cell, NOT_KNOWN where it is NaN."""
    return NOT_KNOWN if math.isnan(value) else f"{value:.{digits}f}"


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


def as_markdown(table: Table) -> str:
    """A table for a Markdown page, under a heading."""
    columns = range(len(table.header))
    marks = ["---:" if table.holds_numbers(column) else "---" for column in columns]
    lines = [f"| {' | '.join(cells)} |" for cells in (table.header, marks, *table.rows)]
    body = "\n".join(lines)
    return "\n\n".join([f"## {table.title}", body, *([table.note] if table.note else [])])
