"""Files of predicted voxels of any model, as recordings.

sequences/XX/predictions/NNNNNN.label   of SemanticKITTI, every fifth frame or all
DRIVE/TOKEN/labels.npz                  as `occflow labels` and `occflow semantics` write them

Poses and cameras come from the data set that was predicted. A drive of SemanticKITTI needs no
images for it: without them it has no cameras.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from occflow_ros.data.drive import Camera, Drive
from occflow_ros.data.kitti_odometry import read_trajectory
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.data.semantic_kitti import GRID
from occflow_ros.data.semantic_kitti_voxels import prediction_path, read_prediction
from occflow_ros.data.source import check_folder, kind_of, open_drive
from occflow_ros.data.truth import read_truth
from occflow_ros.data.vocabulary import OCC3D, SEMANTIC_KITTI
from occflow_ros.errors import DataError
from occflow_ros.geometry.se3 import Array
from occflow_ros.labels.store import label_path
from occflow_ros.offboard.recording import RecordedFrame, RecordingInfo
from occflow_ros.structures import VoxelGrid

PREDICTIONS = "sequences/*/predictions"
LABELS = "*/*/labels.npz"


@dataclass(frozen=True, slots=True)
class LabelRecording:
    """One drive whose frames are a file each.

    Args:
        info: of the frames.
        files: one per frame.
        layout: of the files.
        notes: what was left out and why, in words.
    """

    info: RecordingInfo
    files: tuple[Path, ...]
    layout: Literal["semantic_kitti", "labels"]
    notes: tuple[str, ...] = ()

    def frames(self, indices: Iterable[int]) -> Iterator[RecordedFrame]:
        """As `Recording`."""
        for place in indices:
            yield self._read(self.files[place])

    def _read(self, path: Path) -> RecordedFrame:
        if self.layout == "semantic_kitti":
            return RecordedFrame(read_prediction(path))
        truth = read_truth(path)
        if truth.grid != self.info.grid:
            raise DataError(f"{path}: expected {self.info.grid} as before, got {truth.grid}")
        known = np.isfinite(truth.velocity_mps).any()
        return RecordedFrame(truth.semantics, np.nan_to_num(truth.velocity_mps) if known else None)


def open_kitti_predictions(
    path: Path, data: Sequence[Path], drives: Collection[str] | None = None
) -> Iterator[LabelRecording]:
    """One recording for each sequence with predictions.

    Args:
        path: folder with `sequences`.
        data: folders of SemanticKITTI, of which the first with the sequence counts; without any,
            the same folder.
        drives: sequences that are wanted; None: all.

    Raises:
        DataError: where poses or calibration are missing.
    """
    for folder in sorted(path.glob(PREDICTIONS)):
        sequence = folder.parent.name
        if drives is not None and sequence not in drives:
            continue
        if files := sorted(folder.glob("*.label")):
            root = _root_of(sequence, data or (path,))
            yield _kitti(path, root, sequence, [_number(file) for file in files])


def open_labels(
    path: Path, data: Sequence[Path], drives: Collection[str] | None = None
) -> Iterator[LabelRecording]:
    """One recording for each drive with files.

    Args:
        path: folder of the drives.
        data: folders of the drives themselves.
        drives: names of those that are wanted; None: all.

    Raises:
        DataError: where the drives are missing, or a file that says on which grid the others are.
    """
    if not data:
        raise DataError(
            f"{path}: expected the drives that were predicted, as the files have no poses; give "
            "their folder by --data"
        )
    names = {file.parent.parent.name for file in path.glob(LABELS)}
    names = names if drives is None else names & {*drives}
    found = [drive for drive in _drives(data, names) if drive.name in names]
    if missing := names - {drive.name for drive in found}:
        raise DataError(
            f"{', '.join(map(str, data))}: expected the drives {', '.join(sorted(names))}, of "
            f"which {path} has predictions, found no {', '.join(sorted(missing))}"
        )
    for drive in found:
        yield _labels(path, drive)


def _root_of(sequence: str, folders: Sequence[Path]) -> Path:
    """The first folder that has a sequence, else the first."""
    having = (folder for folder in folders if (folder / "sequences" / sequence).is_dir())
    return next(having, folders[0])


def _number(file: Path) -> int:
    if not file.stem.isdecimal():
        raise DataError(f"{file}: expected the number of a frame, as in 000000.label")
    return int(file.stem)


def _kitti(path: Path, data: Path, sequence: str, numbers: list[int]) -> LabelRecording:
    stamps_ns, poses, cameras = _kitti_drive(data, sequence)
    if numbers[-1] >= len(stamps_ns):
        raise DataError(
            f"{prediction_path(path, sequence, numbers[-1])}: expected frames 0 to "
            f"{len(stamps_ns) - 1}, as {data} has times"
        )
    info = RecordingInfo(
        name=sequence,
        grid=GRID,
        vocabulary=SEMANTIC_KITTI,
        frame_names=tuple(f"{number:06d}" for number in numbers),
        stamps_ns=tuple(stamps_ns[number] for number in numbers),
        world_T_base=np.stack([poses[number] for number in numbers]),  # (T, 4, 4)
        cameras=cameras,
    )
    files = tuple(prediction_path(path, sequence, number) for number in numbers)
    return LabelRecording(info, files, "semantic_kitti")


def _kitti_drive(data: Path, sequence: str) -> tuple[list[int], list[Array], tuple[Camera, ...]]:
    """Times, poses and cameras of a sequence."""
    folder = data / "sequences" / sequence
    try:
        if not (folder / "image_2").is_dir():
            trajectory = read_trajectory(data, sequence)
            return trajectory.stamps_ns, trajectory.odom_T_base, ()
        drive = open_drive(data, sequence)
    except DataError as error:
        raise DataError(
            f"{error}; give a folder of SemanticKITTI with calib.txt, times.txt and poses of "
            f"sequence {sequence} by --data"
        ) from None
    stamps_ns = [one.stamp_ns for one in drive.sets]
    return stamps_ns, [one.odom_T_base for one in drive.sets], tuple(drive.cameras.values())


def _drives(data: Sequence[Path], names: set[str]) -> Iterator[Drive]:
    for folder in data:
        named = len(data) == 1 and kind_of(check_folder(folder)) == "nuscenes"
        scenes = tuple(sorted(names)) if named else ()  # only the tables that are needed
        yield from open_drives(folder, Selection(scenes=scenes))


def _labels(path: Path, drive: Drive) -> LabelRecording:
    files = [label_path(path, drive, one) for one in drive.sets]
    there = [place for place, file in enumerate(files) if file.is_file()]
    folder = path / drive.name
    strange = len(list(folder.glob("*/labels.npz"))) - len(there)
    if not there:
        raise DataError(
            f"{folder}: expected predictions of sets of the drive, found {strange} of others"
        )
    sets = [drive.sets[place] for place in there]
    info = RecordingInfo(
        name=drive.name,
        grid=_grid(files[there[0]]),
        vocabulary=OCC3D,
        frame_names=tuple(files[place].parent.name for place in there),
        stamps_ns=tuple(one.stamp_ns for one in sets),
        world_T_base=np.stack([one.odom_T_base for one in sets]),  # (T, 4, 4)
        cameras=tuple(drive.cameras.values()),
    )
    notes = (f"{strange} predictions of no set of the drive left out",) if strange else ()
    return LabelRecording(info, tuple(files[place] for place in there), "labels", notes)


def _grid(path: Path) -> VoxelGrid:
    return read_truth(path).grid
