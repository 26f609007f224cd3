"""Writes a drive as a nuScenes v1.0 data set of one scene, which nuscenes-devkit loads."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from occflow_ros.data import openocc
from occflow_ros.data.drive import Box, Drive, OccupancyTruth
from occflow_ros.data.drive_writer import (
    Capture,
    CapturedSet,
    ImageFormat,
    check_sensors,
    lidar_points,
    store_image,
    store_truth,
)
from occflow_ros.data.nuscenes_tables import LIDAR_CHANNEL, truth_path
from occflow_ros.data.sensors import Points, write_lidar
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3
from occflow_ros.output import output_folder

TABLES = (
    "category",
    "attribute",
    "visibility",
    "instance",
    "sensor",
    "calibrated_sensor",
    "ego_pose",
    "log",
    "scene",
    "sample",
    "sample_data",
    "sample_annotation",
    "map",
)

Row = dict[str, Any]

_VISIBILITY_LEVELS = ("v0-40", "v40-60", "v60-80", "v80-100")
_VISIBILITY_TOKENS = ("1", "2", "3", "4")
_MAP_SIDE_PX = 16


@contextmanager
def nuscenes_writer(
    dataroot: Path,
    version: str,
    header: Drive,
    overwrite: bool = False,
    image_format: ImageFormat = "jpg",
) -> Iterator[NuscenesWriter]:
    """Write a new data set set by set; it appears when the block ends well.

    Occupancy lies in `gts` as Occ3D has it, and what is made here on Occ3D's grid also in
    `openocc_v2` as OpenOcc has it.

    Stamps are cut to microseconds, which is what nuScenes keeps. The velocity of a box is not
    stored: readers take it from the neighbouring keyframes.

    Args:
        dataroot: where.
        version: folder of the tables, v1.0-mini for example.
        header: everything but the sets, which are ignored; its name is the scene's.
        overwrite: replace a folder that is not empty.
        image_format: of images that come as arrays.

    Raises:
        OutputError: where the folder is occupied or cannot be written.
        DataError: where a camera of the header has lens distortion.
        ValueError: where no keyframe was added.
    """
    with output_folder(dataroot, overwrite) as partial:
        writer = NuscenesWriter(partial, version, header, image_format)
        yield writer
        writer.write_tables()


class NuscenesWriter:
    """Takes the sets of one scene; made by `nuscenes_writer`."""

    def __init__(
        self, dataroot: Path, version: str, header: Drive, image_format: ImageFormat
    ) -> None:
        self._dataroot = dataroot
        self._version = version
        self._header = header
        self._image_format = image_format
        self._tables: dict[str, list[Row]] = {table: [] for table in TABLES}
        self._instances: dict[str, Row] = {}
        self._without_sample: list[Row] = []
        self._add_scene()
        self._add_sensors()

    def add_set(self, captured: CapturedSet) -> None:
        """Write one set; raises ValueError where a sensor has no calibration."""
        check_sensors(captured, self._header)
        for name, image in captured.images.items():
            self._add_image(name, image, captured.keyframe)
        points = None if captured.lidar is None else lidar_points(captured.lidar)
        if captured.lidar is not None and points is not None:
            self._add_lidar(captured.lidar, points, captured.keyframe)
        if captured.keyframe:
            self._add_sample(captured, points)

    def write_tables(self) -> None:
        """Link what follows what and write all tables; raises ValueError without a keyframe."""
        samples = self._tables["sample"]
        if not samples:
            raise ValueError("expected at least one keyframe, got none")
        self._assign_to(samples[-1])
        _chain(samples)
        for rows in _grouped(self._tables["sample_data"], "calibrated_sensor_token"):
            _chain(rows)
        for rows in _grouped(self._tables["sample_annotation"], "instance_token"):
            _chain(rows)
            self._instances[rows[0]["instance_token"]] |= _extent(rows, "annotation")
        self._tables["scene"][0] |= _extent(samples, "sample")
        folder = self._dataroot / self._version
        folder.mkdir(parents=True)
        for table, rows in self._tables.items():
            (folder / f"{table}.json").write_text(json.dumps(rows, indent=0))

    def _add_scene(self) -> None:
        log = self._add(
            "log",
            self._header.name,
            logfile=self._header.name,
            vehicle=self._header.base_frame,
            date_captured="1970-01-01",
            location="unknown",
        )
        self._add(
            "scene",
            self._header.name,
            log_token=log["token"],
            name=self._header.name,
            description=self._header.notes,
        )
        mask = self._dataroot / "maps" / "empty.png"
        mask.parent.mkdir(parents=True)
        cv2.imwrite(str(mask), np.zeros((_MAP_SIDE_PX, _MAP_SIDE_PX), np.uint8))
        self._add(
            "map",
            "empty",
            log_tokens=[log["token"]],
            category="semantic_prior",
            filename=self._relative(mask),
        )
        self._tables["visibility"] = [
            {"token": token, "level": level, "description": f"{level} % of the object is visible"}
            for token, level in zip(_VISIBILITY_TOKENS, _VISIBILITY_LEVELS)
        ]

    def _add_sensors(self) -> None:
        for name, camera in self._header.cameras.items():
            if camera.distortion:
                raise DataError(f"{name}: nuScenes holds pinhole images, got {camera.distortion}")
            self._add_sensor(
                name.upper(), "camera", camera.base_T_camera, camera_intrinsic=camera.K.tolist()
            )
        if self._header.base_T_lidar is not None:
            self._add_sensor(LIDAR_CHANNEL, "lidar", self._header.base_T_lidar, camera_intrinsic=[])

    def _add_sensor(
        self, channel: str, modality: str, base_T_sensor: se3.Array, **intrinsic: Any
    ) -> None:
        sensor = self._add("sensor", channel, channel=channel, modality=modality)
        self._add(
            "calibrated_sensor",
            channel,
            sensor_token=sensor["token"],
            **_pose(base_T_sensor),
            **intrinsic,
        )

    def _add_image(self, name: str, image: Capture, keyframe: bool) -> None:
        camera = self._header.cameras[name]
        stem = self._stem(name.upper(), image, keyframe)
        self._add_sample_data(
            name.upper(),
            image,
            keyframe,
            store_image(image, stem, self._image_format),
            height=camera.height_px,
            width=camera.width_px,
        )

    def _add_lidar(self, lidar: Capture, points: Points, keyframe: bool) -> None:
        stem = self._stem(LIDAR_CHANNEL, lidar, keyframe)
        path = stem.with_name(f"{stem.name}.pcd.bin")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_lidar(path, points)
        self._add_sample_data(LIDAR_CHANNEL, lidar, keyframe, path, height=0, width=0)

    def _stem(self, channel: str, capture: Capture, keyframe: bool) -> Path:
        folder = self._dataroot / ("samples" if keyframe else "sweeps") / channel
        return folder / f"{self._header.name}__{channel}__{capture.stamp_ns // 1000}"

    def _add_sample_data(
        self, channel: str, capture: Capture, keyframe: bool, path: Path, **size_px: int
    ) -> None:
        key = f"{channel}/{capture.stamp_ns // 1000}"
        stamp = {"timestamp": capture.stamp_ns // 1000}
        pose = self._add("ego_pose", key, **stamp, **_pose(capture.odom_T_base))
        row = self._add(
            "sample_data",
            key,
            **stamp,
            **size_px,
            sample_token="",
            ego_pose_token=pose["token"],
            calibrated_sensor_token=self._token("calibrated_sensor", channel),
            fileformat="pcd" if channel == LIDAR_CHANNEL else path.suffix[1:],
            is_key_frame=keyframe,
            filename=self._relative(path),
        )
        self._without_sample.append(row)

    def _add_sample(self, captured: CapturedSet, points: Points | None) -> None:
        sample = self._add(
            "sample",
            str(captured.stamp_ns // 1000),
            timestamp=captured.stamp_ns // 1000,
            scene_token=self._token("scene", self._header.name),
        )
        self._assign_to(sample)
        for box in captured.boxes or ():
            row = self._add_annotation(box, captured, sample)
            row["num_lidar_pts"] = 0 if points is None else self._count_inside(box, points)
        if captured.occupancy is not None:
            self._add_truth(captured.occupancy, captured.lidar_mask, sample["token"])

    def _add_truth(
        self, truth: OccupancyTruth | Path, lidar_mask: npt.NDArray[np.bool_] | None, token: str
    ) -> None:
        """In the layout of Occ3D, and where OpenOcc can say what was made here, in its layout."""
        scene = self._header.name
        store_truth(truth, truth_path(self._dataroot, scene, token), lidar_mask)
        if isinstance(truth, OccupancyTruth) and openocc.fits_openocc(truth):
            path = truth_path(self._dataroot, scene, token, openocc.FOLDER)
            path.parent.mkdir(parents=True)
            openocc.write_openocc(path, truth)

    def _assign_to(self, sample: Row) -> None:
        """Data belongs to the sample that follows it, or to the last one."""
        for row in self._without_sample:
            row["sample_token"] = sample["token"]
        self._without_sample = []

    def _add_annotation(self, box: Box, captured: CapturedSet, sample: Row) -> Row:
        length_m, width_m, height_m = box.size_lwh_m
        instance = self._instance_of(box)
        return self._add(
            "sample_annotation",
            f"{sample['token']}/{box.id}",
            sample_token=sample["token"],
            instance_token=instance["token"],
            visibility_token=_VISIBILITY_TOKENS[-1],
            attribute_tokens=[],
            **_pose(captured.odom_T_base @ box.base_T_box),
            size=[width_m, length_m, height_m],
            num_radar_pts=0,
        )

    def _count_inside(self, box: Box, points: Points) -> int:
        assert self._header.base_T_lidar is not None
        points_base_m = se3.transform_points(self._header.base_T_lidar, points.astype(np.float64))
        return int(box.contains(points_base_m).sum())

    def _instance_of(self, box: Box) -> Row:
        token = self._token("instance", f"{box.category}/{box.id}")
        if token not in self._instances:
            category = self._token("category", box.category)
            if category not in {row["token"] for row in self._tables["category"]}:
                self._add("category", box.category, name=box.category, description="")
            self._instances[token] = self._add(
                "instance", f"{box.category}/{box.id}", category_token=category
            )
        return self._instances[token]

    def _add(self, table: str, key: str, **values: Any) -> Row:
        row = {"token": self._token(table, key), **values}
        self._tables[table].append(row)
        return row

    def _token(self, table: str, key: str) -> str:
        """32 hexadecimal digits, the same for the same scene, table and key."""
        text = f"{self._version}/{self._header.name}/{table}/{key}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._dataroot).as_posix()


def _pose(dst_T_src: se3.Array) -> Row:
    """Translation and quaternion (w, x, y, z), as nuScenes orders it."""
    (x, y, z, w), translation_m = se3.to_quaternion_translation(dst_T_src)
    return {
        "translation": translation_m.tolist(),
        "rotation": [float(w), float(x), float(y), float(z)],
    }


def _extent(rows: list[Row], what: str) -> Row:
    first, last = rows[0]["token"], rows[-1]["token"]
    return {f"nbr_{what}s": len(rows), f"first_{what}_token": first, f"last_{what}_token": last}


def _grouped(rows: list[Row], key: str) -> list[list[Row]]:
    groups = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return list(groups.values())


def _chain(rows: list[Row]) -> None:
    """Fill `prev` and `next` of rows in time order."""
    tokens = ["", *(row["token"] for row in rows), ""]
    for row, before, after in zip(rows, tokens, tokens[2:]):
        row |= {"prev": before, "next": after}
