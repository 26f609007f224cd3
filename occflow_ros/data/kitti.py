"""What the three kinds of KITTI data sets share: base frame, numbered files, one moment a frame.

The base is the Velodyne's frame: x forward, y left, z up, 1.73 m above the road, in which the grid
of SemanticKITTI and of the preset `kitti` lies. The odometry frame is the base of the first set.

The Velodyne triggers the cameras as it faces forward, so that everything of one number counts as
taken at one moment, at one pose.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occflow_ros.data import parsing
from occflow_ros.data.drive import Box, Camera, CameraSet, Drive, SensorFile
from occflow_ros.data.sensors import check_files_exist, read_image
from occflow_ros.errors import DataError
from occflow_ros.geometry.se3 import Array

LICENCE = "KITTI (Geiger et al., CVPR 2012 and IJRR 2013), CC BY-NC-SA 3.0"

_NOTES = "base_link is the Velodyne's frame (x forward, y left, z up), 1.73 m above the road"
_NAMES_SHOWN = 25


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the numbered files of one drive lie.

    Args:
        images: folder of the images, by number of the camera.
        lidar: folder of the sweeps.
        digits: of a file's number.
    """

    images: Mapping[int, Path]
    lidar: Path
    digits: int

    def image(self, camera: int, number: int) -> Path:
        """Image of one number, whether or not it is there."""
        return self.images[camera] / f"{number:0{self.digits}d}.png"

    def sweep(self, number: int) -> Path:
        """Sweep of one number, whether or not it is there."""
        return self.lidar / f"{number:0{self.digits}d}.bin"

    def sizes_hw_px(self) -> dict[int, tuple[int, int]]:
        """Size of the first image of each camera; raises DataError where it cannot be read."""
        sizes_hw_px = {}
        for camera in self.images:
            height_px, width_px, _ = read_image(self.image(camera, 0)).shape
            sizes_hw_px[camera] = (height_px, width_px)
        return sizes_hw_px


def make_layout(folder: Path, images: str, lidar: str, digits: int, stereo: bool) -> Layout:
    """The layout of one drive.

    Args:
        folder: in which the others lie.
        images: folder of a camera's images, with {} or {:02d} for its number.
        lidar: folder of the sweeps.
        digits: of a file's number.
        stereo: colour camera 3, the right one, beside 2, the left one.
    """
    cameras = (2, 3) if stereo else (2,)
    return Layout({n: folder / images.format(n) for n in cameras}, folder / lidar, digits)


def camera_name(number: int) -> str:
    """Name in a drive of a KITTI camera, `cam2` or `cam3`."""
    return f"cam{number}"


def assemble_drive(
    name: str,
    cameras: Mapping[str, Camera],
    layout: Layout,
    stamps_ns: Sequence[int],
    odom_T_base: Sequence[Array],
    boxes: Sequence[tuple[Box, ...]] | None,
    counted: Path,
) -> Drive:
    """One set per stamp, from 0 on; a sweep that is missing leaves its set without LiDAR.

    Two of the official data sets lack four sweeps amid a drive (raw 2011_09_26_drive_0009, tracking
    training 0001), so that a missing one is no fault.

    Args:
        name: of the drive.
        cameras: by name, whose images `layout` places.
        layout: where the files lie.
        stamps_ns: of the frames.
        odom_T_base: (4, 4) pose of each frame.
        boxes: of each frame, None where there are no labels.
        counted: the file or folder that said how many frames there are, for errors.

    Raises:
        DataError: where an image is missing or the stamps do not increase.
    """
    sets = tuple(
        _camera_set(layout, number, stamp_ns, pose, None if boxes is None else boxes[number])
        for number, (stamp_ns, pose) in enumerate(zip(stamps_ns, odom_T_base, strict=True))
    )
    check_files_exist(sets, counted)
    try:
        return Drive(
            name=name,
            cameras=cameras,
            sets=sets,
            base_T_lidar=np.eye(4),
            licence=LICENCE,
            notes=_NOTES,
        )
    except ValueError as error:
        raise DataError(f"{counted}: {error}") from None


def check_image_count(layout: Layout, frames: int, counted: Path) -> None:
    """Raise DataError where a camera has an image beyond the frames that `counted` speaks of."""
    for camera in layout.images:
        beyond = layout.image(camera, frames)
        if beyond.exists():
            raise DataError(
                f"{counted}: expected as many frames as {beyond.parent} has images, got {frames},"
                f" and yet there is {beyond.name}"
            )


def choose(where: Path, what: str, found: Iterable[str], asked: str | None) -> str:
    """The name asked for, or the only one; raises DataError that lists what there is."""
    names = sorted(found)
    if asked is None and len(names) == 1:
        return names[0]
    if asked in names:
        return str(asked)
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    raise DataError(
        f"{where}: expected a {what} out of {shown or 'none'}{more}, got {asked or 'none'}"
    )


def read_lines(path: Path) -> list[str]:
    """Lines of a text file without the empty ones at its end; raises DataError."""
    return parsing.read_text(path).rstrip().splitlines()


def numbers(text: str, where: str, count: int) -> list[float]:
    """Exactly `count` finite numbers of a line; raises DataError naming `where`."""
    words = text.split()
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise DataError(f"{where}: expected {count} numbers: {error}") from None
    if len(values) != count or not all(map(math.isfinite, values)):
        raise DataError(f"{where}: expected {count} finite numbers, got {len(values)}: {text!r}")
    return values


def _camera_set(
    layout: Layout, number: int, stamp_ns: int, pose: Array, boxes: tuple[Box, ...] | None
) -> CameraSet:
    sweep = layout.sweep(number)
    return CameraSet(
        stamp_ns=stamp_ns,
        odom_T_base=pose,
        images={
            camera_name(camera): SensorFile(layout.image(camera, number), stamp_ns, pose)
            for camera in layout.images
        },
        lidar=SensorFile(sweep, stamp_ns, pose) if sweep.is_file() else None,
        boxes=boxes,
    )
