"""Brings drives that were recorded in fixed frames of their own into one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from occflow_ros.errors import ConfigError
from occflow_ros.geometry.se3 import Array, from_row_major_12
from occflow_ros.offboard.recording import RecordedFrame, Recording, RecordingInfo


@dataclass(frozen=True, slots=True)
class MovedRecording:
    """A `Recording` with its poses in another fixed frame.

    Args:
        recording: as it was made.
        world_T_own: (4, 4) from its fixed frame into the one wanted.
    """

    recording: Recording
    world_T_own: Array

    @property
    def info(self) -> RecordingInfo:
        """With the poses in the frame wanted."""
        info = self.recording.info
        return replace(info, world_T_base=self.world_T_own @ info.world_T_base)

    def frames(self, indices: Iterable[int]) -> Iterator[RecordedFrame]:
        """As `Recording`."""
        return self.recording.frames(indices)


def aligned(
    recordings: Sequence[Recording], world_T_own: Mapping[str, Array]
) -> tuple[Recording, ...]:
    """Recordings with poses in one frame.

    Args:
        recordings: as they were made.
        world_T_own: (4, 4) for each drive to move, by its name; the others stay.

    Raises:
        ConfigError: where a name is that of no drive.
    """
    names = {recording.info.name for recording in recordings}
    if unknown := sorted(world_T_own.keys() - names):
        raise ConfigError(f"align: expected names out of {sorted(names)}, got {unknown}")
    return tuple(
        MovedRecording(one, world_T_own[one.info.name]) if one.info.name in world_T_own else one
        for one in recordings
    )


def read_transform(path: Path) -> Array:
    """(4, 4) of a text file with its first three rows or all four; raises ConfigError."""
    try:
        numbers = np.loadtxt(path, dtype=np.float64).reshape(-1)  # (12) or (16)
        if len(numbers) == 16 and numbers[12:].tolist() == [0.0, 0.0, 0.0, 1.0]:
            numbers = numbers[:12]
        return from_row_major_12(numbers)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: expected a rigid transform, 12 or 16 numbers: {error}"
        ) from None
