"""Sequences of the KITTI odometry benchmark, and of SemanticKITTI, which lies in the same folders.

    sequences/00/calib.txt, times.txt
    sequences/00/image_2/000000.png, image_3/000000.png, velodyne/000000.bin
    sequences/00/voxels/000000.bin, .label, .invalid, .occluded           of SemanticKITTI
    sequences/00/labels/000000.label                                      of SemanticKITTI
    poses/00.txt                 of the benchmark, or sequences/00/poses.txt of SemanticKITTI

The base is the Velodyne's frame, see `occflow_ros.data.kitti`. Poses are those of the data set;
its sweeps are free of the ego's motion. Time begins at 0 with each sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from occflow_ros.data.drive import Drive
from occflow_ros.data.kitti import (
    assemble_drive,
    check_image_count,
    choose,
    make_layout,
    numbers,
    read_lines,
)
from occflow_ros.data.kitti_calibration import read_calibration, rectified_cameras
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3

SEQUENCES = "sequences/*"
TRAINING = ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10")
VALIDATION = ("08",)
TEST = tuple(str(number) for number in range(11, 22))


@dataclass(frozen=True, slots=True)
class VoxelFiles:
    """Files of one frame's voxels, `occflow_ros.data.semantic_kitti_voxels` reads them.

    Args:
        occupied: bits of the voxels that the sweep hits.
        label: uint16 label of each voxel; None in the test sequences.
        invalid: bits of the voxels that do not count; None in the test sequences.
        occluded: bits of the voxels that the sensor does not see; None in the test sequences.
    """

    occupied: Path
    label: Path | None
    invalid: Path | None
    occluded: Path | None


def voxel_files(dataroot: Path, sequence: str) -> dict[int, VoxelFiles]:
    """Voxel grids of a sequence by frame number (every fifth one), empty where there are none."""
    folder = dataroot / "sequences" / sequence / "voxels"
    return {int(path.stem): _voxel_files(path) for path in sorted(folder.glob("*.bin"))}


def sequence_names(dataroot: Path) -> list[str]:
    """Names of all sequences that are there."""
    return sorted(path.name for path in dataroot.glob(SEQUENCES) if path.is_dir())


@dataclass(frozen=True, slots=True)
class Trajectory:
    """When the frames of a sequence were taken, and where.

    Args:
        stamps_ns: (T) from 0 on.
        odom_T_base: (T) poses (4, 4) of the base in its own first frame.
    """

    stamps_ns: list[int]
    odom_T_base: list[se3.Array]


def read_trajectory(dataroot: Path, sequence: str) -> Trajectory:
    """Times and poses of a sequence, which needs no images for it; raises DataError."""
    folder = dataroot / "sequences" / sequence
    rect_T_base = read_calibration(folder / "calib.txt").rigid_12("Tr")
    stamps_ns = _read_stamps_ns(folder / "times.txt")
    poses = _read_poses(_poses_file(dataroot, sequence), rect_T_base, len(stamps_ns))
    return Trajectory(stamps_ns, poses)


def read_kitti_odometry(dataroot: Path, sequence: str | None = None, stereo: bool = False) -> Drive:
    """Read one sequence.

    The sequences of the official split are `TRAINING`, `VALIDATION` and `TEST`; for the latter only
    SemanticKITTI has poses.

    Args:
        dataroot: folder with `sequences`.
        sequence: its two digits; None takes the only one.
        stereo: camera 3 beside camera 2.

    Raises:
        DataError: names the file and what was expected.
    """
    sequence = choose(dataroot / "sequences", "sequence", sequence_names(dataroot), sequence)
    folder = dataroot / "sequences" / sequence
    calibration = read_calibration(folder / "calib.txt")
    rect_T_base = calibration.rigid_12("Tr")
    times = folder / "times.txt"
    stamps_ns = _read_stamps_ns(times)
    layout = make_layout(folder, "image_{}", "velodyne", digits=6, stereo=stereo)
    check_image_count(layout, len(stamps_ns), times)
    odom_T_base = _read_poses(_poses_file(dataroot, sequence), rect_T_base, len(stamps_ns))
    sizes_hw_px, base_T_rect = layout.sizes_hw_px(), se3.inverse(rect_T_base)
    drive = assemble_drive(
        name=sequence,
        cameras=rectified_cameras(calibration, "P{}", sizes_hw_px, base_T_rect),
        layout=layout,
        stamps_ns=stamps_ns,
        odom_T_base=odom_T_base,
        boxes=None,
        counted=times,
    )
    return _with_point_labels(drive, folder / "labels")


def _with_point_labels(drive: Drive, folder: Path) -> Drive:
    """The drive with the labels of its sweeps, those that there are."""
    if not folder.is_dir():
        return drive
    paths = [folder / f"{number:06d}.label" for number in range(len(drive.sets))]
    return replace(
        drive,
        sets=tuple(
            replace(one, point_labels=path if path.is_file() else None)
            for one, path in zip(drive.sets, paths)
        ),
    )


def _voxel_files(occupied: Path) -> VoxelFiles:
    others = (occupied.with_suffix(f".{name}") for name in ("label", "invalid", "occluded"))
    return VoxelFiles(occupied, *(path if path.is_file() else None for path in others))


def _poses_file(dataroot: Path, sequence: str) -> Path:
    benchmark = dataroot / "poses" / f"{sequence}.txt"
    semantic = dataroot / "sequences" / sequence / "poses.txt"
    for path in (benchmark, semantic):
        if path.is_file():
            return path
    raise DataError(f"{benchmark}: file is missing, and so is {semantic}")


def _read_poses(path: Path, rect_T_base: se3.Array, count: int) -> list[se3.Array]:
    """odom_T_base (4, 4) of poses of rectified camera 0 in its own first frame."""
    lines = read_lines(path)
    if len(lines) != count:
        raise DataError(f"{path}: expected {count} poses, as times.txt has lines, got {len(lines)}")
    base_T_rect = se3.inverse(rect_T_base)
    return [
        base_T_rect @ _pose(line, f"{path}:{row}") @ rect_T_base
        for row, line in enumerate(lines, start=1)
    ]


def _pose(line: str, where: str) -> se3.Array:
    try:
        return se3.from_row_major_12(numbers(line, where, 12))
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


def _read_stamps_ns(path: Path) -> list[int]:
    return [
        round(1e9 * numbers(line, f"{path}:{row}", 1)[0])
        for row, line in enumerate(read_lines(path), start=1)
    ]
