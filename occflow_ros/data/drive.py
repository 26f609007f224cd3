"""A recorded drive, whatever format it lies in: calibrated cameras and camera sets in time order.

Every loader returns a `Drive`; replay, training and evaluation read nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE
from occflow_ros.geometry.rectification import DistortionModel, check_distortion
from occflow_ros.geometry.se3 import Array, check_rigid, inverse, transform_points
from occflow_ros.structures import VoxelGrid

OCC3D_GRID = VoxelGrid((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4), (200, 200, 16))
"""The grid of Occ3D-nuScenes and OpenOcc."""

ROS_NAME = r"[A-Za-z]\w*(/[A-Za-z]\w*)*"  # a relative one, since topics begin with it
STAMP_END_NS = 2**31 * 10**9  # of builtin_interfaces/Time


@dataclass(frozen=True, slots=True)
class Camera:
    """One calibrated camera as it was recorded.

    Args:
        name: key of its images in each set, and its ROS namespace.
        width_px: image width.
        height_px: image height.
        K: (3, 3) intrinsics in pixels.
        base_T_camera: (4, 4) optical frame to base.
        distortion: OpenCV coefficients, empty for a pinhole image.
        distortion_model: how the coefficients are read.
    """

    name: str
    width_px: int
    height_px: int
    K: Array
    base_T_camera: Array
    distortion: tuple[float, ...] = ()
    distortion_model: DistortionModel = "plumb_bob"

    def __post_init__(self) -> None:
        if not re.fullmatch(ROS_NAME, self.name, re.ASCII):
            raise ValueError(
                f"{self.name!r}: expected a camera's name of letters, digits, underscores and /"
            )
        try:
            _check_intrinsics(self.K)
            check_distortion(self.distortion, self.distortion_model)
            check_rigid(self.base_T_camera)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        if min(self.width_px, self.height_px) < 1:
            raise ValueError(
                f"{self.name}: expected a positive image size,"
                f" got {self.width_px}x{self.height_px} px"
            )


@dataclass(frozen=True, slots=True)
class SensorFile:
    """One image or sweep on disk.

    Args:
        path: the file.
        stamp_ns: when it was taken.
        odom_T_base: (4, 4) pose of the base at that time.
    """

    path: Path
    stamp_ns: int
    odom_T_base: Array


@dataclass(frozen=True, slots=True)
class Box:
    """An annotated object.

    Args:
        id: the same over the frames of a drive where the source tracks objects.
        category: name in the source's own terms.
        base_T_box: (4, 4) box frame (origin at the centre, x forward) to base.
        size_lwh_m: length, width, height.
        velocity_mps: (x, y) over ground in base axes, None where unknown.
    """

    id: str
    category: str
    base_T_box: Array
    size_lwh_m: tuple[float, float, float]
    velocity_mps: tuple[float, float] | None

    def contains(self, points_base_m: Array) -> npt.NDArray[np.bool_]:
        """Which points (N, 3) in base lie inside, (N,)."""
        points_box_m = transform_points(inverse(self.base_T_box), points_base_m)
        inside: npt.NDArray[np.bool_] = np.abs(points_box_m) <= 0.5 * np.array(self.size_lwh_m)
        return np.logical_and.reduce(inside, axis=-1)


@dataclass(frozen=True, slots=True)
class CameraSet:
    """Everything that belongs to one reference time.

    Args:
        stamp_ns: reference time.
        odom_T_base: (4, 4) pose of the base at that time.
        images: by camera name; a camera may be missing.
        lidar: the sweep, where there is one.
        boxes: annotated objects, None where the set is not annotated.
        occupancy: file of the true occupancy (`occflow_ros.data.truth`), where there is one.
        token: of a nuScenes keyframe, by which Occ3D names its labels; empty elsewhere.
        point_labels: file of the classes of the sweep's points (`occflow_ros.data.point_labels`),
            where there is one.
    """

    stamp_ns: int
    odom_T_base: Array
    images: Mapping[str, SensorFile]
    lidar: SensorFile | None = None
    boxes: tuple[Box, ...] | None = None
    occupancy: Path | None = None
    token: str = ""
    point_labels: Path | None = None


@dataclass(frozen=True, slots=True)
class Drive:
    """A recorded drive.

    Args:
        name: of the drive or scene.
        cameras: by name, in the order in which the network gets them.
        sets: in time order.
        base_T_lidar: (4, 4), None where there is no LiDAR.
        fixed_frame: name of the frame in which poses are given.
        base_frame: name of the ego frame.
        licence: of the data.
        notes: what a user should know.

    Raises:
        ValueError: where there is no camera, a stamp is outside of what ROS can say, or sets are
            out of order or name a camera that is not calibrated.
    """

    name: str
    cameras: Mapping[str, Camera]
    sets: tuple[CameraSet, ...]
    base_T_lidar: Array | None = None
    fixed_frame: str = "odom"
    base_frame: str = "base_link"
    licence: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        if not self.cameras:
            raise ValueError(f"{self.name}: expected at least one camera")
        for stamp_ns in self._stamps_ns():
            if not 0 <= stamp_ns < STAMP_END_NS:
                raise ValueError(
                    f"{self.name}: expected stamps from 0 to {STAMP_END_NS} ns, got {stamp_ns}"
                )
        for earlier, later in pairwise(self.sets):
            if later.stamp_ns <= earlier.stamp_ns:
                raise ValueError(
                    f"{self.name}: expected camera sets in increasing time order, got"
                    f" {later.stamp_ns} ns after {earlier.stamp_ns} ns"
                )
        unknown = {name for s in self.sets for name in s.images} - set(self.cameras)
        if unknown:
            raise ValueError(
                f"{self.name}: images of cameras without calibration: {sorted(unknown)}"
            )

    def _stamps_ns(self) -> Iterator[int]:
        for camera_set in self.sets:
            yield camera_set.stamp_ns
            yield from (image.stamp_ns for image in camera_set.images.values())


@dataclass(frozen=True, slots=True)
class OccupancyTruth:
    """True occupancy and motion at one reference time.

    Args:
        semantics: (X, Y, Z) uint8 class of each voxel (`occflow_ros.data.classes`), FREE where
            empty.
        velocity_mps: (X, Y, Z, 2) float32 over ground along ego x and y, zero where static or free,
            NaN where unknown.
        observed: (X, Y, Z) bool, False where no camera of the set sees the voxel.
        lower_m: smallest corner of the box in the ego frame; the default box is that of Occ3D.
        upper_m: largest corner of the box.

    Raises:
        ValueError: where shapes, types or classes are not as above.
    """

    semantics: npt.NDArray[np.uint8]
    velocity_mps: npt.NDArray[np.float32]
    observed: npt.NDArray[np.bool_]
    lower_m: tuple[float, float, float] = OCC3D_GRID.lower_m
    upper_m: tuple[float, float, float] = OCC3D_GRID.upper_m

    def __post_init__(self) -> None:
        if self.semantics.ndim != 3 or self.semantics.dtype != np.uint8:
            raise ValueError(
                "semantics: expected (X, Y, Z) uint8,"
                f" got {self.semantics.shape} {self.semantics.dtype}"
            )
        shape = self.semantics.shape
        if self.velocity_mps.shape != (*shape, 2):
            raise ValueError(f"velocity_mps: expected {(*shape, 2)}, got {self.velocity_mps.shape}")
        if self.observed.shape != shape or self.observed.dtype != np.bool_:
            raise ValueError(f"observed: expected {shape} bool, got {self.observed.shape}")
        if (highest := int(self.semantics.max(initial=0))) > FREE:
            raise ValueError(f"semantics: expected classes 0 to {FREE}, got {highest}")
        _ = self.grid  # checks the box

    @property
    def grid(self) -> VoxelGrid:
        """Where the voxels lie."""
        x, y, z = self.semantics.shape
        return VoxelGrid(self.lower_m, self.upper_m, (x, y, z))


def _check_intrinsics(K: Array) -> None:
    if K.shape != (3, 3) or not np.isfinite(K).all():
        raise ValueError(f"K: expected 3x3 finite numbers, got {K.tolist()}")
    if min(K[0, 0], K[1, 1]) <= 0 or K[2].tolist() != [0.0, 0.0, 1.0]:
        raise ValueError(
            f"K: expected positive focal lengths and a last row 0 0 1, got {K.tolist()}"
        )
