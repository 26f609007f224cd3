"""All rows of one nuScenes scene, or of many read at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from occflow_ros.data.nuscenes_tables import (
    LIDAR_CHANNEL,
    Annotation,
    CalibratedSensor,
    Category,
    EgoPose,
    Instance,
    Sample,
    SampleData,
    Scene,
    Sensor,
    Table,
    read_table,
)
from occflow_ros.errors import DataError

_NAMES_SHOWN = 10

Row = TypeVar("Row", SampleData, Annotation)


@dataclass(frozen=True, slots=True)
class SceneTables:
    """The rows of one scene; of `data` only those of cameras and of LIDAR_TOP.

    Tables in which rows are looked up by token, all but `data` and `annotations`, may hold rows of
    other scenes too.
    """

    scene: Scene
    samples: Table[Sample]
    data: Table[SampleData]
    calibrations: Table[CalibratedSensor]
    sensors: Table[Sensor]
    poses: Table[EgoPose]
    annotations: Table[Annotation]
    instances: Table[Instance]
    categories: Table[Category]

    def channel_of(self, data: SampleData) -> str:
        """Channel that an image or sweep came from."""
        return self.sensors[self.calibrations[data.calibrated_sensor_token].sensor_token].channel

    def by_channel(self) -> dict[str, list[SampleData]]:
        """Images and sweeps in time order."""
        channels: dict[str, list[SampleData]] = {}
        for data in sorted(self.data.values(), key=lambda data: data.timestamp):
            channels.setdefault(self.channel_of(data), []).append(data)
        return channels


def read_scene(folder: Path, scene_key: str | None, keyframes_only: bool) -> SceneTables:
    """Read what belongs to one scene.

    Args:
        folder: of the tables.
        scene_key: name, token or index; None takes the only scene.
        keyframes_only: leave out the data between the keyframes.

    Raises:
        DataError: names the table, the token and what was expected.
    """
    scene = _find_scene(_read_scenes(folder), scene_key)
    return next(_read_rows(folder, [scene], keyframes_only))


def read_scenes(
    folder: Path, scene_keys: Sequence[str], keyframes_only: bool
) -> Iterator[SceneTables]:
    """Read what belongs to several scenes, each table once; no keys take all scenes.

    Arguments and errors are those of `read_scene`.
    """
    scenes = _read_scenes(folder)
    chosen = [_find_scene(scenes, key) for key in scene_keys] or list(scenes.values())
    return _read_rows(folder, chosen, keyframes_only)


def _read_scenes(folder: Path) -> Table[Scene]:
    return read_table(Scene, folder / "scene.json")


def _read_rows(
    folder: Path, scenes: Sequence[Scene], keyframes_only: bool
) -> Iterator[SceneTables]:
    scene_tokens = {scene.token for scene in scenes}
    samples = read_table(
        Sample, folder / "sample.json", lambda row: row["scene_token"] in scene_tokens
    )
    sensors = read_table(Sensor, folder / "sensor.json")
    calibrations = read_table(CalibratedSensor, folder / "calibrated_sensor.json")
    used = {token for token, row in calibrations.items() if _is_used(sensors[row.sensor_token])}
    data = read_table(
        SampleData,
        folder / "sample_data.json",
        lambda row: (
            row["sample_token"] in samples
            and row["calibrated_sensor_token"] in used
            and (row["is_key_frame"] or not keyframes_only)
        ),
    )
    annotations = read_table(
        Annotation, folder / "sample_annotation.json", lambda row: row["sample_token"] in samples
    )
    pose_tokens = {row.ego_pose_token for row in data.values()}
    poses = read_table(EgoPose, folder / "ego_pose.json", lambda row: row["token"] in pose_tokens)
    instance_tokens = {row.instance_token for row in annotations.values()}
    instances = read_table(
        Instance, folder / "instance.json", lambda row: row["token"] in instance_tokens
    )
    categories = read_table(Category, folder / "category.json")
    data_of = _by_scene(data.values(), samples)
    annotations_of = _by_scene(annotations.values(), samples)
    for scene in scenes:
        yield SceneTables(
            scene=scene,
            samples=samples,
            data=Table(data.path, data_of[scene.token]),
            calibrations=calibrations,
            sensors=sensors,
            poses=poses,
            annotations=Table(annotations.path, annotations_of[scene.token]),
            instances=instances,
            categories=categories,
        )


def _by_scene(rows: Iterable[Row], samples: Table[Sample]) -> defaultdict[str, list[Row]]:
    """Rows by the token of their scene."""
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[samples[row.sample_token].scene_token].append(row)
    return groups


def _is_used(sensor: Sensor) -> bool:
    return sensor.modality == "camera" or sensor.channel == LIDAR_CHANNEL


def _find_scene(scenes: Table[Scene], key: str | None) -> Scene:
    rows = list(scenes.values())
    if key is None and len(rows) == 1:
        return rows[0]
    if key is not None and key.isdecimal() and int(key) < len(rows):
        return rows[int(key)]
    for scene in rows:
        if key in (scene.name, scene.token):
            return scene
    names = ", ".join(scene.name for scene in rows[:_NAMES_SHOWN])
    more = f" and {len(rows) - _NAMES_SHOWN} more" if len(rows) > _NAMES_SHOWN else ""
    raise DataError(f"{scenes.path}: expected a scene out of {names}{more}, got {key or 'none'}")
