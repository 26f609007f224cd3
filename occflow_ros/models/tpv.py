"""Geometry of the tri-perspective view: three planes of cells and the lines behind their cells.

The paper's H, W, Z are the axes x, y, z of the ego frame, so T^HW holds (x, y), T^ZH (z, x) and
T^WZ (y, z).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from occflow_ros.structures import VoxelGrid

PLANES = ((0, 1), (2, 0), (1, 2))
"""Row and column axis of T^HW, T^ZH and T^WZ."""


def missing_axis(plane: tuple[int, int]) -> int:
    """The axis along which a plane sees lines."""
    return 3 - sum(plane)


def other_planes(plane: tuple[int, int]) -> list[int]:
    """Positions in `PLANES` of {T^{p_j}}, p_j ∈ P − {p_i}."""
    return [index for index, other in enumerate(PLANES) if other != plane]


def line_points(plane: tuple[int, int], shape: tuple[int, int, int], points: int) -> Tensor:
    """Points spread evenly on the line behind each cell, in units of the grid's box.

    Returns:
        (P, Q, 3) with components (x, y, z) in (0, 1), cells in row-major order.
    """
    counts = {missing_axis(plane): points, plane[0]: shape[plane[0]], plane[1]: shape[plane[1]]}
    axes = [(torch.arange(count) + 0.5) / count for count in counts.values()]
    values = torch.meshgrid(*axes, indexing="ij")  # three of (P, rows, columns)
    by_axis = dict(zip(counts, values))
    return torch.stack([by_axis[axis] for axis in range(3)], dim=-1).flatten(1, 2)


def to_metres(unit_points: Tensor, grid: VoxelGrid) -> Tensor:
    """Points (..., 3) in units of the grid's box to ego coordinates."""
    lower, upper = unit_points.new_tensor(grid.lower_m), unit_points.new_tensor(grid.upper_m)
    return lower + unit_points * (upper - lower)


def sum_planes(planes: Sequence[Tensor], shape: tuple[int, int, int]) -> Tensor:
    """Each plane repeated along its missing axis, and their sum V.

    Args:
        planes: tokens (B, rows · columns, C) in the order of `PLANES`.
        shape: (X, Y, Z).

    Returns:
        (B, C, X, Y, Z), channels last in memory.
    """
    hw, zh, wz = (
        tokens.unflatten(1, (shape[rows], shape[columns]))
        for tokens, (rows, columns) in zip(planes, PLANES)
    )  # (B, X, Y, C), (B, Z, X, C), (B, Y, Z, C)
    volume = hw[:, :, :, None] + zh.transpose(1, 2)[:, :, None] + wz[:, None]  # (B, X, Y, Z, C)
    return volume.permute(0, 4, 1, 2, 3)


class PlaneEncoding(nn.Module):
    """Position of a plane's cells in metres: sines and cosines, mixed by a linear layer.

    Args:
        plane: row and column axis.
        grid: the cells' box and number.
        channels: C.
        wavelengths: how many, in geometric steps from two cells to twice the range.
    """

    waves: Tensor

    def __init__(
        self, plane: tuple[int, int], grid: VoxelGrid, channels: int, wavelengths: int = 8
    ) -> None:
        super().__init__()
        centers_m = to_metres(line_points(plane, grid.shape, 1), grid)[0][:, list(plane)]  # (Q, 2)
        encoded = waves(centers_m, wavelengths_m(grid, wavelengths))
        self.register_buffer("waves", encoded, persistent=False)
        self.mix = nn.Linear(self.waves.shape[-1], channels)

    def forward(self) -> Tensor:
        """(Q, C)."""
        return self.mix(self.waves)


def wavelengths_m(grid: VoxelGrid, count: int) -> Tensor:
    """(count,) in geometric steps from two cells to twice the range."""
    shortest_m = 2.0 * min(grid.voxel_size_m)
    longest_m = 2.0 * max(high - low for low, high in zip(grid.lower_m, grid.upper_m))
    return torch.logspace(math.log10(shortest_m), math.log10(longest_m), count)


def waves(positions: Tensor, lengths: Tensor) -> Tensor:
    """Positions (..., D) to sines and cosines for each of L wavelengths, (..., D · 2L)."""
    phase = 2.0 * math.pi * positions.unsqueeze(-1) / lengths  # (..., D, L)
    return torch.cat((phase.sin(), phase.cos()), dim=-1).flatten(-2)
