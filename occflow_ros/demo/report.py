"""The run as one HTML file that opens offline: everything is embedded."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from occflow_ros.demo.accounting import SetOutcome
from occflow_ros.demo.report_style import STYLE
from occflow_ros.demo.summary import Summary
from occflow_ros.output import write_text
from occflow_ros.table import NOT_KNOWN, Table

_MIME = {".webp": "image/webp", ".png": "image/png", ".jpg": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file and what it shows."""

    path: Path
    caption: str


def write_report(
    path: Path,
    summary: Summary,
    outcomes: Sequence[SetOutcome],
    animation: Picture | None,
    pictures: Sequence[Picture],
    config_yaml: str,
    viewer: Path | None = None,
) -> None:
    """Write the report.

    Args:
        path: the HTML file.
        summary: the numbers.
        outcomes: every sent set, in time order.
        animation: all pictures in a row, None where there is none.
        pictures: the chosen stills.
        config_yaml: the resolved configuration.
        viewer: the run's page in 3D, in the same folder; None where there is none.
    """
    body = "\n".join(
        (
            _header(summary),
            _cards(summary),
            _viewer_link(viewer) if viewer else "",
            _figure(animation) if animation else "",
            _sets(summary, outcomes),
            _latency(summary),
            _section(summary.accuracy_table()),
            _pictures(pictures),
            _recorded(summary),
            _configuration(config_yaml),
        )
    )
    write_text(
        path,
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(summary.drive)}: occupancy and flow</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n",
    )


def _header(summary: Summary) -> str:
    facts = [f"source {summary.source}", f"speed ×{summary.rate:g}", f"device {summary.device}"]
    if summary.licence:
        facts.append(f"data: {summary.licence}")
    untrained = "" if summary.weights else ' class="warning"'
    return (
        f"<header><p class=kicker>occflow demo</p><h1>{escape(summary.drive)}</h1>"
        f"<p class=facts>{escape(' · '.join(facts))}</p>"
        f"<p{untrained}><strong>Weights</strong> {escape(summary.weights_text)}</p>"
        f"<p><strong>Semantics</strong> {escape(summary.semantics_text)}</p></header>"
    )


def _cards(summary: Summary) -> str:
    total = summary.latencies[-1] if summary.latencies else None
    cards = [
        (f"{summary.processed} / {summary.sent}", "camera sets processed / sent"),
        (str(summary.sent - summary.processed), "dropped, each with a reason"),
    ]
    if total is not None:
        cards.append((f"{total.p50_ms:.0f} ms", f"{total.stage}, p50 (p99 {total.p99_ms:.0f} ms)"))
    cards += [(row[1], f"{row[0]} ({row[3]} {row[2]})") for row in _headlines(summary)]
    inner = "".join(
        f"<div class=card><b>{escape(value)}</b><span>{escape(label)}</span></div>"
        for value, label in cards
    )
    return f"<div class=cards>{inner}</div>"


def _viewer_link(viewer: Path) -> str:
    return (
        f'<p><a href="{escape(viewer.name)}">Open the recorded run in 3D</a>: occupancy, flow and '
        "cameras over time, in any browser with WebGL2.</p>"
    )


def _headlines(summary: Summary) -> list[tuple[str, ...]]:
    rows = summary.accuracy_table().rows
    chosen = [row for row in rows if row[0].startswith(("occupied IoU", "velocity error"))]
    return [row for row in chosen if row[1] != NOT_KNOWN]


def _sets(summary: Summary, outcomes: Sequence[SetOutcome]) -> str:
    first_ns = outcomes[0].camera_set.stamp_ns if outcomes else 0
    cells = "".join(
        f'<i class="{"ok" if outcome.processed else "lost"}" title="'
        f"{(outcome.camera_set.stamp_ns - first_ns) * 1e-9:.2f} s: "
        f'{escape(outcome.detail or "processed")}"></i>'
        for outcome in outcomes
    )
    return _section(summary.sets_table(), f"<div class=strip>{cells}</div>")


def _latency(summary: Summary) -> str:
    longest = max((entry.p99_ms for entry in summary.latencies), default=1.0)
    bars = [
        f'<div class=bar><i class=p99 style="width:{100 * entry.p99_ms / longest:.1f}%"></i>'
        f'<i class=p50 style="width:{100 * entry.p50_ms / longest:.1f}%"></i></div>'
        for entry in summary.latencies
    ]
    return _section(summary.latency_table(), bars=bars)


def _section(table: Table, extra: str = "", bars: Sequence[str] = ()) -> str:
    head = _row(table, table.header, "th", "<th></th>" * bool(bars))
    ends = [f"<td class=wide>{bar}</td>" for bar in bars] or [""] * len(table.rows)
    body = "".join(_row(table, row, "td", end) for row, end in zip(table.rows, ends))
    grid = f"<table><thead>{head}</thead><tbody>{body}</tbody></table>" if table.rows else ""
    note = f"<p class=note>{escape(table.note)}</p>" if table.note else ""
    return f"<section><h2>{escape(table.title)}</h2>{extra}{grid}{note}</section>"


def _row(table: Table, row: Sequence[str], tag: str, end: str) -> str:
    cells = "".join(
        f"<{tag}{' class=number' * table.holds_numbers(column)}>{escape(cell)}</{tag}>"
        for column, cell in enumerate(row)
    )
    return f"<tr>{cells}{end}</tr>"


def _pictures(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return ""
    return f"<section><h2>Pictures</h2>{''.join(_figure(p) for p in pictures)}</section>"


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.path.read_bytes()).decode()
    source = f"data:{_MIME[picture.path.suffix]};base64,{data}"
    caption = escape(picture.caption)
    return (
        f'<figure><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )


def _recorded(summary: Summary) -> str:
    rows = tuple((topic, str(count)) for topic, count in sorted(summary.messages.items()))
    return _section(Table("What was recorded", ("topic", "messages"), rows))


def _configuration(config_yaml: str) -> str:
    return (
        "<details><summary>Resolved configuration</summary>"
        f"<pre>{escape(config_yaml)}</pre></details>"
    )
