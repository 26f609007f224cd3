"""Drives to learn from with the labels of a folder in place of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from occflow_ros.data import openocc
from occflow_ros.data.drive import Drive
from occflow_ros.data.kitti_odometry import voxel_files
from occflow_ros.errors import DataError
from occflow_ros.labels.store import label_path, with_labels
from occflow_ros.training.mono.dataset import MonoDrive


def relabelled(drives: Iterable[MonoDrive], folder: Path) -> list[MonoDrive]:
    """The drives; those of which a folder has labels have these alone, the others their own.

    Args:
        drives: to train on.
        folder: of `occflow labels` or `occflow autolabel`, in any of their layouts.

    Raises:
        DataError: where the folder has labels of none of them.
    """
    drives = list(drives)
    changed = [_relabelled(one, folder) for one in drives]
    if all(one is None for one in changed):
        names = ", ".join(one.drive.name for one in drives)
        raise DataError(f"{folder}: expected labels of one of {names}, found none")
    return [own if found is None else found for own, found in zip(drives, changed)]


def label_digest(drives: Iterable[MonoDrive]) -> str:
    """Of the content of all labels, so that others in the same place are told apart."""
    digest = hashlib.blake2b(digest_size=8)
    for one in drives:
        paths = [at.occupancy for at in one.drive.sets if at.occupancy is not None]
        files = voxel_files(one.folder, one.drive.name).values()
        paths += [path for file in files for path in (file.label, file.invalid) if path is not None]
        for path in paths:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _relabelled(one: MonoDrive, folder: Path) -> MonoDrive | None:
    """None where the folder has no labels of the drive."""
    drive = _unlabelled(one.drive)
    if voxel_files(folder, drive.name):
        return replace(one, folder=folder, drive=drive)
    for root in (folder, folder / openocc.FOLDER):
        if any(label_path(root, drive, camera_set).is_file() for camera_set in drive.sets):
            return replace(one, folder=folder, drive=with_labels(drive, root))
    return None


def _unlabelled(drive: Drive) -> Drive:
    """Without what people said of its voxels and points."""
    return replace(
        drive,
        sets=tuple(replace(one, occupancy=None, point_labels=None) for one in drive.sets),
    )
