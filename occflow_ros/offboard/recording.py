"""A drive as an onboard model saw it: what voxels are, how they move, and where the vehicle was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from occflow_ros.data.drive import Camera
from occflow_ros.data.vocabulary import Vocabulary
from occflow_ros.geometry.se3 import Array, check_rigid
from occflow_ros.structures import VoxelGrid

Classes = npt.NDArray[np.uint8]
Velocities = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """What the onboard model said of one reference time.

    Args:
        class_id: (X, Y, Z) uint8, places in `Vocabulary.names`; its `empty` where nothing is.
        velocity_mps: (X, Y, Z, 2) float32 over ground along ego x and y, zero where empty or
            unknown; None where the model estimates no motion.

    Raises:
        ValueError: where the shapes or types are others.
    """

    class_id: Classes
    velocity_mps: Velocities | None = None

    def __post_init__(self) -> None:
        if self.class_id.ndim != 3 or self.class_id.dtype != np.uint8:
            raise ValueError(
                f"class_id: expected (X, Y, Z) uint8, got {self.class_id.shape} "
                f"{self.class_id.dtype}"
            )
        if self.velocity_mps is None:
            return
        expected = (*self.class_id.shape, 2)
        if self.velocity_mps.shape != expected or self.velocity_mps.dtype != np.float32:
            raise ValueError(
                f"velocity_mps: expected {expected} float32, got {self.velocity_mps.shape} "
                f"{self.velocity_mps.dtype}"
            )


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """What all frames of a recording have in common, and where each was taken.

    Args:
        name: of the drive.
        grid: of all frames, in the ego frame of each.
        vocabulary: what its voxels can be.
        frame_names: what each of the T frames is called where it comes from, all different.
        stamps_ns: (T) reference times, ascending.
        world_T_base: (T, 4, 4) float64 poses of the base in one fixed frame.
        cameras: that the model looked through; empty where it used LiDAR.

    Raises:
        ValueError: where there is no frame, lengths differ, times do not ascend or a pose is none.
    """

    name: str
    grid: VoxelGrid
    vocabulary: Vocabulary
    frame_names: tuple[str, ...]
    stamps_ns: tuple[int, ...]
    world_T_base: Array
    cameras: tuple[Camera, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.stamps_ns)
        if not count:
            raise ValueError(f"{self.name}: expected at least one frame")
        if len(self.frame_names) != count or len(set(self.frame_names)) != count:
            raise ValueError(f"{self.name}: expected {count} different frame names")
        if self.world_T_base.shape != (count, 4, 4):
            raise ValueError(
                f"{self.name}: expected poses ({count}, 4, 4), got {self.world_T_base.shape}"
            )
        if any(later <= earlier for earlier, later in pairwise(self.stamps_ns)):
            raise ValueError(f"{self.name}: expected ascending times, got {self.stamps_ns}")
        for name, pose in zip(self.frame_names, self.world_T_base):
            try:
                check_rigid(pose)
            except ValueError as error:
                raise ValueError(f"{self.name}, pose of frame {name}: {error}") from None

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def times_s(self) -> npt.NDArray[np.float64]:
        """(T) seconds since the first frame."""
        stamps_ns = np.array(self.stamps_ns, np.int64)
        return (stamps_ns - stamps_ns[0]) * 1e-9


class Recording(Protocol):
    """Frames that can be read, whatever they lie in; another process can be given it."""

    @property
    def info(self) -> RecordingInfo:
        """What is known without reading a frame."""

    def frames(self, indices: Iterable[int]) -> Iterator[RecordedFrame]:
        """The frames with these places, ascending, in order.

        Raises:
            DataError: where one cannot be read or is on another grid or has other classes.
        """
