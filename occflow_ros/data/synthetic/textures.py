"""Band-limited procedural patterns: detail finer than the pixel's footprint fades to its mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_CELLS = 32


def noise_table(generator: torch.Generator) -> Tensor:
    """(32³,) float32 values in [−1, 1] for `noise`."""
    return torch.rand(_CELLS**3, generator=generator) * 2.0 - 1.0


def noise(table: Tensor, points: Tensor) -> Tensor:
    """Smooth value noise in [−1, 1] at points (N, 3), one lattice cell per unit."""
    cell = torch.floor(points)
    part = points - cell
    part = part * part * (3.0 - 2.0 * part)
    low = cell.to(torch.int32) & (_CELLS - 1)
    high = (low + 1) & (_CELLS - 1)
    (x0, y0, z0), (x1, y1, z1) = low.unbind(1), high.unbind(1)
    fx, fy, fz = part.unbind(1)

    def row(y: Tensor, z: Tensor) -> Tensor:
        base = (y + z * _CELLS) * _CELLS
        return torch.lerp(table[base + x0], table[base + x1], fx)

    near = torch.lerp(row(y0, z0), row(y1, z0), fy)
    return torch.lerp(near, torch.lerp(row(y0, z1), row(y1, z1), fy), fz)


def fractal(
    table: Tensor,
    points_m: Tensor,
    footprint_m: Tensor,
    octaves: Sequence[tuple[float, float]],
) -> Tensor:
    """Sum of noises that each fade where their wavelength is below two footprints.

    Args:
        table: of `noise_table`.
        points_m: (N, 3).
        footprint_m: (N,) width of a pixel on the surface.
        octaves: wavelength (m) and amplitude of each.

    Returns:
        (N,).
    """
    total = torch.zeros_like(footprint_m)
    for wavelength_m, amplitude in octaves:
        weight = amplitude * (1.5 - footprint_m / wavelength_m * 2.0).clamp(0.0, 1.0)
        seen = weight.nonzero().squeeze(1)
        total[seen] += weight[seen] * noise(table, points_m[seen] / wavelength_m + wavelength_m)
    return total


def stripes(value: Tensor, period: float | Tensor, share: float | Tensor, width: Tensor) -> Tensor:
    """Box-filtered square wave: 1 in the first `share` of each period, averaged over `width`.

    Args:
        value: (N,) coordinate.
        period: length of one period.
        share: part of it that is 1.
        width: (N,) filter width in the unit of the coordinate.

    Returns:
        (N,) in [0, 1].
    """

    def integral(position: Tensor) -> Tensor:
        whole = torch.floor(position)
        return whole * share + torch.minimum(position - whole, torch.as_tensor(share))

    half = 0.5 * width.clamp(min=1e-4) / period
    position = value / period
    return (integral(position + half) - integral(position - half)) / (2.0 * half)


def band(value: Tensor, center: float | Tensor, half: float | Tensor, width: Tensor) -> Tensor:
    """Box-filtered indicator of |value − centre| ≤ half, (N,) in [0, 1]."""
    width = width.clamp(min=1e-4)
    low = torch.maximum(value - 0.5 * width, torch.as_tensor(center - half))
    high = torch.minimum(value + 0.5 * width, torch.as_tensor(center + half))
    return ((high - low) / width).clamp(0.0, 1.0)
