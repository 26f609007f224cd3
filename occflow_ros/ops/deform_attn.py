"""Multi-scale deformable attention: a weighted sum of bilinear samples at predicted places."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

_CPU_SAMPLES = 2**20


def deform_attn(values: Sequence[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
    """Σ_l Σ_p A_{q,l,p} · v_l(x_{q,l,p}) per head, v_l interpolated bilinearly, zero outside.

    A location is (x, y) in units of the map: (0, 0) is the outer corner of the first cell and
    (1, 1) that of the last, so the centre of cell (row i, column j) of an H×W map lies at
    ((j + 0.5) / W, (i + 0.5) / H). Queries come last, which a CPU sums and samples fastest.
    Source: Deformable DETR, equation 3.

    Args:
        values: L maps v_l, each (B, heads, C, H_l, W_l).
        locations: (B, heads, L, P, Q, 2) where each query samples.
        weights: (B, heads, L, P, Q) attention weights A.

    Returns:
        (B, Q, heads · C), heads side by side.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    _check_shapes(values, locations, weights)
    grid = (2.0 * locations - 1.0).flatten(0, 1)  # (B·heads, L, P, Q, 2)
    weights = weights.flatten(0, 1).unsqueeze(1)  # (B·heads, 1, L, P, Q)
    at_once = _points_at_once(values[0], *locations.shape[3:5])
    total = weights.new_zeros(())
    for level, value in enumerate(values):
        chunks = zip(grid[:, level].split(at_once, 1), weights[:, :, level].split(at_once, 2))
        for chunk, weight in chunks:
            samples = functional.grid_sample(
                value.flatten(0, 1), chunk, padding_mode="zeros", align_corners=False
            )  # (B·heads, C, P', Q)
            total = total + (samples * weight).sum(dim=2)  # (B·heads, C, Q)
    heads_side_by_side = total.unflatten(0, locations.shape[:2]).flatten(1, 2)  # (B, heads·C, Q)
    return heads_side_by_side.transpose(1, 2)


def _points_at_once(value: Tensor, points: int, queries: int) -> int:
    """All on a GPU; on a CPU so few that samples stay in its caches."""
    if value.is_cuda:
        return points
    return max(1, _CPU_SAMPLES // (value.shape[:3].numel() * max(1, queries)))


def _check_shapes(values: Sequence[Tensor], locations: Tensor, weights: Tensor) -> None:
    if locations.ndim != 6 or locations.shape[2] != len(values) or locations.shape[-1] != 2:
        raise ValueError(
            f"locations: expected (B, heads, {len(values)}, P, Q, 2), got {tuple(locations.shape)}"
        )
    if weights.shape != locations.shape[:-1]:
        raise ValueError(
            f"weights: expected {tuple(locations.shape[:-1])}, got {tuple(weights.shape)}"
        )
    expected = (*locations.shape[:2], values[0].shape[2])
    for level, value in enumerate(values):
        if value.ndim != 5 or value.shape[:3] != expected:
            raise ValueError(
                f"values[{level}]: expected {expected} + (H, W), got {tuple(value.shape)}"
            )
