"""Pseudo-labels of a recording, leaving out those that are there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from occflow_ros.data.drive import Drive
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.label_folder import LabelFolder
from occflow_ros.offboard.pseudo_labels import PseudoLabeller, PseudoLabelOptions
from occflow_ros.offboard.segments import segments


@dataclass(frozen=True, slots=True)
class Labelled:
    """What was done for one recording.

    Args:
        made: frames labelled now.
        kept: frames whose labels were there.
        known: share of the voxels of those made now that count, NaN where there were none.
    """

    made: int
    kept: int
    known: float


@dataclass(frozen=True, slots=True)
class LabelPart:
    """The labels of all frames of one recording, as a part that an engine does.

    Args:
        frames: `FrameStore`, refined or as the onboard model left it.
        drive: the same one, with its images or LiDAR.
        folder: for the labels, `begin` was called; also those of other drives.
        options: what counts.
    """

    frames: Path
    drive: Drive
    folder: LabelFolder
    options: PseudoLabelOptions

    def __str__(self) -> str:
        return f"labels of {self.drive.name}"

    def __call__(self) -> Labelled:
        """Make those that are missing.

        Raises:
            DataError: where a frame is of no set of the drive or cannot be read, or the layout has
                no place for its classes or grid.
            OutputError: where a file cannot be written.
        """
        recording = FrameStore(self.frames)
        info = recording.info
        self.folder.check(info)
        labeller = PseudoLabeller(recording, self.drive, segments(info), self.options)
        left = [
            place for place, at in enumerate(labeller.sets) if not self.folder.has(self.drive, at)
        ]
        known = 0
        for place in left:
            label = labeller.label(place)
            self.folder.write(self.drive, labeller.sets[place], info, label)
            known += int(label.known.sum())
        voxels = len(left) * info.grid.num_voxels
        return Labelled(
            len(left), len(info) - len(left), known / voxels if voxels else float("nan")
        )
