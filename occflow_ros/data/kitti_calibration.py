"""KITTI's calibration files: lines of a key and numbers, rectified cameras beside camera 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occflow_ros.data.drive import Camera
from occflow_ros.data.kitti import camera_name, numbers, read_lines
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3


@dataclass(frozen=True, slots=True)
class Calibration:
    """The lines of one file.

    Args:
        path: the file.
        lines: what stands behind each key.
    """

    path: Path
    lines: Mapping[str, str]

    def values(self, key: str, *shape: int) -> se3.Array:
        """Numbers of one line, row-major; raises DataError where it is missing or of other size."""
        if key not in self.lines:
            raise DataError(
                f"{self.path}: expected a line {key}, got {', '.join(self.lines) or 'none'}"
            )
        count = int(np.prod(shape))
        where = f"{self.path}: {key}"
        return np.reshape(numbers(self.lines[key], where, count), shape)

    def rigid(self, rotation: se3.Array, translation_m: se3.Array, what: str) -> se3.Array:
        """A 4×4 of its parts; raises DataError where the rotation is none."""
        transform = se3.from_rotation_translation(rotation, translation_m)
        try:
            se3.check_rigid(transform)
        except ValueError as error:
            raise DataError(f"{self.path}: {what}: {error}") from None
        return transform

    def rigid_12(self, key: str) -> se3.Array:
        """A 4×4 of a line of 12 numbers."""
        rows = self.values(key, 3, 4)
        return self.rigid(rows[:, :3], rows[:, 3], key)

    def mounting(self) -> se3.Array:
        """A 4×4 of the lines R and T, as one sensor is mounted to another."""
        return self.rigid(self.values("R", 3, 3), self.values("T", 3), "R")

    def rotation(self, key: str) -> se3.Array:
        """A 4×4 of a line of 9 numbers, which only turns."""
        return self.rigid(self.values(key, 3, 3), np.zeros(3), key)


def read_calibration(path: Path) -> Calibration:
    """Read one file; some keys end in a colon, some do not.

    Raises:
        DataError: where the file is missing or no text.
    """
    lines = {}
    for line in read_lines(path):
        key, _, values = line.strip().partition(" ")
        if key:
            lines[key.removesuffix(":")] = values
    return Calibration(path, lines)


def rectified_cameras(
    calibration: Calibration,
    key: str,
    sizes_hw_px: Mapping[int, tuple[int, int]],
    base_T_rect: se3.Array,
) -> dict[str, Camera]:
    """Cameras of the rectified rig by name, each from its projection P = K [I | t].

    All rectified cameras look the way camera 0 does, so that t (K⁻¹ times the last column of P) is
    where the origin of camera 0 lies in a camera's frame.

    Args:
        calibration: file with the projections of points in the frame of rectified camera 0.
        key: of a projection's line, with {} or {:02d} for the number of the camera.
        sizes_hw_px: of the rectified images, by number of the camera.
        base_T_rect: (4, 4) rectified camera 0 to base.

    Raises:
        DataError: where a line is missing or no projection of a camera.
    """
    return {
        camera_name(number): _camera(calibration, key.format(number), number, size, base_T_rect)
        for number, size in sizes_hw_px.items()
    }


def _camera(
    calibration: Calibration,
    key: str,
    number: int,
    size_hw_px: tuple[int, int],
    base_T_rect: se3.Array,
) -> Camera:
    projection = calibration.values(key, 3, 4)
    K = projection[:, :3]
    try:
        rect_T_camera = np.eye(4)
        rect_T_camera[:3, 3] = -np.linalg.solve(K, projection[:, 3])
        return Camera(
            name=camera_name(number),
            width_px=size_hw_px[1],
            height_px=size_hw_px[0],
            K=K,
            base_T_camera=base_T_rect @ rect_T_camera,
        )
    except (ValueError, np.linalg.LinAlgError) as error:
        raise DataError(f"{calibration.path}: {key}: {error}") from None
