"""Which empty voxels of a frame its sensor could know to be empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from occflow_ros.geometry.se3 import Array
from occflow_ros.offboard.recording import Classes, RecordedFrame, Recording, RecordingInfo
from occflow_ros.ops.voxel_carve import Backend, carve
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid


class Sight:
    """Leaves empty voxels behind what the same frame holds without a class.

    Onboard models say that nothing is where they see nothing. The many frames that a thing is
    hidden from would vote it away; OccFiner's distance weights answer to that in part.

    Args:
        info: of the recording, whose cameras look from the middle of them, or else the LiDAR from
            the origin.
        backend: of `ops.voxel_carve`.
    """

    def __init__(self, info: RecordingInfo, backend: Backend = "numba") -> None:
        self._grid, self._empty, self._backend = info.grid, info.vocabulary.empty, backend
        self._origin_m, self._ends_m = _sensor_m(info), _outermost_m(info.grid)

    def __call__(self, class_id: Classes) -> Classes:
        """Classes (X, Y, Z) with `UNKNOWN_CLASS_ID` where nothing is and nothing can be known."""
        empty = class_id == self._empty
        seen = carve(~empty, self._grid, self._origin_m, self._ends_m, self._backend)
        return np.where(empty & ~seen, np.uint8(UNKNOWN_CLASS_ID), class_id)


@dataclass(frozen=True, slots=True)
class SightedRecording:
    """A `Recording` whose frames come as `Sight` leaves them.

    Args:
        recording: as it was made.
    """

    recording: Recording

    @property
    def info(self) -> RecordingInfo:
        """Of the recording."""
        return self.recording.info

    def frames(self, indices: Iterable[int]) -> Iterator[RecordedFrame]:
        """As `Recording`, but for `UNKNOWN_CLASS_ID` where nothing is and nothing can be known."""
        sight = Sight(self.info)
        for frame in self.recording.frames(indices):
            yield RecordedFrame(sight(frame.class_id), frame.velocity_mps)


def _outermost_m(grid: VoxelGrid) -> Array:
    """(R, 3) centres of what would be the next voxels outside of the grid, on all sides."""
    index = np.indices([count + 2 for count in grid.shape]).reshape(3, -1).T - 1  # (·, 3)
    outside = ((index < 0) | (index == grid.shape)).any(axis=1)
    centers_m: Array = grid.lower_m + (index[outside] + 0.5) * np.array(grid.voxel_size_m)
    return centers_m


def _sensor_m(info: RecordingInfo) -> Array:
    """(3,) in the ego frame: the middle of the cameras, else the origin."""
    mounts_m = [camera.base_T_camera[:3, 3] for camera in info.cameras]
    middle_m: Array = np.mean(mounts_m, axis=0) if mounts_m else np.zeros(3)
    return middle_m
