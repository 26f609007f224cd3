"""The rows of the nuScenes v1.0 tables that one scene needs, checked and indexed by token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from occflow_ros.data.parsing import Length, parse
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3

LIDAR_CHANNEL = "LIDAR_TOP"
OCC3D_FOLDER = "gts"

Vector = tuple[float, float, float]


class Row(BaseModel):
    """What every row has; columns that nothing here needs are ignored."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    token: str


class PosedRow(Row):
    """A row with a rigid transform: translation in metres, quaternion (w, x, y, z)."""

    translation: Vector
    rotation: tuple[float, float, float, float]

    @field_validator("rotation")
    @classmethod
    def _check_unit_length(cls, rotation: tuple[float, ...]) -> tuple[float, ...]:
        if abs(np.linalg.norm(rotation) - 1.0) > 1e-3:
            raise ValueError(f"expected a unit quaternion (w, x, y, z), got {rotation}")
        return rotation

    @property
    def transform(self) -> se3.Array:
        """(4, 4) from the row's frame to its parent's."""
        w, x, y, z = self.rotation
        return se3.from_quaternion_translation((x, y, z, w), self.translation)


class Scene(Row):
    """One drive of about 20 s."""

    name: str
    description: str = ""


class Sample(Row):
    """A keyframe."""

    timestamp: int
    scene_token: str


class SampleData(Row):
    """An image or sweep, of a keyframe or between keyframes."""

    sample_token: str
    ego_pose_token: str
    calibrated_sensor_token: str
    timestamp: int
    is_key_frame: bool
    height: int
    width: int
    filename: str


class Sensor(Row):
    """A channel of the rig."""

    channel: str
    modality: str


class CalibratedSensor(PosedRow):
    """Where a sensor sits on the base, ego_T_sensor."""

    sensor_token: str
    camera_intrinsic: Annotated[list[Vector], Field(max_length=3)]

    @property
    def intrinsics(self) -> se3.Array:
        """(3, 3) intrinsics in pixels, empty for what is not a camera."""
        return np.array(self.camera_intrinsic, dtype=np.float64)


class EgoPose(PosedRow):
    """Pose of the base on the map at the stamp of a sensor's data."""


class Annotation(PosedRow):
    """A box on the map at a keyframe; size is width, length, height."""

    sample_token: str
    instance_token: str
    size: tuple[Length, Length, Length]
    prev: str
    next: str


class Instance(Row):
    """A tracked object."""

    category_token: str


class Category(Row):
    """What an object is."""

    name: str


R = TypeVar("R", bound=Row)


class Table(dict[str, R]):
    """Rows by token; raises DataError where a token is missing."""

    def __init__(self, path: Path, rows: Iterable[R]) -> None:
        super().__init__((row.token, row) for row in rows)
        self.path = path

    def __missing__(self, token: str) -> R:
        raise DataError(f"{self.path}: expected a row with token {token!r}, found none")


def read_table(
    kind: type[R], path: Path, wanted: Callable[[dict[str, Any]], bool] = lambda row: True
) -> Table[R]:
    """Rows of one table for which `wanted` holds.

    The others are dropped while the file is parsed: `sample_data.json` of v1.0-trainval is 1.4 GB.

    Raises:
        DataError: names the file, the row's token, the column and what was expected.
    """

    def keep(row: dict[str, Any]) -> dict[str, Any] | None:
        return row if wanted(row) else None

    try:
        with path.open(encoding="utf-8") as file:
            rows = json.load(file, object_hook=keep)
    except FileNotFoundError:
        raise DataError(f"{path}: nuScenes table is missing") from None
    except KeyError as error:
        raise DataError(f"{path}: expected the column {error} in every row") from None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: expected a JSON table: {error}") from None
    if not isinstance(rows, list):
        raise DataError(f"{path}: expected a list of rows, got {type(rows).__name__}")
    kept = [row for row in rows if row is not None]
    return Table(path, [parse(kind, row, f"{path}: row {_token_of(row)}") for row in kept])


def truth_path(
    dataroot: Path, scene_name: str, sample_token: str, benchmark: str = OCC3D_FOLDER
) -> Path:
    """Where Occ3D, or another benchmark of its layout, keeps the occupancy of a keyframe."""
    return dataroot / benchmark / scene_name / sample_token / "labels.npz"


def _token_of(row: Any) -> str:
    return repr(row.get("token")) if isinstance(row, dict) else repr(row)[:80]
