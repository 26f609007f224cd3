"""Means over the samples of a ray and over rays."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.losses.shapes import check_mask, check_shape

_MIN_OPACITY = 1e-6
_MIN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class RayErrors:
    """One error per ray.

    Args:
        value: (...) errors, zero where not valid.
        valid: (...) bool, the error counts.
    """

    value: Tensor
    valid: Tensor


def renormalize(weights: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """ŵ_i = w_i / Σ_j w_j over the samples of a ray that count.

    Without it an empty ray would have no error, and emptiness would be rewarded. A ray counts where
    at least half its weight does: the remainder would say little about where the ray ends.

    Args:
        weights: (..., S) rendering weights, sum at most 1.
        where: (..., S) bool, samples that count.

    Returns:
        ŵ (..., S), zero on rays that do not count, and valid (...) bool.
    """
    kept = torch.where(where, weights, 0.0)
    total = kept.sum(dim=-1, keepdim=True)
    enough = (total > _MIN_OPACITY) & (total >= _MIN_SHARE * weights.sum(dim=-1, keepdim=True))
    normalized = torch.where(enough, kept / total.clamp(min=_MIN_OPACITY), 0.0)
    return normalized, enough.squeeze(-1)


def masked_mean(value: Tensor, where: Tensor) -> Tensor:
    """Mean over the elements (...) that count, zero where none does.

    Raises:
        ValueError: where the shapes differ.
    """
    check_shape("value", value, where.shape)
    check_mask("where", where, where.shape)
    return torch.where(where, value, 0.0).sum() / where.sum().clamp(min=1)
