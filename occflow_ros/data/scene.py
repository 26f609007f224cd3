"""Occupied voxels and how they move, predicted or true: what is compared and what is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.structures import VoxelGrid

MOVING_MPS = 0.5


@dataclass(frozen=True, slots=True)
class VoxelScene:
    """Occupied voxels of one reference time.

    Args:
        grid: where they lie in the ego frame.
        occupied: (X, Y, Z) bool.
        velocity_mps: (X, Y, Z, 2) over ground along ego x and y, zero where unknown.
        class_id: (X, Y, Z) uint8 what fills the occupied voxels, a place in `class_names` or
            `UNKNOWN_CLASS_ID`; None where there are no classes.
        class_names: that the numbers are places in.

    Raises:
        ValueError: where a volume is not on the grid, or classes have no names or names no classes.
    """

    grid: VoxelGrid
    occupied: npt.NDArray[np.bool_]
    velocity_mps: npt.NDArray[np.float32]
    class_id: npt.NDArray[np.uint8] | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, value, shape in (
            ("occupied", self.occupied, self.grid.shape),
            ("velocity_mps", self.velocity_mps, (*self.grid.shape, 2)),
            ("class_id", self.class_id, self.grid.shape),
        ):
            if value is not None and value.shape != shape:
                raise ValueError(f"{field}: expected shape {shape}, got {value.shape}")
        if (self.class_id is None) != (not self.class_names):
            raise ValueError("class_names: expected them beside class_id, and only there")

    @property
    def moving(self) -> npt.NDArray[np.bool_]:
        """(X, Y, Z) occupied and faster than `MOVING_MPS`."""
        speed = np.linalg.norm(self.velocity_mps, axis=-1)
        return self.occupied & (speed > MOVING_MPS)


def truth_scene(truth: OccupancyTruth) -> VoxelScene:
    """The truth as pictures show it: everything that some camera of the set sees."""
    occupied = (truth.semantics != FREE) & truth.observed
    velocity_mps = np.nan_to_num(truth.velocity_mps)
    return VoxelScene(truth.grid, occupied, velocity_mps, truth.semantics, NAMES)
