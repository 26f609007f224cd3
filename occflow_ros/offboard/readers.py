"""Opens recorded predictions of any kind by looking at what the folder holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from occflow_ros.errors import DataError
from occflow_ros.offboard.bag_reader import open_bag_recording
from occflow_ros.offboard.frame_store import INFO, FrameStore
from occflow_ros.offboard.label_reader import (
    LABELS,
    PREDICTIONS,
    open_kitti_predictions,
    open_labels,
)
from occflow_ros.offboard.recording import Recording

Format = Literal["bag", "semantic_kitti", "labels", "frames"]

_BAG = "metadata.yaml"


def open_recordings(
    path: Path, data: Sequence[Path] = (), drives: Collection[str] | None = None
) -> tuple[Recording, ...]:
    """The recordings of a path, one for each drive.

    Args:
        path: rosbag2 folder or `.mcap` file, folder with `sequences/XX/predictions/*.label` or with
            `DRIVE/TOKEN/labels.npz`, `FrameStore` or folder of several.
        data: folders of the drives that were predicted, for the poses and cameras that the path
            lacks.
        drives: names of those that are wanted where there can be several; None: all.

    Raises:
        DataError: where it holds no predictions, or poses are missing, or frames of one drive are
            on different grids.
    """
    path, data = path.expanduser(), tuple(folder.expanduser() for folder in data)
    found: Sequence[Recording]
    match format_of(path):
        case "bag":
            found = [open_bag_recording(path, data)]
        case "semantic_kitti":
            found = list(open_kitti_predictions(path, data, drives))
        case "labels":
            found = list(open_labels(path, data, drives))
        case "frames":
            stores = map(FrameStore, recording_folders(path))
            found = [one for one in stores if drives is None or one.info.name in drives]
    if not found:
        wanted = "" if drives is None else f" of {', '.join(drives)}"
        raise DataError(f"{path}: expected predictions{wanted}, found none")
    return tuple(found)


def notes_of(recording: Recording) -> tuple[str, ...]:
    """What was left out of a recording and why, in words."""
    notes: tuple[str, ...] = getattr(recording, "notes", ())
    return notes


def format_of(path: Path) -> Format:
    """What a path holds; raises DataError where it is nothing that is known."""
    if path.suffix == ".mcap" or (path / _BAG).is_file() or any(path.glob("*.mcap")):
        return "bag"
    if any(path.glob(PREDICTIONS)):
        return "semantic_kitti"
    if recording_folders(path):
        return "frames"
    if any(path.glob(LABELS)):
        return "labels"
    raise DataError(
        f"{path}: expected a rosbag2 folder with {_BAG}, sequences/XX/predictions/*.label, "
        f"DRIVE/TOKEN/labels.npz, recordings with {INFO}"
    )


def recording_folders(folder: Path) -> list[Path]:
    """The folder itself where it is a recording, else those in it that are; links count once."""
    if (folder / INFO).is_file():
        return [folder]
    return sorted({path.parent.resolve() for path in folder.glob(f"*/{INFO}")})
