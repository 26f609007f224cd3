"""All rows of one nuScenes scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class SceneTables:
    """The rows of one scene; of `data` only those of cameras and of LIDAR_TOP."""

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
    scene = _find_scene(read_table(Scene, folder / "scene.json"), scene_key)
    samples = read_table(
        Sample, folder / "sample.json", lambda row: row["scene_token"] == scene.token
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
    instance_tokens = {row.instance_token for row in annotations.values()}
    return SceneTables(
        scene=scene,
        samples=samples,
        data=data,
        calibrations=calibrations,
        sensors=sensors,
        poses=read_table(
            EgoPose, folder / "ego_pose.json", lambda row: row["token"] in pose_tokens
        ),
        annotations=annotations,
        instances=read_table(
            Instance, folder / "instance.json", lambda row: row["token"] in instance_tokens
        ),
        categories=read_table(Category, folder / "category.json"),
    )


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
