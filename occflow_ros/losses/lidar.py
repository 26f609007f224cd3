"""Where LiDAR rays end against the measurement."""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.losses.shapes import check_mask, check_shape

_MIN_RANGE_M = 1e-3
_ROOT_FLOOR = 1e-3
_LEAST_STOPPED = 1e-12


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


def line_of_sight_errors(
    log_survival: Tensor, ends_m: Tensor, measured_m: Tensor, slack_m: float
) -> Tensor:
    """Cross entropy of whether each ray is still on its way after a step: yes before its return.

    −ln T_i for steps that end before the return, −ln(1 − T_i) for those that end at it or behind
    it, up to `slack_m` behind; their mean over a ray. A proper score of where the ray ends: unlike
    the error of the expected range it is not content with a mean that is right by chance, and its
    gradient does not fade where nothing stops the ray yet. Not of the paper; as in line-of-sight
    losses of neural mapping, on the survival instead of the SDF, so nothing is claimed about what
    lies behind the return.

    Args:
        log_survival: (R, S) ln T_i after each step.
        ends_m: (R, S) range at which each step ends.
        measured_m: (R,) LiDAR range.
        slack_m: how far behind the return steps count.

    Returns:
        (R,), zero where no step counts.

    Raises:
        ValueError: where the shapes differ.
    """
    check_shape("log_survival", log_survival, ("R", "S"))
    check_shape("ends_m", ends_m, log_survival.shape)
    check_shape("measured_m", measured_m, (len(log_survival),))
    measured_m = measured_m.unsqueeze(1)
    stopped = -torch.expm1(log_survival)
    errors = torch.where(
        ends_m < measured_m, -log_survival, -stopped.clamp(min=_LEAST_STOPPED).log()
    )
    counts = ends_m < measured_m + slack_m  # (R, S)
    return torch.where(counts, errors, 0.0).sum(dim=1) / counts.sum(dim=1).clamp(min=1)
