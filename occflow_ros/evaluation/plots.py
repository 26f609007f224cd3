"""How the key number of a protocol runs over the sets, and how its values spread."""

from __future__ import annotations

import importlib.util
import io
from itertools import groupby
from pathlib import Path
from typing import Any

from occflow_ros.evaluation.protocol import Protocol
from occflow_ros.evaluation.records import having
from occflow_ros.evaluation.run import Outcome
from occflow_ros.output import write_bytes

MISSING = "no plots without matplotlib: pip install 'occflow_ros[plots]'"

_BINS = 20


def can_plot() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def draw_plots(out: Path, protocol: Protocol[Any], outcome: Outcome) -> list[Path]:
    """Draw `plots/<number>.png`; nothing without matplotlib, or where no set has the number.

    Args:
        out: folder of the evaluation.
        protocol: of the evaluation.
        outcome: of it.

    Returns:
        what was written.

    Raises:
        OutputError: where it cannot be written.
    """
    key = protocol.key
    known = having(outcome.records, key.name)
    if not known or not can_plot():
        return []
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    over_sets, spread = figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)
    for drive, records in groupby(known, key=lambda record: record.drive):
        of_drive = list(records)
        over_sets.plot(
            [record.index for record in of_drive],
            [record.numbers[key.name] for record in of_drive],
            marker="o",
            markersize=3,
            linewidth=1,
            label=drive,
        )
    over_sets.set(xlabel="set of the drive", ylabel=key.label)
    over_sets.grid(alpha=0.3)
    if len({record.drive for record in known}) <= 8:
        over_sets.legend(fontsize="small")
    spread.hist([record.numbers[key.name] for record in known], _BINS, orientation="horizontal")
    spread.set(xlabel="sets")
    file = io.BytesIO()
    figure.savefig(file, dpi=120)
    path = out / "plots" / f"{key.name}.png"
    path.parent.mkdir(exist_ok=True)
    write_bytes(path, file.getvalue())
    return [path]
