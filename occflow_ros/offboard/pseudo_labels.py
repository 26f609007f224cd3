"""Pseudo-labels of a recorded frame: its classes, and which of them may be learned from.

A voxel counts where a sensor of a frame nearby saw it and the frames that saw it agree. Seen is
what a ray of an image crosses up to the first occupied voxel; a frame without images is looked at
from the origin of its LiDAR, in all directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.data.scene import MOVING_MPS
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3
from occflow_ros.labels.visibility import seen_by_cameras
from occflow_ros.offboard.recording import Classes, RecordedFrame, Recording, Velocities
from occflow_ros.ops.voxel_carve import carve
from occflow_ros.structures import VoxelGrid

MAX_APART_S = 0.05
"""A frame is of the set whose reference time is at most this far from its own."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PseudoLabelOptions:
    """What of a frame may be learned from.

    Args:
        radius: frames before and after that may have seen a voxel and are asked whether they agree;
            0: the frame alone.
        min_agreement: a voxel counts where at least this share of the frames that saw it have it of
            the same class.
        moving_mps: what is faster is asked of its own frame only, as it was elsewhere in others.

    Raises:
        ValueError: where a number is out of range.
    """

    radius: int = 10
    min_agreement: float = 0.5
    moving_mps: float = MOVING_MPS

    def __post_init__(self) -> None:
        if self.radius < 0 or not 0.0 <= self.min_agreement <= 1.0 or self.moving_mps < 0.0:
            raise ValueError(f"expected radius >= 0, agreement 0 to 1, speed >= 0, got {self}")


@dataclass(frozen=True, slots=True)
class PseudoLabel:
    """What to learn of one frame.

    Args:
        class_id: (X, Y, Z) uint8 in the numbers of the recording.
        velocity_mps: (X, Y, Z, 2) float32 along ego x and y; None where the model estimates none.
        visible: (X, Y, Z) bool, seen from this frame.
        known: (X, Y, Z) bool, what counts: seen from a frame, and agreed upon.
    """

    class_id: Classes
    velocity_mps: Velocities | None
    visible: Mask
    known: Mask


@dataclass(frozen=True, slots=True)
class _Look:
    """One frame, and what of it is seen from there, (X, Y, Z)."""

    frame: RecordedFrame
    visible: Mask


class PseudoLabeller:
    """Makes the pseudo-labels of the frames of a recording, in any order.

    Args:
        recording: refined, or as the onboard model left it.
        drive: the same one, with its images or LiDAR.
        segments: runs of frames that have a common world, `offboard.segments`.
        options: what counts.

    Raises:
        DataError: where a frame is not of a set of the drive.
    """

    def __init__(
        self,
        recording: Recording,
        drive: Drive,
        segments: Sequence[range],
        options: PseudoLabelOptions,
    ) -> None:
        self._recording, self._drive, self._options = recording, drive, options
        self._segments = tuple(segments)
        self.sets = sets_of(recording, drive)
        self._look = lru_cache(maxsize=2 * options.radius + 1)(self._look_from)

    def label(self, place: int) -> PseudoLabel:
        """Of one frame; raises DataError where a frame around it cannot be read."""
        here = self._look(place)
        class_id, velocity_mps = here.frame.class_id, here.frame.velocity_mps
        seen = here.visible.astype(np.uint16)
        agreed = seen.copy()
        alone = self._moves(velocity_mps)
        for other in self._around(place):
            sees, agrees = self._ask(place, other, class_id)
            seen += sees & ~alone
            agreed += agrees & ~alone
        known = (seen > 0) & (agreed >= self._options.min_agreement * seen)
        return PseudoLabel(class_id, velocity_mps, here.visible, known)

    @property
    def _grid(self) -> VoxelGrid:
        return self._recording.info.grid

    def _around(self, place: int) -> list[int]:
        """The other frames that are asked."""
        radius = self._options.radius
        segment = next(one for one in self._segments if place in one)
        near = range(max(place - radius, segment.start), min(place + radius + 1, segment.stop))
        return [other for other in near if other != place]

    def _look_from(self, place: int) -> _Look:
        (frame,) = self._recording.frames((place,))
        blocked = frame.class_id != self._recording.info.vocabulary.empty
        camera_set = self._drive.sets[self.sets[place]]
        return _Look(frame, visible_from(self._grid, blocked, self._drive, camera_set))

    def _ask(self, place: int, other: int, class_id: Classes) -> tuple[Mask, Mask]:
        """Which voxels of a frame another one saw, and of which it says the same, (X, Y, Z)."""
        poses, look = self._recording.info.world_T_base, self._look(other)
        other_T_here = se3.between(poses[other], poses[place])
        centers_m = self._grid.centers_m().double().flatten(0, 2).numpy()  # (X·Y·Z, 3)
        index, inside = self._grid.index_of(
            torch.from_numpy(se3.transform_points(other_T_here, centers_m))
        )
        flat = self._grid.flatten_index(index).numpy()  # (X·Y·Z)
        sees = look.visible.ravel()[flat] & inside.numpy()
        agrees = sees & (look.frame.class_id.ravel()[flat] == class_id.ravel())
        return sees.reshape(class_id.shape), agrees.reshape(class_id.shape)  # (X, Y, Z)

    def _moves(self, velocity_mps: Velocities | None) -> Mask:
        if velocity_mps is None:
            return np.zeros(self._grid.shape, bool)
        moves: Mask = np.hypot(velocity_mps[..., 0], velocity_mps[..., 1]) > (
            self._options.moving_mps
        )
        return moves


def sets_of(recording: Recording, drive: Drive) -> tuple[int, ...]:
    """Number of the drive's set that each frame is of; raises DataError where one is of none."""
    stamps_ns = np.array([one.stamp_ns for one in drive.sets], np.int64)
    info, found = recording.info, []
    for name, stamp_ns in zip(info.frame_names, info.stamps_ns):
        apart_s = np.abs(stamps_ns - stamp_ns) * 1e-9
        nearest = int(apart_s.argmin())
        if apart_s[nearest] > MAX_APART_S:
            raise DataError(
                f"{info.name}, frame {name}: expected a set of the drive within {MAX_APART_S} s, "
                f"the nearest is {apart_s[nearest]:.3f} s away"
            )
        found.append(nearest)
    return tuple(found)


def visible_from(grid: VoxelGrid, blocked: Mask, drive: Drive, camera_set: CameraSet) -> Mask:
    """Voxels (X, Y, Z) that the images of a set show, or its LiDAR where there are none.

    Raises:
        DataError: where it has neither.
    """
    if camera_set.images:
        return seen_by_cameras(grid, blocked, drive, camera_set)
    if drive.base_T_lidar is None:
        raise DataError(f"{drive.name}, {camera_set.stamp_ns} ns: expected images or a LiDAR")
    return _seen_around(grid, blocked, drive.base_T_lidar[:3, 3])


def _seen_around(grid: VoxelGrid, blocked: Mask, origin_m: se3.Array) -> Mask:
    """Voxels (X, Y, Z) on a way from the origin through the centre of any voxel."""
    rays_m = grid.centers_m().double().flatten(0, 2).numpy() - origin_m  # (X·Y·Z, 3)
    extent_m = np.linalg.norm(np.array(grid.upper_m) - np.array(grid.lower_m))
    length_m = np.linalg.norm(rays_m, axis=1, keepdims=True)
    beyond = 1.0 + extent_m / np.maximum(length_m, min(grid.voxel_size_m) / 2)
    return carve(blocked, grid, origin_m, origin_m + beyond * rays_m)
