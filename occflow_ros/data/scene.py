"""Occupied voxels and how they move, predicted or true: what is compared and what is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE
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
    """

    grid: VoxelGrid
    occupied: npt.NDArray[np.bool_]
    velocity_mps: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        for field, value, shape in (
            ("occupied", self.occupied, self.grid.shape),
            ("velocity_mps", self.velocity_mps, (*self.grid.shape, 2)),
        ):
            if value.shape != shape:
                raise ValueError(f"{field}: expected shape {shape}, got {value.shape}")

    @property
    def moving(self) -> npt.NDArray[np.bool_]:
        """(X, Y, Z) occupied and faster than `MOVING_MPS`."""
        speed = np.linalg.norm(self.velocity_mps, axis=-1)
        return self.occupied & (speed > MOVING_MPS)


def truth_scene(truth: OccupancyTruth) -> VoxelScene:
    """The truth as pictures show it: everything that some camera of the set sees."""
    occupied = (truth.semantics != FREE) & truth.observed
    return VoxelScene(truth.grid, occupied, np.nan_to_num(truth.velocity_mps))
