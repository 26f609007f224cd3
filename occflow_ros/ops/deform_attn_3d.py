"""Deformable attention in a volume: a weighted sum of trilinear samples at predicted places."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from occflow_ros.ops.deform_attn import Backend, deform_attn


def deform_attn_3d(
    values: Tensor, locations: Tensor, weights: Tensor, backend: Backend | None = None
) -> Tensor:
    """Σ_p A_{q,p} · v(x_{q,p}) per head, v interpolated trilinearly, zero outside.

    Linear interpolation along z is a sum of two bilinear samples, one in each of the slices around,
    so the volume is laid out as one tall map of its slices and the two-dimensional operator does
    the work: with its kernel on a CPU, and with its gradients.

    Args:
        values: (B, X, Y, Z, heads, C).
        locations: (B, Q, heads, P, 3) where each query samples, in cells: (i, j, k) is the centre
            of cell (i, j, k).
        weights: (B, Q, heads, P) attention weights A.
        backend: as `deform_attn` takes it.

    Returns:
        (B, Q, heads · C), heads side by side.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    _check(values, locations, weights)
    tall = _tall_map(values)
    x, y, z = locations.unbind(-1)
    below = z.detach().floor()
    slices = torch.stack((below, below + 1.0), dim=-1)  # (B, Q, heads, P, 2)
    share = 1.0 - (z.unsqueeze(-1) - slices).abs()
    inside = (slices >= 0) & (slices < values.shape[3])
    rows = slices * (values.shape[1] + 1) + x.clamp(-1.0, values.shape[1]).unsqueeze(-1)
    places = torch.stack(
        ((y.unsqueeze(-1) + 0.5).expand_as(rows) / tall.shape[2], (rows + 0.5) / tall.shape[1]),
        dim=-1,
    )  # (B, Q, heads, P, 2, 2): the two slices, then (column, row)
    shares = weights.unsqueeze(-1) * torch.where(inside, share, 0.0)
    return deform_attn(
        [tall],
        places.flatten(3, 4).unsqueeze(3),  # (B, Q, heads, 1, 2P, 2)
        shares.flatten(3, 4).unsqueeze(3),  # (B, Q, heads, 1, 2P)
        backend,
    )


def _tall_map(values: Tensor) -> Tensor:
    """Slices along z below each other, a row of zeros after each, (B, Z · (X + 1), Y, heads, C)."""
    slices = values.permute(0, 3, 1, 2, 4, 5)  # (B, Z, X, Y, heads, C)
    return functional.pad(slices, (0, 0, 0, 0, 0, 0, 0, 1)).flatten(1, 2)


def _check(values: Tensor, locations: Tensor, weights: Tensor) -> None:
    if values.ndim != 6:
        raise ValueError(f"values: expected (B, X, Y, Z, heads, C), got {tuple(values.shape)}")
    batch, heads = values.shape[0], values.shape[4]
    shape = tuple(locations.shape)
    if len(shape) != 5 or (shape[0], shape[2], shape[4]) != (batch, heads, 3):
        raise ValueError(f"locations: expected ({batch}, Q, {heads}, P, 3), got {shape}")
    if weights.shape != locations.shape[:-1]:
        raise ValueError(f"weights: expected {shape[:-1]}, got {tuple(weights.shape)}")
