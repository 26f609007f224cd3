"""The recording folder, version 1: anyone's own cameras as plain files.

    recording.yaml   version, name, licence, notes, fixed_frame, base_frame
                     cameras: {<name>: {width, height, K, D, base_T_camera, distortion_model?}}
                     lidar: {base_T_lidar}?
    frames.jsonl     one object per camera set, in time order:
                     stamp_ns, odom_T_base, images: {<name>: {file, stamp_ns, odom_T_base?}},
                     lidar: {file, stamp_ns, odom_T_base?}?, boxes: file?, occupancy: file?

Files are named relative to the folder. A transform is 12 numbers, the first three rows of the 4×4,
row-major; `D` are OpenCV coefficients, read as `distortion_model` (plumb_bob) says. Boxes are a
JSON list of {id, category, base_T_box, size_lwh_m, velocity_mps or null}, occupancy is a file of
`occflow_ros.data.truth`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import yaml

from occflow_ros.data import parsing
from occflow_ros.data.drive import Box, Camera, CameraSet, Drive, SensorFile
from occflow_ros.data.drive_writer import (
    Capture,
    CapturedSet,
    ImageFormat,
    check_sensors,
    from_files,
    lidar_points,
    store_image,
    store_truth,
)
from occflow_ros.data.recording_schema import (
    BoxRecord,
    CameraRecord,
    FileRecord,
    LidarRecord,
    RecordingRecord,
    SetRecord,
    read_boxes,
)
from occflow_ros.data.sensors import check_files_exist, write_lidar
from occflow_ros.errors import DataError
from occflow_ros.geometry.se3 import Array
from occflow_ros.output import output_folder

HEADER = "recording.yaml"
SETS = "frames.jsonl"


def read_recording(folder: Path) -> Drive:
    """Read a recording folder; images and sweeps stay on disk, but all must be there.

    Raises:
        DataError: names the file, its line and key, and what was expected.
    """
    header = parsing.parse(RecordingRecord, _read_yaml(folder / HEADER), str(folder / HEADER))
    sets = tuple(
        _camera_set(folder, header, where, record) for where, record in _read_lines(folder / SETS)
    )
    check_files_exist(sets, folder)
    cameras = {
        name: _camera(name, record, folder / HEADER) for name, record in header.cameras.items()
    }
    try:
        return Drive(
            name=header.name,
            cameras=cameras,
            sets=sets,
            base_T_lidar=None if header.lidar is None else header.lidar.base_T_lidar,
            fixed_frame=header.fixed_frame,
            base_frame=header.base_frame,
            licence=header.licence,
            notes=header.notes,
        )
    except ValueError as error:
        raise DataError(f"{folder / SETS}: {error}") from None


def write_recording(folder: Path, drive: Drive, overwrite: bool = False) -> None:
    """Copy any drive into a new recording folder.

    Raises:
        OutputError: where the folder is occupied or cannot be written.
        DataError: where a file of the drive cannot be read.
    """
    with recording_writer(folder, drive, overwrite) as writer:
        for camera_set in drive.sets:
            writer.add_set(from_files(camera_set))


@contextmanager
def recording_writer(
    folder: Path, header: Drive, overwrite: bool = False, image_format: ImageFormat = "jpg"
) -> Iterator[RecordingWriter]:
    """Write a new recording folder set by set; it appears when the block ends well.

    Args:
        folder: where.
        header: everything but the sets, which are ignored.
        overwrite: replace a folder that is not empty.
        image_format: of images that come as arrays.

    Raises:
        OutputError: where the folder is occupied or cannot be written.
    """
    with output_folder(folder, overwrite) as partial, (partial / SETS).open("w") as lines:
        yield RecordingWriter(partial, header, lines, image_format)
        text = yaml.safe_dump(_header(header), sort_keys=False, allow_unicode=True)
        (partial / HEADER).write_text(text)


class RecordingWriter:
    """Takes the sets of one recording; made by `recording_writer`."""

    def __init__(
        self, folder: Path, header: Drive, lines: TextIO, image_format: ImageFormat
    ) -> None:
        self._folder = folder
        self._header = header
        self._lines = lines
        self._image_format = image_format
        self._count = 0

    def add_set(self, captured: CapturedSet) -> None:
        """Write one set; raises ValueError where a sensor has no calibration."""
        check_sensors(captured, self._header)
        record = SetRecord(
            stamp_ns=captured.stamp_ns,
            odom_T_base=captured.odom_T_base,
            images={name: self._image(name, image) for name, image in captured.images.items()},
            lidar=None if captured.lidar is None else self._lidar(captured.lidar),
            boxes=None if captured.boxes is None else self._boxes(captured.boxes),
            occupancy=self._truth(captured),
        )
        print(record.model_dump_json(exclude_none=True), file=self._lines)
        self._count += 1

    def _image(self, name: str, image: Capture) -> FileRecord:
        stem = self._folder / "images" / name / f"{self._count:06d}"
        return self._file_record(store_image(image, stem, self._image_format), image)

    def _lidar(self, lidar: Capture) -> FileRecord:
        path = self._new_file("lidar", ".npy")
        write_lidar(path, lidar_points(lidar))
        return self._file_record(path, lidar)

    def _boxes(self, boxes: tuple[Box, ...]) -> str:
        path = self._new_file("boxes", ".json")
        path.write_text(json.dumps([BoxRecord.of(box).model_dump(mode="json") for box in boxes]))
        return self._relative(path)

    def _truth(self, captured: CapturedSet) -> str | None:
        if captured.occupancy is None:
            return None
        path = self._new_file("occupancy", ".npz")
        store_truth(captured.occupancy, path, captured.lidar_mask)
        return self._relative(path)

    def _file_record(self, path: Path, capture: Capture) -> FileRecord:
        return FileRecord(
            file=self._relative(path), stamp_ns=capture.stamp_ns, odom_T_base=capture.odom_T_base
        )

    def _new_file(self, folder: str, suffix: str) -> Path:
        path = self._folder / folder / f"{self._count:06d}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _header(drive: Drive) -> dict[str, Any]:
    lidar = None if drive.base_T_lidar is None else LidarRecord(base_T_lidar=drive.base_T_lidar)
    record = RecordingRecord(
        version=1,
        name=drive.name,
        licence=drive.licence,
        notes=drive.notes,
        fixed_frame=drive.fixed_frame,
        base_frame=drive.base_frame,
        cameras={name: _camera_record(camera) for name, camera in drive.cameras.items()},
        lidar=lidar,
    )
    return record.model_dump(mode="json", exclude_none=True)


def _camera_record(camera: Camera) -> CameraRecord:
    return CameraRecord(
        width=camera.width_px,
        height=camera.height_px,
        K=camera.K,
        D=camera.distortion,
        base_T_camera=camera.base_T_camera,
        distortion_model=camera.distortion_model,
    )


def _camera(name: str, record: CameraRecord, header: Path) -> Camera:
    try:
        return Camera(
            name=name,
            width_px=record.width,
            height_px=record.height,
            K=record.K,
            base_T_camera=record.base_T_camera,
            distortion=record.D,
            distortion_model=record.distortion_model,
        )
    except ValueError as error:
        raise DataError(f"{header}: cameras: {error}") from None


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(parsing.read_text(path))
    except yaml.YAMLError as error:
        raise DataError(f"{path}: expected YAML: {' '.join(str(error).split())}") from None


def _read_lines(path: Path) -> Iterator[tuple[str, SetRecord]]:
    """Each set with where it stands, as `frames.jsonl:17`."""
    for number, line in enumerate(parsing.read_text(path).splitlines(), start=1):
        if line.strip():
            where = f"{path}:{number}"
            yield where, parsing.parse(SetRecord, parsing.parse_json(line, where), where)


def _camera_set(folder: Path, header: RecordingRecord, where: str, record: SetRecord) -> CameraSet:
    unknown = sorted(set(record.images) - set(header.cameras))
    if unknown:
        raise DataError(f"{where}: images: expected {list(header.cameras)}, got {unknown}")
    if record.lidar is not None and header.lidar is None:
        raise DataError(f"{where}: lidar: expected lidar.base_T_lidar in {HEADER}, got none")

    def sensor_file(file: FileRecord) -> SensorFile:
        pose: Array = record.odom_T_base if file.odom_T_base is None else file.odom_T_base
        return SensorFile(folder / file.file, file.stamp_ns, pose)

    return CameraSet(
        stamp_ns=record.stamp_ns,
        odom_T_base=record.odom_T_base,
        images={name: sensor_file(file) for name, file in record.images.items()},
        lidar=None if record.lidar is None else sensor_file(record.lidar),
        boxes=None if record.boxes is None else read_boxes(folder / record.boxes),
        occupancy=None if record.occupancy is None else folder / record.occupancy,
    )
