"""Drives of the KITTI raw data set, synchronised and rectified.

    2011_09_26/calib_cam_to_cam.txt, calib_velo_to_cam.txt, calib_imu_to_velo.txt
    2011_09_26/2011_09_26_drive_0001_sync/image_02/{timestamps.txt, data/0000000000.png}
                                         /image_03/data/0000000000.png
                                         /velodyne_points/data/0000000000.bin
                                         /oxts/data/0000000000.txt

The base is the Velodyne's frame, see `occflow_ros.data.kitti`. The pose of a frame is that of its
OXTS packet, which KITTI took within 5 ms of the image; sweeps are as they turned, with the ego's
motion in them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from occflow_ros.data import parsing
from occflow_ros.data.drive import Drive
from occflow_ros.data.kitti import (
    assemble_drive,
    check_image_count,
    choose,
    make_layout,
    read_lines,
)
from occflow_ros.data.kitti_calibration import Calibration, read_calibration, rectified_cameras
from occflow_ros.data.kitti_oxts import OxtsPacket, base_poses, parse_packet
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3

DRIVES = "*/*_drive_*_sync"

_DIGITS = 10


def drive_folders(dataroot: Path) -> dict[str, Path]:
    """Folders of all drives by their names."""
    return {path.name: path for path in sorted(dataroot.glob(DRIVES))}


def read_kitti_raw(dataroot: Path, name: str | None = None, stereo: bool = False) -> Drive:
    """Read one drive.

    Args:
        dataroot: folder of the dates.
        name: of the drive, as 2011_09_26_drive_0001_sync; None takes the only one.
        stereo: camera 3 beside camera 2.

    Raises:
        DataError: names the file and what was expected.
    """
    folders = drive_folders(dataroot)
    folder = folders[choose(dataroot, "drive", folders, name)]
    date = folder.parent
    cam_to_cam = read_calibration(date / "calib_cam_to_cam.txt")
    camera_T_base = read_calibration(date / "calib_velo_to_cam.txt").mounting()
    base_T_rect = se3.inverse(cam_to_cam.rotation("R_rect_00") @ camera_T_base)
    base_T_imu = read_calibration(date / "calib_imu_to_velo.txt").mounting()
    timestamps = folder / "image_02" / "timestamps.txt"
    stamps_ns = _read_stamps_ns(timestamps)
    layout = make_layout(folder, "image_{:02d}/data", "velodyne_points/data", _DIGITS, stereo)
    check_image_count(layout, len(stamps_ns), timestamps)
    packets = [_read_packet(folder, number) for number in range(len(stamps_ns))]
    sizes_hw_px = {number: _size_hw_px(cam_to_cam, number) for number in layout.images}
    return assemble_drive(
        name=folder.name,
        cameras=rectified_cameras(cam_to_cam, "P_rect_{:02d}", sizes_hw_px, base_T_rect),
        layout=layout,
        stamps_ns=stamps_ns,
        odom_T_base=base_poses(packets, se3.inverse(base_T_imu)),
        boxes=None,
        counted=timestamps,
    )


def _size_hw_px(cam_to_cam: Calibration, number: int) -> tuple[int, int]:
    width_px, height_px = cam_to_cam.values(f"S_rect_{number:02d}", 2)
    return int(height_px), int(width_px)


def _read_packet(folder: Path, number: int) -> OxtsPacket:
    path = folder / "oxts" / "data" / f"{number:0{_DIGITS}d}.txt"
    return parse_packet(parsing.read_text(path), str(path))


def _read_stamps_ns(path: Path) -> list[int]:
    """Stamps of lines as `2011-09-26 13:02:25.964389445`, of no named zone and read as UTC."""
    return [_stamp_ns(line, f"{path}:{row}") for row, line in enumerate(read_lines(path), start=1)]


def _stamp_ns(text: str, where: str) -> int:
    not_a_time = np.iinfo(np.int64).min  # as NumPy has it
    try:
        stamp_ns = int(np.array(text.strip(), dtype="datetime64[ns]").astype(np.int64))
    except ValueError:
        stamp_ns = not_a_time
    if stamp_ns == not_a_time:
        raise DataError(f"{where}: expected a time as 2011-09-26 13:02:25.964389445, got {text!r}")
    return stamp_ns
