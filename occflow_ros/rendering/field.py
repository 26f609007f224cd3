"""SDF and flow at any point of the ego frame, from volumes on a grid (section B.5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from occflow_ros.structures import VoxelGrid

_VOXELS_PER_POINT = 4
"""Voxels of gradient volumes for each point at most: about the memory of the other gradients."""


@dataclass(frozen=True, slots=True)
class FieldValues:
    """What a field has at points (..., 3).

    Args:
        sdf_m: (...) signed distance, negative inside of what is solid.
        flow_m: (..., 2) displacement over one interval along ego x and y, or None.
    """

    sdf_m: Tensor
    flow_m: Tensor | None = None


Field = Callable[[Tensor], FieldValues]
"""Points (..., 3) of the ego frame to the values there."""


def volume_field(grid: VoxelGrid, sdf_m: Tensor, flow_m: Tensor | None = None) -> Field:
    """The field that volumes describe, all of them read together.

    Args:
        grid: where the volumes lie.
        sdf_m: S (X, Y, Z).
        flow_m: F (X, Y, Z, 2), None under the static assumption.

    Raises:
        ValueError: where a volume is not on the grid.
    """
    volumes = [_on_grid("sdf_m", sdf_m, grid.shape).unsqueeze(0)]
    if flow_m is not None:
        volumes.append(_on_grid("flow_m", flow_m, (*grid.shape, 2)).movedim(-1, 0))
    volume = torch.cat(volumes)  # (C, X, Y, Z)

    def field(points_m: Tensor) -> FieldValues:
        values = interpolate(volume, grid, points_m)  # (C, ...)
        return FieldValues(
            sdf_m=values[0],
            flow_m=None if flow_m is None else values[1:3].movedim(0, -1),
        )

    return field


def interpolate(volume: Tensor, grid: VoxelGrid, points_m: Tensor) -> Tensor:
    """Trilinear interpolation between voxel centres; elsewhere, the nearest point of their hull.

    So the outer half voxel, and all that lies outside the grid, repeats the border: a road goes
    on behind it. Differentiable once, in the volume and in the points.

    Args:
        volume: (C, X, Y, Z).
        grid: where it lies.
        points_m: (..., 3) in the ego frame.

    Returns:
        (C, ...).

    Raises:
        ValueError: where the volume is not on the grid or the points are not (..., 3).
    """
    if volume.ndim != 4 or tuple(volume.shape[1:]) != grid.shape:
        raise ValueError(f"volume: expected (C, *{grid.shape}), got {tuple(volume.shape)}")
    if points_m.shape[-1:] != (3,):
        raise ValueError(f"points_m: expected (..., 3), got {tuple(points_m.shape)}")
    shape = points_m.shape[:-1]
    entries = _entries(shape.numel(), grid, points_m.device)
    values = functional.grid_sample(
        volume.transpose(1, 3).expand(entries, -1, -1, -1, -1),  # (E, C, Z, Y, X)
        _location(points_m, grid).reshape(entries, 1, 1, -1, 3),
        padding_mode="border",
        align_corners=False,
    )  # (E, C, 1, 1, P / E)
    return values.transpose(0, 1).reshape(len(volume), *shape)  # (C, ...)


def _location(points_m: Tensor, grid: VoxelGrid) -> Tensor:
    """−1 at the lower corner of the grid and 1 at the upper one, (..., 3)."""
    lower_m, upper_m = points_m.new_tensor(grid.lower_m), points_m.new_tensor(grid.upper_m)
    scale = 2.0 / (upper_m - lower_m)
    return torch.addcmul(-1.0 - lower_m * scale, points_m, scale)


def _entries(points: int, grid: VoxelGrid, device: torch.device) -> int:
    """Into how many equal parts points are split.

    `grid_sample` gives each CPU thread whole entries of a batch, and each entry has a gradient
    volume of its own, which must pay off.
    """
    if device.type != "cpu":
        return 1
    worthwhile = max(1, _VOXELS_PER_POINT * points // grid.num_voxels)
    return math.gcd(points, min(torch.get_num_threads(), worthwhile))


def _on_grid(name: str, volume: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(volume.shape) != shape:
        raise ValueError(f"{name}: expected {shape}, got {tuple(volume.shape)}")
    return volume
