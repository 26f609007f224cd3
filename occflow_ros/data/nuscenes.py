"""Scenes of a nuScenes v1.0 data set, read from its tables.

Poses are those of the data set, so the fixed frame is `map`. The reference of a set is its LiDAR
sweep, whose ego pose is the one into which nuScenes and Occ3D turn boxes and labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from occflow_ros.data import lidarseg, openocc
from occflow_ros.data.drive import Box, Camera, CameraSet, Drive, SensorFile
from occflow_ros.data.nuscenes_boxes import boxes_of
from occflow_ros.data.nuscenes_scene import SceneTables, read_scene, read_scenes
from occflow_ros.data.nuscenes_tables import (
    LIDAR_CHANNEL,
    OCC3D_FOLDER,
    CalibratedSensor,
    SampleData,
    truth_path,
)
from occflow_ros.data.sensors import check_files_exist
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3

CAMERA_CHANNELS = (
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_RIGHT",
    "CAM_BACK",
    "CAM_BACK_LEFT",
    "CAM_FRONT_LEFT",
)

_MAX_DISTANCE_US = 50_000

Channels = Mapping[str, list[SampleData]]


def read_nuscenes(
    dataroot: Path, version: str, scene: str | None = None, keyframes_only: bool = True
) -> Drive:
    """Read one scene.

    Between keyframes an image belongs to the LiDAR sweep to which it stands in time most nearly as
    the camera's keyframe images stand to theirs. Such sets may lack cameras, and have neither boxes
    nor occupancy. Without LIDAR_TOP the front camera takes its place.

    The occupancy of a keyframe is that of Occ3D in `gts`, else that of OpenOcc in `openocc_v2`;
    labels in another folder of their layout come by `occflow_ros.labels.store.with_labels`.

    Args:
        dataroot: folder of the data set.
        version: folder of its tables, v1.0-mini for example.
        scene: name, token or index; None takes the only one.
        keyframes_only: leave out what lies between the keyframes (2 Hz).

    Raises:
        DataError: names the file or table, the token and what was expected.
    """
    return _drive(dataroot, version, read_scene(dataroot / version, scene, keyframes_only))


def read_nuscenes_scenes(
    dataroot: Path, version: str, scenes: Sequence[str] = (), keyframes_only: bool = True
) -> Iterator[Drive]:
    """Read several scenes, all where none is named; the tables are read once.

    Arguments and errors are those of `read_nuscenes`.
    """
    for tables in read_scenes(dataroot / version, scenes, keyframes_only):
        yield _drive(dataroot, version, tables)


def _drive(dataroot: Path, version: str, tables: SceneTables) -> Drive:
    channels = tables.by_channel()
    try:
        drive = Drive(
            name=tables.scene.name,
            cameras=_cameras(tables, channels),
            sets=_camera_sets(dataroot, version, tables, channels),
            base_T_lidar=_lidar_extrinsic(tables, channels),
            fixed_frame="map",
            notes=tables.scene.description,
        )
    except ValueError as error:
        raise DataError(f"{dataroot / version}: {error}") from None
    check_files_exist(drive.sets, dataroot)
    return drive


def _cameras(tables: SceneTables, channels: Channels) -> dict[str, Camera]:
    known = [name for name in CAMERA_CHANNELS if name in channels]
    others = sorted(set(channels) - {*CAMERA_CHANNELS, LIDAR_CHANNEL})
    return {name.lower(): _camera(tables, name, channels[name]) for name in known + others}


def _camera(tables: SceneTables, channel: str, images: list[SampleData]) -> Camera:
    calibration = _calibration(tables, channel, images)
    return Camera(
        name=channel.lower(),
        width_px=images[0].width,
        height_px=images[0].height,
        K=calibration.intrinsics,
        base_T_camera=calibration.transform,
    )


def _calibration(tables: SceneTables, channel: str, data: list[SampleData]) -> CalibratedSensor:
    tokens = {row.calibrated_sensor_token for row in data}
    if len(tokens) > 1:
        raise ValueError(f"{channel}: expected one calibration in a scene, got {sorted(tokens)}")
    return tables.calibrations[tokens.pop()]


def _lidar_extrinsic(tables: SceneTables, channels: Channels) -> se3.Array | None:
    if LIDAR_CHANNEL not in channels:
        return None
    return _calibration(tables, LIDAR_CHANNEL, channels[LIDAR_CHANNEL]).transform


def _camera_sets(
    dataroot: Path, version: str, tables: SceneTables, channels: Channels
) -> tuple[CameraSet, ...]:
    reference = _reference_channel(channels)
    images = _images_by_moment(tables, channels, reference)
    return tuple(
        _camera_set(dataroot, version, tables, moment, images[moment.token])
        for moment in channels[reference]
        if images[moment.token]
    )


def _reference_channel(channels: Channels) -> str:
    for channel in (LIDAR_CHANNEL, *CAMERA_CHANNELS, *sorted(channels)):
        if channel in channels:
            return channel
    raise ValueError("sample_data: expected data of a camera or of LIDAR_TOP, found none")


def _images_by_moment(
    tables: SceneTables, channels: Channels, reference: str
) -> dict[str, dict[str, SampleData]]:
    """Images by camera name, by the token of the reference data that they belong to."""
    moments = channels[reference]
    keyframes = {moment.sample_token: moment for moment in moments if moment.is_key_frame}
    images: dict[str, dict[str, SampleData]] = defaultdict(dict)
    for channel in sorted(set(channels) - {LIDAR_CHANNEL}):
        at_keyframes = {
            image.token: _keyframe_of(image, keyframes, reference)
            for image in channels[channel]
            if image.is_key_frame
        }
        offset_us = _offset_us(tables, at_keyframes)
        for image in channels[channel]:
            moment = at_keyframes.get(image.token) or _nearest(moments, image, offset_us)
            if moment is not None and (image.is_key_frame or not moment.is_key_frame):
                images[moment.token][channel.lower()] = image
    return images


def _offset_us(tables: SceneTables, at_keyframes: Mapping[str, SampleData]) -> float:
    """Median time from a keyframe's reference to a camera's image."""
    offsets_us = [
        tables.data[token].timestamp - moment.timestamp for token, moment in at_keyframes.items()
    ]
    return median(offsets_us) if offsets_us else 0.0


def _keyframe_of(
    image: SampleData, keyframes: Mapping[str, SampleData], reference: str
) -> SampleData:
    if image.sample_token not in keyframes:
        raise ValueError(
            f"sample_data: expected a keyframe of {reference} for the sample"
            f" {image.sample_token!r}, found none"
        )
    return keyframes[image.sample_token]


def _nearest(moments: list[SampleData], image: SampleData, offset_us: float) -> SampleData | None:
    """The moment to which the image stands most nearly at the offset, None where all are far."""

    def distance_us(moment: SampleData) -> float:
        return abs(image.timestamp - offset_us - moment.timestamp)

    nearest = min(moments, key=distance_us)
    return nearest if distance_us(nearest) <= _MAX_DISTANCE_US else None


def _camera_set(
    dataroot: Path,
    version: str,
    tables: SceneTables,
    moment: SampleData,
    images: Mapping[str, SampleData],
) -> CameraSet:
    reference = _sensor_file(dataroot, tables, moment)
    boxes: tuple[Box, ...] | None = None
    if moment.is_key_frame:
        boxes = boxes_of(tables, moment.sample_token, se3.inverse(reference.odom_T_base))
    point_labels = lidarseg.label_path(dataroot, version, moment.token)
    return CameraSet(
        stamp_ns=reference.stamp_ns,
        odom_T_base=reference.odom_T_base,
        images={name: _sensor_file(dataroot, tables, image) for name, image in images.items()},
        lidar=reference if tables.channel_of(moment) == LIDAR_CHANNEL else None,
        boxes=boxes,
        occupancy=_truth(dataroot, tables, moment),
        token=moment.sample_token if moment.is_key_frame else "",
        point_labels=point_labels if point_labels.is_file() else None,
    )


def _truth(dataroot: Path, tables: SceneTables, moment: SampleData) -> Path | None:
    if not moment.is_key_frame:
        return None
    scene, token = tables.scene.name, moment.sample_token
    paths = (truth_path(dataroot, scene, token, name) for name in (OCC3D_FOLDER, openocc.FOLDER))
    return next((path for path in paths if path.is_file()), None)


def _sensor_file(dataroot: Path, tables: SceneTables, data: SampleData) -> SensorFile:
    pose = tables.poses[data.ego_pose_token].transform
    return SensorFile(dataroot / data.filename, data.timestamp * 1000, pose)
