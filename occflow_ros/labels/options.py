"""Settings of labels made from LiDAR and boxes."""

from __future__ import annotations

from dataclasses import dataclass

from occflow_ros.data.drive import OCC3D_GRID
from occflow_ros.structures import VoxelGrid

_CELLS_PER_VOXEL = 2


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """How labels are made.

    Args:
        grid: of the labels, in the ego frame.
        window_s: sweeps up to this long before and after a set count.
        reach_m: of these, those taken while the ego was no farther from where it is at the set.
        max_sweeps: of these, at most about so many, evenly over the drive, and the set's own.
        min_range_m: nearer returns, horizontally, come from the ego vehicle and are left out.
        box_margin_m: boxes grow by this to the sides and above; what lies in them is of the object.

    Raises:
        ValueError: where a number is out of range.
    """

    grid: VoxelGrid = OCC3D_GRID
    window_s: float = 20.0
    reach_m: float = 60.0
    max_sweeps: int = 60
    min_range_m: float = 2.5
    box_margin_m: float = 0.1

    def __post_init__(self) -> None:
        lengths = self.window_s, self.reach_m, self.min_range_m, self.box_margin_m
        if self.max_sweeps < 1 or not all(0.0 <= length < float("inf") for length in lengths):
            raise ValueError(f"expected one sweep or more and finite numbers from 0, got {self}")

    @property
    def cell_m(self) -> float:
        """Edge of the cells in which one point of a sweep stands for all."""
        return min(self.grid.voxel_size_m) / _CELLS_PER_VOXEL
