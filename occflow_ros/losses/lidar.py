"""Range of LiDAR rays against the measurement."""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.losses.shapes import check_mask, check_shape

_MIN_RANGE_M = 1e-3
_ROOT_FLOOR = 1e-3


def lidar_range_loss(
    range_m: Tensor, measured_m: Tensor, valid: Tensor, scale_invariance: float
) -> Tensor:
    """L_range = √(mean(e²) − λ·mean(e)²) with e = ln r − ln r*, scale-invariant after Eigen et al.

    λ = 1 ignores the scale of the scene, λ = 0 is the RMSE of the logarithm. The root, which public
    implementations have and Eigen et al. have not, is √(v + ε²) − ε with ε = 10⁻³, so that its
    gradient stays finite at a perfect prediction.

    Args:
        range_m: (R,) rendered range along the ray.
        measured_m: (R,) LiDAR range.
        valid: (R,) bool, the ray has a measurement.
        scale_invariance: λ in [0, 1].

    Returns:
        scalar, zero where there is no measurement.

    Raises:
        ValueError: where the shapes differ or λ is out of range.
    """
    check_shape("range_m", range_m, ("R",))
    check_shape("measured_m", measured_m, range_m.shape)
    check_mask("valid", valid, range_m.shape)
    if not 0.0 <= scale_invariance <= 1.0:
        raise ValueError(f"scale_invariance: expected a value in [0, 1], got {scale_invariance}")
    ratio = range_m.clamp(min=_MIN_RANGE_M) / measured_m.clamp(min=_MIN_RANGE_M)
    error = torch.where(valid, ratio, 1.0).log()  # (R,)
    count = valid.sum().clamp(min=1)
    mean = error.sum() / count
    # Rounding may leave a spread just below zero where all errors are equal.
    spread = (error.square().sum() / count - scale_invariance * mean.square()).clamp(min=0.0)
    return (spread + _ROOT_FLOOR**2).sqrt() - _ROOT_FLOOR
