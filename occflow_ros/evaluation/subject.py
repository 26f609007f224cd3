"""Drives as an evaluation opens them: with the sets to compare, and the truth beside the drive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from occflow_ros.cues import CueFolder
from occflow_ros.cues.truth import TruthFiles
from occflow_ros.data.drive import Drive
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.data.synthetic.image_truth import FOLDER
from occflow_ros.errors import DataError
from occflow_ros.labels.store import with_labels


@dataclass(frozen=True, slots=True)
class Subject:
    """A drive and the part of it that is compared.

    Args:
        folder: that the drive was read from.
        drive: all its sets; those before the part serve as history.
        sets: the part, without gaps.
        truth_files: exact depth and optical flow of its images; None: LiDAR points are the truth.
        cues: optical flow and movable masks as `occflow cues` made them, where they were asked for.
        image_hw_px: size of the network's images, in which optical flow is measured; None: that of
            the images themselves.
        ground_z_m: height of the ground in the ego frame, for the flat ground to compare with.
    """

    folder: Path
    drive: Drive
    sets: range
    truth_files: TruthFiles | None = None
    cues: CueFolder | None = None
    image_hw_px: tuple[int, int] | None = None
    ground_z_m: float = 0.0

    @property
    def middle(self) -> int:
        """The set that stands for the drive in an early look and in pictures."""
        return self.sets[len(self.sets) // 2]


def open_subjects(
    folder: Path,
    selection: Selection,
    sets: range,
    *,
    cues: CueFolder | None = None,
    labels: Path | None = None,
    image_hw_px: tuple[int, int] | None = None,
    ground_z_m: float = 0.0,
) -> Iterator[Subject]:
    """The selected drives of a folder, with exact depth where the synthetic world wrote it.

    Args:
        folder: as `open_drives` takes it.
        selection: of its drives.
        sets: to compare of each drive, as many of them as it has.
        cues: of their images.
        labels: folder of `occflow labels`, in place of the drives' own occupancy.
        image_hw_px: as `Subject` has it.
        ground_z_m: as `Subject` has it.

    Raises:
        DataError: where the folder holds no such drive, or a drive none of the sets or no labels.
    """
    folder = folder.expanduser()
    exact = (folder / FOLDER).is_dir()
    # The files of truth count sweeps too.
    complete = replace(selection, keyframes_only=selection.keyframes_only and not exact)
    pairs = zip(open_drives(folder, selection), open_drives(folder, complete), strict=True)
    for drive, every_set in pairs:
        chosen = range(len(drive.sets))[sets.start : sets.stop]
        if not chosen:
            raise DataError(
                f"{drive.name}: expected sets from {sets.start} on, got a drive of "
                f"{len(drive.sets)}"
            )
        yield Subject(
            folder=folder,
            drive=drive if labels is None else with_labels(drive, labels),
            sets=chosen,
            truth_files=TruthFiles(folder, every_set) if exact else None,
            cues=cues,
            image_hw_px=image_hw_px,
            ground_z_m=ground_z_m,
        )
