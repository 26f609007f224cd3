"""Ego-motion alignment in voxel space (equation 4 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from occflow_ros.structures import VoxelGrid


def voxel_warp(
    volume_past: Tensor, past_T_current: Tensor, grid: VoxelGrid
) -> tuple[Tensor, Tensor]:
    """V̂_{t_i} = ⟨V_{t_i}, T_t^{t_i} · P_t⟩: a past volume seen from the current ego frame.

    Trilinear interpolation between voxel centres; in the outer half voxel, where a neighbour is
    missing, the nearest centre stands in for it. A shift by whole voxels copies values bit by bit,
    since indices are computed in float64 and rounded once, to float32 or the type of the volume.

    Args:
        volume_past: (B, C, X, Y, Z) in the past ego frame.
        past_T_current: (B, 4, 4) float64, points of the current ego frame into the past one; on
            the volume's device or on the CPU.
        grid: where both volumes lie in their own ego frames.

    Returns:
        aligned (B, C, X, Y, Z), zero where not seen, and seen (B, 1, X, Y, Z) bool, true where
        the voxel's centre lies inside the past grid.

    Raises:
        ValueError: where the volume is not on the grid or the poses are not (B, 4, 4) float64.
    """
    _check_shapes(volume_past, past_T_current, grid)
    shape = torch.tensor(grid.shape, device=volume_past.device)
    exact = torch.promote_types(volume_past.dtype, torch.float32)
    index = past_index(past_T_current, grid, volume_past.device).to(exact)  # (B, X·Y·Z, 3)
    seen = ((index >= -0.5) & (index <= shape - 0.5)).all(dim=-1, keepdim=True)
    index = torch.minimum(index.clamp(min=0), (shape - 1).to(index))
    aligned = _trilinear(volume_past, index) * seen  # (B, X·Y·Z, C)
    return _to_volume(aligned, grid), _to_volume(seen, grid)


def past_index(
    past_T_current: Tensor, grid: VoxelGrid, device: torch.device | None = None
) -> Tensor:
    """Fractional index in the past grid of each voxel of the current one, (B, X·Y·Z, 3) float64.

    With m = lower + size·(i + 0.5) on both sides, i_past = (R·size·i + R·m₀ + t − m₀) / size,
    m₀ the centre of voxel (0, 0, 0).

    Args:
        past_T_current: (B, 4, 4) float64.
        grid: of both volumes.
        device: where the indices are wanted; the poses' own by default.
    """
    size_m = past_T_current.new_tensor(grid.voxel_size_m)
    first_m = past_T_current.new_tensor(grid.lower_m) + 0.5 * size_m
    rotation, translation_m = past_T_current[:, :3, :3], past_T_current[:, :3, 3]
    matrix = rotation * size_m / size_m[:, None]  # (B, 3, 3)
    offset = (rotation @ first_m + translation_m - first_m) / size_m  # (B, 3)
    matrix, offset = matrix.to(device), offset.to(device)
    axes = [torch.arange(count, device=matrix.device).to(matrix) for count in grid.shape]
    index = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 2)
    return index @ matrix.transpose(1, 2) + offset[:, None]


def _trilinear(volume: Tensor, index: Tensor) -> Tensor:
    """Values (B, V, C) at fractional indices (B, V, 3) inside the hull of the voxel centres."""
    batch, channels, nx, ny, nz = volume.shape
    table = volume.permute(0, 2, 3, 4, 1).reshape(-1, channels)  # (B·X·Y·Z, C)
    low = index.floor()
    high_weight = index - low  # (B, V, 3)
    first = torch.arange(batch, device=index.device).view(-1, 1, 1) * nx  # (B, 1, 1)
    (x, wx), (y, wy), (z, wz) = (
        _ends(low[..., axis], high_weight[..., axis], count)
        for axis, count in enumerate((nx, ny, nz))
    )
    columns = (first + x)[..., :, None] * ny + y[..., None, :]  # (B, V, 2, 2)
    rows = columns[..., None] * nz + z[..., None, None, :]  # (B, V, 2, 2, 2)
    weights = (wx[..., :, None] * wy[..., None, :])[..., None] * wz[..., None, None, :]
    weights = weights.reshape(-1, 8).to(volume.dtype)  # (B·V, 8)
    values = functional.embedding_bag(
        rows.reshape(-1, 8), table, per_sample_weights=weights, mode="sum"
    )
    return values.unflatten(0, (batch, -1))


def _ends(low: Tensor, high_weight: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Both neighbours along one axis and their weights, (B, V, 2) each."""
    low = low.long()
    neighbours = torch.stack((low, (low + 1).clamp(max=count - 1)), dim=-1)
    return neighbours, torch.stack((1.0 - high_weight, high_weight), dim=-1)


def _to_volume(rows: Tensor, grid: VoxelGrid) -> Tensor:
    return rows.unflatten(1, grid.shape).permute(0, 4, 1, 2, 3)  # (B, C, X, Y, Z)


def _check_shapes(volume_past: Tensor, past_T_current: Tensor, grid: VoxelGrid) -> None:
    if volume_past.ndim != 5 or tuple(volume_past.shape[2:]) != grid.shape:
        raise ValueError(
            f"volume_past: expected (B, C, *{grid.shape}), got {tuple(volume_past.shape)}"
        )
    expected = (volume_past.shape[0], 4, 4)
    if tuple(past_T_current.shape) != expected or past_T_current.dtype != torch.float64:
        raise ValueError(
            f"past_T_current: expected {expected} float64, "
            f"got {tuple(past_T_current.shape)} {past_T_current.dtype}"
        )
