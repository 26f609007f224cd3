"""True frames as a recording, of which only what a camera saw has a vote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occflow_ros.data.drive import Drive
from occflow_ros.errors import DataError
from occflow_ros.offboard.recording import RecordedFrame, RecordingInfo
from occflow_ros.offboard.truth import info_of, true_frame
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid


@dataclass(frozen=True, slots=True)
class TrueRecording:
    """A `Recording` of dense truth; voxels that no camera of the set sees are of no class.

    Args:
        info: of the drive.
        paths: of the truth of each frame.
    """

    info: RecordingInfo
    paths: tuple[Path, ...]

    @staticmethod
    def of_drive(drive: Drive, grid: VoxelGrid) -> TrueRecording:
        """All sets of a drive that have a truth, on a grid; raises DataError where none has."""
        truths = {i: one.occupancy for i, one in enumerate(drive.sets) if one.occupancy is not None}
        if not truths:
            raise DataError(f"{drive.name}: expected exact occupancy, found none")
        return TrueRecording(info_of(drive, tuple(truths), grid), tuple(truths.values()))

    def frames(self, indices: Iterable[int]) -> Iterator[RecordedFrame]:
        """As `Recording`."""
        for index in indices:
            truth = true_frame(self.paths[index], self.info.grid)
            class_id = np.where(truth.observed, truth.class_id, UNKNOWN_CLASS_ID)
            yield RecordedFrame(class_id.astype(np.uint8), np.nan_to_num(truth.velocity_mps))
