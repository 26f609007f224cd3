"""Derivatives of a volumetric SDF on its own grid, which eikonal and Hessian losses read.

Trilinear interpolation has no second derivative along an axis inside a cell and a jump of the
first one between cells, so derivatives are differences of voxels, not of the interpolation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.structures import VoxelGrid

_AXES = (-3, -2, -1)


def sdf_gradient(sdf_m: Tensor, grid: VoxelGrid) -> Tensor:
    """∇S by central differences, one-sided at the border: exact for planes.

    Args:
        sdf_m: (..., X, Y, Z) signed distance.
        grid: where the volume lies.

    Returns:
        (..., X, Y, Z, 3) along ego x, y and z; its length is 1 in a true SDF.

    Raises:
        ValueError: where the volume is not on the grid, or the grid has fewer than 3 voxels
            along an axis.
    """
    _check(sdf_m, grid)
    return torch.stack(_first(sdf_m, grid), dim=-1)


def sdf_hessian(sdf_m: Tensor, grid: VoxelGrid) -> Tensor:
    """∇∇S by central differences, the border as its neighbour: exact for quadratic fields.

    Args:
        sdf_m: (..., X, Y, Z) signed distance.
        grid: where the volume lies.

    Returns:
        (..., X, Y, Z, 3, 3), symmetric, per metre.

    Raises:
        ValueError: where the volume is not on the grid, or the grid has fewer than 3 voxels
            along an axis.
    """
    _check(sdf_m, grid)
    gradient = _first(sdf_m, grid)
    entries = [
        _second(sdf_m, row, grid) if row == column else _along(gradient[row], column, grid)
        for row in range(3)
        for column in range(3)
    ]
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))  # (..., X, Y, Z, 3, 3)


def _first(volume: Tensor, grid: VoxelGrid) -> tuple[Tensor, ...]:
    return torch.gradient(volume, spacing=grid.voxel_size_m, dim=_AXES)


def _along(volume: Tensor, axis: int, grid: VoxelGrid) -> Tensor:
    spacing_m, dim = grid.voxel_size_m[axis], _AXES[axis]
    (slope,) = torch.gradient(volume, spacing=spacing_m, dim=dim)
    return slope


def _second(volume: Tensor, axis: int, grid: VoxelGrid) -> Tensor:
    dim = _AXES[axis]
    inner = volume.diff(n=2, dim=dim) / grid.voxel_size_m[axis] ** 2
    ends = inner.narrow(dim, 0, 1), inner.narrow(dim, inner.shape[dim] - 1, 1)
    return torch.cat((ends[0], inner, ends[1]), dim=dim)


def _check(sdf_m: Tensor, grid: VoxelGrid) -> None:
    if tuple(sdf_m.shape[-3:]) != grid.shape:
        raise ValueError(f"sdf_m: expected (..., *{grid.shape}), got {tuple(sdf_m.shape)}")
    if min(grid.shape) < 3:
        raise ValueError(f"expected at least 3 voxels along each axis, got {grid.shape}")
