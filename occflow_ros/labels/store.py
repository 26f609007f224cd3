"""Labels on disk, in the layout of Occ3D.

    <folder>/<scene>/<token>/labels.npz     of a nuScenes keyframe
    <folder>/<drive>/<stamp_ns>/labels.npz  of any other set

With `<dataroot>/gts` as the folder, the nuScenes loader finds them. Files are those of
`occflow_ros.data.truth`, with the mask of what LiDAR knows.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.data.truth import read_truth, write_truth
from occflow_ros.errors import DataError, OutputError
from occflow_ros.labels.labeller import Label
from occflow_ros.output import write_bytes
from occflow_ros.structures import VoxelGrid


def label_path(folder: Path, drive: Drive, camera_set: CameraSet) -> Path:
    """File of the labels of one set; raises DataError where the drive's name is no folder's."""
    if drive.name != Path(drive.name).name or drive.name in ("", ".", ".."):
        raise DataError(f"{drive.name!r}: expected a drive's name that can be that of a folder")
    return folder / drive.name / (camera_set.token or str(camera_set.stamp_ns)) / "labels.npz"


def with_labels(drive: Drive, folder: Path) -> Drive:
    """The drive with its labels in place of its own occupancy; raises DataError without any.

    Sets without labels have no occupancy then.
    """
    paths = [label_path(folder, drive, camera_set) for camera_set in drive.sets]
    if not any(path.is_file() for path in paths):
        raise DataError(f"{folder}: expected labels of {drive.name}, as {paths[0]}, found none")
    return replace(
        drive,
        sets=tuple(
            replace(camera_set, occupancy=path if path.is_file() else None)
            for camera_set, path in zip(drive.sets, paths)
        ),
    )


def holds_label(path: Path, grid: VoxelGrid) -> bool:
    """Whether a whole file is there; raises OutputError where it is on another grid."""
    if not path.is_file():
        return False
    try:
        found = read_truth(path).grid
    except DataError:  # damaged, so it is made again
        return False
    if found != grid:
        raise OutputError(
            f"{path}: expected labels on {grid}, found them on {found}; give --overwrite to replace"
            " them, or another --out"
        )
    return True


def write_label(path: Path, label: Label) -> None:
    """Write one file, whole or not at all; raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    file = io.BytesIO()
    write_truth(file, label.truth, label.known)
    write_bytes(path, file.getvalue())
