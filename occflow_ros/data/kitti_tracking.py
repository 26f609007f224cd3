"""Sequences of the KITTI tracking benchmark (KITTI-MOT).

    training/image_02/0000/000000.png, image_03/…, velodyne/0000/000000.bin
    training/calib/0000.txt, oxts/0000.txt, label_02/0000.txt
    testing/…                                                   without label_02

The base is the Velodyne's frame, see `occflow_ros.data.kitti`. Poses come from the OXTS packets.
The data set has no times; its frames are 100 ms apart.
"""

from __future__ import annotations

from pathlib import Path

from occflow_ros.data.drive import Drive
from occflow_ros.data.kitti import (
    assemble_drive,
    check_image_count,
    choose,
    make_layout,
    read_lines,
)
from occflow_ros.data.kitti_calibration import read_calibration, rectified_cameras
from occflow_ros.data.kitti_labels import read_boxes
from occflow_ros.data.kitti_oxts import base_poses, parse_packet
from occflow_ros.geometry import se3

PARTS = ("training", "testing")
IMAGES = tuple(f"{part}/image_02" for part in PARTS)
STANDING_OR_EMPTY = ("0012", "0013", "0017")
TRAINING = tuple(
    name for name in (f"{number:04d}" for number in range(21)) if name not in STANDING_OR_EMPTY
)
"""Sequences of `training` that the paper trains on: where the ego moves among moving objects."""
VALIDATION = tuple(f"{number:04d}" for number in range(15))
"""Sequences of `testing` on which the paper validates."""

_INTERVAL_NS = 100_000_000


def sequence_names(dataroot: Path, part: str | None = None) -> list[str]:
    """Names of all sequences of a part; arguments and errors as in `read_kitti_tracking`."""
    images = _part_folder(dataroot, part) / "image_02"
    return sorted(path.name for path in images.iterdir() if path.is_dir())


def read_kitti_tracking(
    dataroot: Path, part: str | None = None, sequence: str | None = None, stereo: bool = False
) -> Drive:
    """Read one sequence.

    Args:
        dataroot: folder with `training` or `testing`.
        part: which of them; None takes the only one.
        sequence: its four digits; None takes the only one.
        stereo: camera 3 beside camera 2.

    Raises:
        DataError: names the file and what was expected.
    """
    folder = _part_folder(dataroot, part)
    sequence = choose(folder / "image_02", "sequence", sequence_names(dataroot, part), sequence)
    calibration = read_calibration(folder / "calib" / f"{sequence}.txt")
    base_T_rect = se3.inverse(calibration.rotation("R_rect") @ calibration.rigid_12("Tr_velo_cam"))
    base_T_imu = calibration.rigid_12("Tr_imu_velo")
    oxts = folder / "oxts" / f"{sequence}.txt"
    odom_T_base = _read_poses(oxts, base_T_imu)
    stamps_ns = [number * _INTERVAL_NS for number in range(len(odom_T_base))]
    layout = make_layout(folder, f"image_{{:02d}}/{sequence}", f"velodyne/{sequence}", 6, stereo)
    check_image_count(layout, len(stamps_ns), oxts)
    labels = folder / "label_02" / f"{sequence}.txt"
    has_labels = labels.is_file()
    return assemble_drive(
        name=f"{folder.name}-{sequence}",
        cameras=rectified_cameras(calibration, "P{}", layout.sizes_hw_px(), base_T_rect),
        layout=layout,
        stamps_ns=stamps_ns,
        odom_T_base=odom_T_base,
        boxes=read_boxes(labels, base_T_rect, stamps_ns, odom_T_base) if has_labels else None,
        counted=oxts,
    )


def _part_folder(dataroot: Path, part: str | None) -> Path:
    parts = [name for name in PARTS if (dataroot / name / "image_02").is_dir()]
    return dataroot / choose(dataroot, "part", parts, part)


def _read_poses(path: Path, base_T_imu: se3.Array) -> list[se3.Array]:
    packets = [
        parse_packet(line, f"{path}:{row}") for row, line in enumerate(read_lines(path), start=1)
    ]
    return base_poses(packets, se3.inverse(base_T_imu))
