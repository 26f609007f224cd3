"""Opacity and weights of samples from signed distances (equation 13, NeuS)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def learned_sharpness(parameter: Tensor) -> Tensor:
    """ξ = e^{10 v} per metre of a learnable scalar v; v = 0.1 at the start gives 2.7 / m."""
    return torch.exp(10.0 * parameter)


def scheduled_sharpness(progress: float, start_per_m: float, end_per_m: float) -> float:
    """ξ = start^{1−p} · end^p for a progress p, held outside [0, 1].

    Example: from 2 / m to 32 / m, half-way gives 8 / m.
    """
    share = min(max(progress, 0.0), 1.0)
    return float(start_per_m ** (1.0 - share) * end_per_m**share)


def alphas(sdf_m: Tensor, sharpness_per_m: Tensor | float) -> Tensor:
    """α_i = max((Φ(s_i) − Φ(s_{i+1})) / Φ(s_i), 0) with Φ(s) = 1 / (1 + e^{−ξ s}).

    Example: s = (1, −1) m and ξ = 2 / m gives α = (0.881 − 0.119) / 0.881 = 0.865.

    Args:
        sdf_m: (R, S) signed distances s along each ray.
        sharpness_per_m: ξ > 0, learnable as a scalar tensor.

    Returns:
        (R, S − 1) in [0, 1], of the steps between samples.

    Raises:
        ValueError: where there are fewer than two samples or ξ is no scalar.
    """
    return -torch.expm1(_log_kept(sdf_m, sharpness_per_m))


def weights(sdf_m: Tensor, sharpness_per_m: Tensor | float) -> Tensor:
    """w_i = α_i Π_{j<i} (1 − α_j), the share of step i, given half to each of its two ends.

    With that Σ w_i t_i takes each step at its middle; at its start, depth would come out half a
    step too short.

    Args:
        sdf_m: (R, S) signed distances along each ray.
        sharpness_per_m: ξ > 0, learnable as a scalar tensor.

    Returns:
        (R, S) of the samples, not negative; the sum over a ray is its opacity, at most 1.

    Raises:
        ValueError: where there are fewer than two samples or ξ is no scalar.
    """
    log_kept = _log_kept(sdf_m, sharpness_per_m)
    transmittance = torch.exp(log_kept.cumsum(dim=-1) - log_kept)  # (R, S − 1), before each step
    half = -0.5 * torch.expm1(log_kept) * transmittance
    return functional.pad(half, (1, 0)) + functional.pad(half, (0, 1))


def log_survival(sdf_m: Tensor, sharpness_per_m: Tensor | float) -> Tensor:
    """ln Π_{j≤i} (1 − α_j): how likely a ray is still on its way after step i.

    Precise, with a gradient, where hardly anything has stopped the ray, and where all has.

    Args:
        sdf_m: (R, S) signed distances along each ray.
        sharpness_per_m: ξ > 0, learnable as a scalar tensor.

    Returns:
        (R, S − 1), at most 0, falling along the ray.

    Raises:
        ValueError: where there are fewer than two samples or ξ is no scalar.
    """
    return _log_kept(sdf_m, sharpness_per_m).cumsum(dim=-1)


def _log_kept(sdf_m: Tensor, sharpness_per_m: Tensor | float) -> Tensor:
    """log(1 − α_i) = min(log Φ(s_{i+1}) − log Φ(s_i), 0), finite deep inside, (R, S − 1)."""
    if sdf_m.ndim != 2 or sdf_m.shape[1] < 2:
        raise ValueError(f"sdf_m: expected (R, S) with S >= 2, got {tuple(sdf_m.shape)}")
    if isinstance(sharpness_per_m, Tensor) and sharpness_per_m.numel() != 1:
        raise ValueError(f"sharpness_per_m: expected a scalar, got {tuple(sharpness_per_m.shape)}")
    log_phi = functional.logsigmoid(sdf_m * sharpness_per_m)
    return -functional.relu(log_phi[:, :-1] - log_phi[:, 1:])
