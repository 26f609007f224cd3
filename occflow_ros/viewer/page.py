"""The page: HTML, style, scripts and the run's data in one file."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from occflow_ros.data.scene import MOVING_MPS
from occflow_ros.output import write_text
from occflow_ros.structures import UNKNOWN_CLASS_ID
from occflow_ros.viewer.ramps import ramps
from occflow_ros.viewer.recorded_run import RecordedRun, RecordedSet
from occflow_ros.viz.palette import FASTEST_MPS, UNKNOWN_CLASS

SCRIPTS = ("matrix.js", "decode.js", "orbit.js", "scene.js", "legend.js", "page.js")
DATA_ID = "occflow-data"


def write_page(path: Path, run: RecordedRun, title: str) -> None:
    """Write the page; raises OutputError where it cannot be written."""
    write_text(path, page_html(run, title))


def page_html(run: RecordedRun, title: str) -> str:
    """The page as text; it needs no other file and no network."""
    data = json.dumps(page_data(run), separators=(",", ":")).replace("<", "\\u003c")
    return _filled(
        _part("page.html"),
        {
            "title": escape(title),
            "style": _part("page.css"),
            "data": data,
            "script": "\n".join(_part(name) for name in SCRIPTS),
        },
    )


def page_data(run: RecordedRun) -> dict[str, Any]:
    """What the scripts read, as plain values; binary data in base64."""
    first_ns = run.sets[0].stamp_ns
    names = run.class_names or _numbered(run.sets)
    return {
        "recorded": run.recorded,
        "base_frame": run.base_frame,
        "fixed_frame": run.fixed_frame,
        "origin_m": list(run.grid.lower_m),
        "voxel_size_m": list(run.grid.voxel_size_m),
        "shape": list(run.grid.shape),
        "probability_scale": run.probability_scale,
        "velocity_scale_mps": run.velocity_scale_mps,
        "velocity_unknown": run.velocity_unknown,
        "moving_mps": MOVING_MPS,
        "max_speed_mps": FASTEST_MPS,
        "class_names": [name.replace("_", " ") for name in names],
        "ramps": {name: _base64(colors.tobytes()) for name, colors in ramps(names).items()},
        "unknown_color": list(UNKNOWN_CLASS),
        "camera_rows": [list(row) for row in run.camera_rows],
        "sets": [_set_data(one, first_ns) for one in run.sets],
    }


def pack(recorded: RecordedSet) -> bytes:
    """The arrays of a set in one zlib stream, little-endian.

    In this order: uint32 differences of the ascending indices (they compress five times better),
    int16 velocities along x, then along y, uint8 probabilities, uint8 classes where there are any.
    """
    step = np.diff(recorded.index, prepend=np.uint32(0)).astype("<u4")
    velocity = recorded.velocity.astype("<i2")
    parts = (step, velocity[:, 0], velocity[:, 1], recorded.probability, recorded.class_id)
    return zlib.compress(b"".join(part.tobytes() for part in parts), 9)


def _numbered(sets: Sequence[RecordedSet]) -> list[str]:
    """Names for classes that only have numbers."""
    numbers = set(np.concatenate([one.class_id for one in sets]).tolist()) - {UNKNOWN_CLASS_ID}
    return [f"class {number}" for number in range(max(numbers, default=-1) + 1)]


def _set_data(recorded: RecordedSet, first_ns: int) -> dict[str, Any]:
    pose = recorded.fixed_T_base
    return {
        "stamp_ns": str(recorded.stamp_ns),  # beyond the whole numbers of JavaScript
        "time_s": (recorded.stamp_ns - first_ns) * 1e-9,
        "count": len(recorded.index),
        "has_classes": len(recorded.class_id) > 0,
        "arrays": _base64(pack(recorded)),
        "fixed_T_base": None if pose is None else pose.reshape(-1).tolist(),  # row-major 4×4
        "images": {name: _base64(data) for name, data in recorded.thumbnails.items()},
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _filled(template: str, values: Mapping[str, str]) -> str:
    """The template with each `{{name}}` replaced; what is filled in is not looked at again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match.group(1)], template)
