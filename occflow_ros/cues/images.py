"""The images that cues belong to: one camera's, one by one and in pairs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from occflow_ros.data.drive import Camera, Drive, SensorFile
from occflow_ros.data.sensors import load_view
from occflow_ros.errors import DataError
from occflow_ros.geometry.camera import Image


@dataclass(frozen=True, slots=True, eq=False)
class CameraImage:
    """One image of a drive.

    Args:
        camera: that took it.
        file: the image on disk.
        set_index: of its camera set in the drive.
        set_stamp_ns: reference time of that set.
    """

    camera: Camera
    file: SensorFile
    set_index: int
    set_stamp_ns: int

    @property
    def size_hw_px(self) -> tuple[int, int]:
        """Height and width."""
        return self.camera.height_px, self.camera.width_px

    def load(self) -> Image:
        """(H, W, 3) uint8 RGB without lens distortion; raises DataError."""
        return load_view(self.camera, self.file).image

    def digest(self) -> str:
        """Hash of the image's bytes, and of the lens where the image is distorted.

        Raises:
            DataError: where the file cannot be read.
        """
        lens = _lens(self.camera)
        digest = file_digest(self.file.path, "image")
        return hashlib.blake2b(f"{digest}{lens}".encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class ImagePair:
    """Two images of one camera, between which flow leads forward and backward."""

    earlier: CameraImage
    later: CameraImage


def image_of(drive: Drive, index: int, camera: str) -> CameraImage | None:
    """Image of a camera in the set at `index`; None outside of the drive or where it is missing."""
    if not 0 <= index < len(drive.sets) or camera not in drive.sets[index].images:
        return None
    camera_set = drive.sets[index]
    return CameraImage(drive.cameras[camera], camera_set.images[camera], index, camera_set.stamp_ns)


def images(drive: Drive) -> Iterator[CameraImage]:
    """All images, camera by camera in time order."""
    for camera in drive.cameras:
        for index in range(len(drive.sets)):
            if (image := image_of(drive, index, camera)) is not None:
                yield image


def image_pairs(drive: Drive, span: int = 1) -> Iterator[ImagePair]:
    """Each image with those of the same camera in the next `span` sets."""
    for earlier in images(drive):
        for step in range(1, span + 1):
            later = image_of(drive, earlier.set_index + step, earlier.camera.name)
            if later is not None:
                yield ImagePair(earlier, later)


def file_digest(path: Path, what: str) -> str:
    """Hash of a file's bytes; raises DataError where `what` it is cannot be read."""
    try:
        state = os.stat(path)
        return _digest(path, state.st_size, state.st_mtime_ns)
    except FileNotFoundError:
        raise DataError(f"{path}: {what} is missing") from None
    except OSError as error:
        raise DataError(f"{path}: {what} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=1 << 16)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _lens(camera: Camera) -> str:
    if not camera.distortion:
        return ""
    return f"{camera.distortion_model} {camera.distortion} {camera.K.tolist()}"
