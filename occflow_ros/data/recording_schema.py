"""The JSON and YAML objects of a recording folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer

from occflow_ros.data.drive import Box
from occflow_ros.data.parsing import Length, Size, parse, parse_json, read_text
from occflow_ros.geometry import se3
from occflow_ros.geometry.rectification import DistortionModel
from occflow_ros.validation import StrictModel


def _transform(value: Any) -> se3.Array:
    if isinstance(value, np.ndarray):
        value = se3.to_row_major_12(value)
    return se3.from_row_major_12(_numbers(value, "12 numbers (three rows of a 4x4)"))


def _matrix(value: Any) -> se3.Array:
    matrix = _numbers(value, "3 rows of 3 numbers")
    if matrix.shape != (3, 3):
        raise ValueError(f"expected 3 rows of 3 numbers, got shape {matrix.shape}")
    return matrix


def _numbers(value: Any, expected: str) -> se3.Array:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"expected {expected}, got {value!r:.80}") from None


Transform = Annotated[
    Any, BeforeValidator(_transform), PlainSerializer(se3.to_row_major_12, when_used="json")
]
Matrix = Annotated[
    Any, BeforeValidator(_matrix), PlainSerializer(lambda K: K.tolist(), when_used="json")
]


class CameraRecord(StrictModel):
    """A camera in `recording.yaml`."""

    width: Size
    height: Size
    K: Matrix
    D: tuple[float, ...]
    base_T_camera: Transform
    distortion_model: DistortionModel = "plumb_bob"


class LidarRecord(StrictModel):
    """The LiDAR in `recording.yaml`."""

    base_T_lidar: Transform


class RecordingRecord(StrictModel):
    """`recording.yaml`."""

    version: Literal[1]
    name: str
    licence: str
    notes: str
    fixed_frame: str
    base_frame: str
    cameras: Annotated[dict[str, CameraRecord], Field(min_length=1)]
    lidar: LidarRecord | None = None


class FileRecord(StrictModel):
    """An image or sweep in `frames.jsonl`."""

    file: str
    stamp_ns: int
    odom_T_base: Transform | None = None


class SetRecord(StrictModel):
    """A line of `frames.jsonl`."""

    stamp_ns: int
    odom_T_base: Transform
    images: dict[str, FileRecord]
    lidar: FileRecord | None = None
    boxes: str | None = None
    occupancy: str | None = None


class BoxRecord(StrictModel):
    """An annotated object in a box file."""

    id: int | str
    category: str
    base_T_box: Transform
    size_lwh_m: tuple[Length, Length, Length]
    velocity_mps: tuple[float, float] | None

    @classmethod
    def of(cls, box: Box) -> BoxRecord:
        """The record of a box."""
        return cls(
            id=box.id,
            category=box.category,
            base_T_box=box.base_T_box,
            size_lwh_m=box.size_lwh_m,
            velocity_mps=box.velocity_mps,
        )

    @property
    def box(self) -> Box:
        """The box of this record."""
        return Box(str(self.id), self.category, self.base_T_box, self.size_lwh_m, self.velocity_mps)


def read_boxes(path: Path) -> tuple[Box, ...]:
    """Read a box file; raises DataError with its name and the key."""
    values = parse_json(read_text(path), str(path))
    return tuple(record.box for record in parse(list[BoxRecord], values, str(path)))
