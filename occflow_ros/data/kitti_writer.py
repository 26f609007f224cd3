"""Writes a drive as one sequence of the KITTI odometry benchmark, with SemanticKITTI's labels.

    sequences/08/calib.txt, times.txt, image_2/000000.png, image_3/…, velodyne/000000.bin
    sequences/08/voxels/000000.bin, .label, .invalid
    sequences/08/labels/000000.label
    poses/08.txt

The base of the drive is the frame of the LiDAR, as in `occflow_ros.data.kitti`. Rectified camera 0
is taken to stand where camera 2 does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from occflow_ros.data import kitti, semantic_kitti
from occflow_ros.data.drive import Camera, Drive, OccupancyTruth
from occflow_ros.data.drive_writer import Capture, CapturedSet, check_sensors, store_image
from occflow_ros.data.drive_writer import lidar_points as points_of
from occflow_ros.data.point_labels import write_kitti_labels
from occflow_ros.data.scene import MOVING_MPS
from occflow_ros.data.semantic_kitti_voxels import write_bits, write_labels
from occflow_ros.data.sensors import Points, write_lidar
from occflow_ros.geometry import se3
from occflow_ros.output import output_folder

_DIGITS = 6
_REFERENCE = kitti.camera_name(2)
_RIGHT = kitti.camera_name(3)
_TOLERANCE = 1e-6


@contextmanager
def kitti_odometry_writer(
    dataroot: Path, header: Drive, overwrite: bool = False
) -> Iterator[KittiOdometryWriter]:
    """Write a new data set of one sequence set by set; it appears when the block ends well.

    Boxes are not stored. Sets with occupancy, which is on SemanticKITTI's grid, get voxel files;
    invalid is what their `lidar_mask` leaves out and the sweep does not hit.

    Args:
        dataroot: where.
        header: everything but the sets, which are ignored; its name is the sequence's.
        overwrite: replace a folder that is not empty.

    Raises:
        OutputError: where the folder is occupied or cannot be written.
        ValueError: where the cameras are not a rectified pair `cam2`, `cam3`, or the first alone,
            the base is not the frame of the LiDAR, or no set was added.
    """
    with output_folder(dataroot, overwrite) as partial:
        writer = KittiOdometryWriter(partial, header)
        yield writer
        writer.write_texts()


class KittiOdometryWriter:
    """Takes the sets of one sequence; made by `kitti_odometry_writer`."""

    def __init__(self, dataroot: Path, header: Drive) -> None:
        _check_header(header)
        self._dataroot = dataroot
        self._folder = dataroot / "sequences" / header.name
        self._header = header
        self._stamps_ns: list[int] = []
        self._odom_T_base: list[se3.Array] = []

    def add_set(self, captured: CapturedSet) -> None:
        """Write one set.

        Raises:
            ValueError: where an image is missing or was not taken at the set's own time, occupancy
                is a file, on another grid, or without `lidar_mask`, or labels are not one for each
                point.
        """
        check_sensors(captured, self._header)
        stem = f"{len(self._stamps_ns):0{_DIGITS}d}"
        for name in self._header.cameras:
            self._add_image(name, captured, stem)
        points = None
        if captured.lidar is not None:
            points = points_of(captured.lidar)
            write_lidar(_in_folder(self._folder / "velodyne") / f"{stem}.bin", points)
        if captured.occupancy is not None:
            self._add_voxels(captured, points, stem)
        if captured.point_labels is not None:
            self._add_point_labels(captured.point_labels, points, stem)
        self._stamps_ns.append(captured.stamp_ns)
        self._odom_T_base.append(captured.odom_T_base)

    def write_texts(self) -> None:
        """Write calibration, times and poses; raises ValueError without a set."""
        if not self._stamps_ns:
            raise ValueError("expected at least one set, got none")
        rect_T_base = se3.inverse(self._header.cameras[_REFERENCE].base_T_camera)
        left, right = (self._projection(name, rect_T_base) for name in (_REFERENCE, _RIGHT))
        lines = {"P0": left, "P1": right, "P2": left, "P3": right, "Tr": rect_T_base[:3]}
        calibration = [f"{key}: {_numbers(values)}" for key, values in lines.items()]
        _write_lines(self._folder / "calib.txt", calibration)
        seconds = [1e-9 * (stamp_ns - self._stamps_ns[0]) for stamp_ns in self._stamps_ns]
        _write_lines(self._folder / "times.txt", [f"{second:.9e}" for second in seconds])
        base_T_rect = se3.inverse(rect_T_base)
        rect_T_odom = se3.inverse(self._odom_T_base[0] @ base_T_rect)
        poses = [_numbers((rect_T_odom @ pose @ base_T_rect)[:3]) for pose in self._odom_T_base]
        _in_folder(self._dataroot / "poses")
        _write_lines(self._dataroot / "poses" / f"{self._header.name}.txt", poses)

    def _add_image(self, name: str, captured: CapturedSet, stem: str) -> None:
        image = captured.images.get(name)
        if image is None or image.stamp_ns != captured.stamp_ns:
            raise ValueError(
                f"{name}: expected an image at {captured.stamp_ns} ns, got {_at(image)}"
            )
        folder = f"image_{name.removeprefix('cam')}"
        written = store_image(image, self._folder / folder / stem, "png")
        if written.suffix != ".png":
            raise ValueError(f"{name}: expected PNG images, got {written.name}")

    def _projection(self, name: str, rect_T_base: se3.Array) -> se3.Array:
        """P = K [I | t] (3, 4) of points in rectified camera 0; camera 2 stands in for others."""
        camera = self._header.cameras.get(name, self._header.cameras[_REFERENCE])
        origin_rect_m = (rect_T_base @ camera.base_T_camera)[:3, 3]
        return np.column_stack((camera.K, camera.K @ -origin_rect_m))

    def _add_voxels(self, captured: CapturedSet, points: Points | None, stem: str) -> None:
        truth, seen = captured.occupancy, captured.lidar_mask
        if not isinstance(truth, OccupancyTruth) or truth.grid != semantic_kitti.GRID:
            raise ValueError(f"occupancy: expected a truth on {semantic_kitti.GRID}")
        if seen is None or points is None:
            raise ValueError("occupancy: expected a sweep and a lidar_mask beside it")
        moving = np.linalg.norm(truth.velocity_mps, axis=-1) > MOVING_MPS
        path = _in_folder(self._folder / "voxels") / stem
        labels, hit = semantic_kitti.labels_from_scene(truth.semantics, moving), voxels_of(points)
        write_bits(path.with_suffix(".bin"), hit)
        write_labels(path.with_suffix(".label"), labels)
        write_bits(path.with_suffix(".invalid"), ~(seen | hit))

    def _add_point_labels(
        self, labels: semantic_kitti.Labels, points: Points | None, stem: str
    ) -> None:
        if points is None or len(points) != len(labels):
            count = "no sweep" if points is None else f"{len(points)} points"
            raise ValueError(
                f"point_labels: expected one for each point, got {count} and {len(labels)} labels"
            )
        write_kitti_labels(_in_folder(self._folder / "labels") / f"{stem}.label", labels)


def voxels_of(points_m: Points) -> semantic_kitti.Mask:
    """Voxels (X, Y, Z) of SemanticKITTI's grid that hold points (N, 3) in the LiDAR's frame."""
    index, inside = semantic_kitti.GRID.index_of(torch.from_numpy(points_m.astype(np.float64)))
    x, y, z = index[inside].T.numpy()  # (3, M)
    voxels: semantic_kitti.Mask = np.zeros(semantic_kitti.GRID.shape, bool)
    voxels[x, y, z] = True
    return voxels


def _check_header(header: Drive) -> None:
    names = list(header.cameras)
    if names not in ([_REFERENCE], [_REFERENCE, _RIGHT]):
        raise ValueError(f"expected the cameras {_REFERENCE} and {_RIGHT}, or one, got {names}")
    if header.base_T_lidar is None or not np.allclose(header.base_T_lidar, np.eye(4)):
        raise ValueError("base_T_lidar: expected the base to be the frame of the LiDAR")
    for camera in header.cameras.values():
        _check_rectified(camera, header.cameras[_REFERENCE])


def _check_rectified(camera: Camera, reference: Camera) -> None:
    if camera.distortion:
        raise ValueError(f"{camera.name}: KITTI holds pinhole images, got {camera.distortion}")
    turn = camera.base_T_camera[:3, :3] - reference.base_T_camera[:3, :3]
    if np.abs(turn).max() > _TOLERANCE:
        raise ValueError(f"{camera.name}: expected the orientation of {reference.name}")


def _at(image: Capture | None) -> str:
    return "none" if image is None else f"one at {image.stamp_ns} ns"


def _in_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _numbers(values: se3.Array) -> str:
    return " ".join(f"{value:.12e}" for value in values.ravel())


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))
