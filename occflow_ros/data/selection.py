"""Which drives of a folder a command takes: all, those named, or an official split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from occflow_ros.data import kitti_odometry, kitti_raw, kitti_tracking
from occflow_ros.data.drive import Drive
from occflow_ros.data.nuscenes import read_nuscenes_scenes
from occflow_ros.data.source import check_folder, kind_of, open_drive, version_of
from occflow_ros.errors import DataError

Split = Literal["train", "val"]

_ODOMETRY = {"train": kitti_odometry.TRAINING, "val": kitti_odometry.VALIDATION}
_TRACKING = {
    "train": ("training", kitti_tracking.TRAINING),
    "val": ("testing", kitti_tracking.VALIDATION),
}
_NUSCENES = {
    "v1.0-trainval": {"train": "train", "val": "val"},
    "v1.0-mini": {"train": "mini_train", "val": "mini_val"},
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Drives of a folder, and which of their sets.

    Args:
        scenes: names as `open_drive` takes them; none takes all that the folder holds.
        version: tables of a nuScenes data set, or `training` or `testing` of KITTI tracking.
        split: official one: of nuScenes by nuscenes-devkit, of KITTI odometry by SemanticKITTI, of
            KITTI tracking by the paper.
        keyframes_only: of nuScenes scenes, leave out what lies between the keyframes.

    Raises:
        ValueError: where scenes and a split are given.
    """

    scenes: tuple[str, ...] = ()
    version: str | None = None
    split: Split | None = None
    keyframes_only: bool = True

    def __post_init__(self) -> None:
        if self.scenes and self.split is not None:
            raise ValueError(f"expected scenes or a split, got {self.scenes} and {self.split}")

    @property
    def arguments(self) -> tuple[str, ...]:
        """The same as arguments of a command line."""
        named = (("--version", self.version), ("--split", self.split))
        return (
            *(word for scene in self.scenes for word in ("--scene", scene)),
            *(word for option, value in named if value is not None for word in (option, value)),
            *(() if self.keyframes_only else ("--sweeps",)),
        )


def open_drives(source: str | Path, selection: Selection) -> Iterator[Drive]:
    """Read the selected drives of a folder one by one, tables that they share once.

    Args:
        source: the folder; of a data set, its root.
        selection: what counts of it.

    Raises:
        DataError: where the folder holds no drive, or not what was asked for; a scene of a split
            that is missing is an error too.
    """
    folder = check_folder(source)
    match kind_of(folder):
        case "nuscenes":
            return _nuscenes_scenes(folder, selection)
        case "kitti_odometry":
            names = selection.scenes or kitti_odometry.sequence_names(folder)
            if selection.split is not None:
                names = _ODOMETRY[selection.split]
            return _each(folder, names, selection.version)
        case "kitti_tracking":
            return _tracking_sequences(folder, selection)
        case _ if selection.split is not None:
            raise DataError(
                f"{folder}: expected no split, as none is official for its kind of data"
            )
        case "kitti_raw":
            names = selection.scenes or tuple(kitti_raw.drive_folders(folder))
            return _each(folder, names, selection.version)
        case _:
            return _each(folder, selection.scenes or (None,), selection.version)


def _nuscenes_scenes(folder: Path, selection: Selection) -> Iterator[Drive]:
    version, scenes = version_of(folder, selection.version), selection.scenes
    if selection.split is not None:
        scenes = _devkit_scenes(folder / version, selection.split)
    return read_nuscenes_scenes(folder, version, scenes, selection.keyframes_only)


def _devkit_scenes(tables: Path, split: Split) -> tuple[str, ...]:
    if tables.name not in _NUSCENES:
        raise DataError(
            f"{tables}: expected one of {', '.join(_NUSCENES)}, which have an official split;"
            " name scenes instead"
        )
    try:
        from nuscenes.utils.splits import create_splits_scenes
    except ImportError as error:
        raise DataError(
            f"{tables}: its official split is that of nuscenes-devkit, which cannot be imported"
            f" ({error}); install the extra: pip install 'occflow_ros[nuscenes]'"
        ) from None
    return tuple(create_splits_scenes()[_NUSCENES[tables.name][split]])


def _tracking_sequences(folder: Path, selection: Selection) -> Iterator[Drive]:
    if selection.split is None:
        part = selection.version
        names = selection.scenes or kitti_tracking.sequence_names(folder, part)
        return _each(folder, names, part)
    part, names = _TRACKING[selection.split]
    if selection.version not in (None, part):
        raise DataError(
            f"{folder}: expected the version {part} for the split {selection.split},"
            f" got {selection.version}"
        )
    return _each(folder, names, part)


def _each(folder: Path, scenes: Sequence[str | None], version: str | None) -> Iterator[Drive]:
    for scene in scenes:
        yield open_drive(folder, scene, version)
