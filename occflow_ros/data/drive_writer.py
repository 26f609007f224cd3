"""What a writer of drives takes: sets whose images and sweeps are arrays, or files to copy."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from occflow_ros.data.drive import Box, CameraSet, Drive, OccupancyTruth, SensorFile
from occflow_ros.data.sensors import Points, read_lidar, write_image
from occflow_ros.data.truth import write_truth
from occflow_ros.errors import DataError
from occflow_ros.geometry.se3 import Array

ImageFormat = Literal["jpg", "png"]


@dataclass(frozen=True, slots=True)
class Capture:
    """One image or sweep that is to be written.

    Args:
        content: (H, W, 3) uint8 RGB, or points (N, 3) in metres, or a file to copy.
        stamp_ns: when it was taken.
        odom_T_base: (4, 4) pose of the base at that time.
    """

    content: npt.NDArray | Path
    stamp_ns: int
    odom_T_base: Array


@dataclass(frozen=True, slots=True)
class CapturedSet:
    """A `CameraSet` that is to be written.

    Args:
        stamp_ns: reference time.
        odom_T_base: (4, 4) pose of the base at that time.
        images: by camera name; a camera may be missing.
        lidar: the sweep, where there is one.
        boxes: annotated objects, None where the set is not annotated.
        occupancy: true occupancy, or its file.
        lidar_mask: (X, Y, Z) voxels of the occupancy that LiDAR knows, None where nobody says.
        keyframe: False for what nuScenes calls a sweep: no sample, no annotation.
        point_labels: (N,) uint16 labels of SemanticKITTI of the sweep's points, None where nobody
            says; only its layout has a place for them.
    """

    stamp_ns: int
    odom_T_base: Array
    images: Mapping[str, Capture]
    lidar: Capture | None = None
    boxes: tuple[Box, ...] | None = None
    occupancy: OccupancyTruth | Path | None = None
    lidar_mask: npt.NDArray[np.bool_] | None = None
    keyframe: bool = True
    point_labels: npt.NDArray[np.uint16] | None = None

    def __post_init__(self) -> None:
        if not self.keyframe and (self.boxes is not None or self.occupancy is not None):
            raise ValueError("expected boxes and occupancy on keyframes only")


class DriveWriter(Protocol):
    """What takes the sets of one drive, in time order."""

    def add_set(self, captured: CapturedSet) -> None:
        """Write one set."""
        ...


def from_files(camera_set: CameraSet) -> CapturedSet:
    """A set on disk, to be copied."""
    return CapturedSet(
        stamp_ns=camera_set.stamp_ns,
        odom_T_base=camera_set.odom_T_base,
        images={name: _of_file(file) for name, file in camera_set.images.items()},
        lidar=None if camera_set.lidar is None else _of_file(camera_set.lidar),
        boxes=camera_set.boxes,
        occupancy=camera_set.occupancy,
    )


def check_sensors(captured: CapturedSet, header: Drive) -> None:
    """Raise ValueError where the set has images or a sweep of sensors without calibration."""
    unknown = sorted(set(captured.images) - set(header.cameras))
    if unknown:
        raise ValueError(f"expected images of {list(header.cameras)}, got {unknown}")
    if captured.lidar is not None and header.base_T_lidar is None:
        raise ValueError("lidar: expected base_T_lidar in the header, got none")


def store_image(image: Capture, stem: Path, image_format: ImageFormat) -> Path:
    """Copy the image's file or encode its array; returns `stem` with the suffix it got."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(image.content, Path):
        path = stem.with_name(stem.name + image.content.suffix)
        _copy(image.content, path)
    else:
        path = stem.with_name(f"{stem.name}.{image_format}")
        write_image(path, image.content)
    return path


def lidar_points(lidar: Capture) -> Points:
    """The points (N, 3) of a sweep, from its file or its array."""
    if isinstance(lidar.content, Path):
        return read_lidar(lidar.content)
    return np.asarray(lidar.content, dtype=np.float32)


def store_truth(
    truth: OccupancyTruth | Path, path: Path, lidar_mask: npt.NDArray[np.bool_] | None = None
) -> None:
    """Copy the file of an occupancy truth, or write the truth itself with what LiDAR knows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(truth, Path):
        _copy(truth, path)
    else:
        write_truth(path, truth, lidar_mask)


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        raise DataError(f"{source}: file is missing") from None


def _of_file(file: SensorFile) -> Capture:
    return Capture(file.path, file.stamp_ns, file.odom_T_base)
