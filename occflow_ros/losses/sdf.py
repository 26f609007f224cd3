"""What makes a volume a signed distance field, and no more solid than rays ask for."""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.losses.shapes import check_mask, check_shape


def eikonal_errors(gradient: Tensor) -> Tensor:
    """(1 − ‖∇S‖₂)², of samples along rays, as the paper has it, or of all voxels.

    Args:
        gradient: (..., 3) ∇S, at samples interpolated from the gradient of the volume.

    Returns:
        (...); their mean over samples inside the volume is L_eik.

    Raises:
        ValueError: where the last dimension is not 3.
    """
    check_shape("gradient", gradient, (*gradient.shape[:-1], 3))
    return (1 - torch.linalg.vector_norm(gradient, dim=-1)).square()


def hessian_loss(hessian: Tensor) -> Tensor:
    """L_H = mean |∂²S/∂i∂j| over voxels or samples and the nine entries, in 1/m.

    Args:
        hessian: (..., 3, 3) second derivatives of S.

    Raises:
        ValueError: where the last dimensions are not (3, 3).
    """
    check_shape("hessian", hessian, (*hessian.shape[:-2], 3, 3))
    return hessian.abs().mean()


def soft_sparsity_loss(sdf_m: Tensor) -> Tensor:
    """mean max(0, −S) over all voxels: nothing is solid, and no deeper, than some ray asks for.

    Args:
        sdf_m: (X, Y, Z).

    Raises:
        ValueError: where it is no volume.
    """
    check_shape("sdf_m", sdf_m, ("X", "Y", "Z"))
    return (-sdf_m).relu().mean()


def solid_behind(
    sdf_m: Tensor, range_m: Tensor, rendered_m: Tensor, slack_m: float
) -> tuple[Tensor, Tensor]:
    """Σ max(0, −s_i) over samples more than `slack_m` behind the end of their ray, and how many.

    Args:
        sdf_m: (R, S) SDF at samples inside the volume.
        range_m: (R, S) where the samples lie along the ray.
        rendered_m: (R,) range at which the ray ends; no gradient goes to it.
        slack_m: thickness of a surface that is left alone.

    Returns:
        sum (R,) in metres and count (R,) for `adaptive_sparsity_loss`.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("sdf_m", sdf_m, ("R", "S"))
    check_shape("range_m", range_m, sdf_m.shape)
    check_shape("rendered_m", rendered_m, (len(sdf_m),))
    behind = range_m > rendered_m.unsqueeze(1) + slack_m
    return torch.where(behind, (-sdf_m).relu(), 0.0).sum(dim=1), behind.sum(dim=1)


def adaptive_sparsity_loss(solid_m: Tensor, count: Tensor, valid: Tensor) -> Tensor:
    """mean max(0, −s_i) over the samples behind the ends of all rays, see `solid_behind`.

    What no ray sees behind a surface should not stay a solid block.

    Args:
        solid_m: (R,) sum over the samples of a ray that lie behind its end.
        count: (R,) how many do.
        valid: (R,) bool, the ray crosses the volume.

    Returns:
        scalar in metres, zero where no sample lies behind.

    Raises:
        ValueError: where the shapes differ.
    """
    check_mask("valid", valid, ("R",))
    check_shape("solid_m", solid_m, valid.shape)
    check_shape("count", count, valid.shape)
    total_m, samples = (torch.where(valid, value, 0).sum() for value in (solid_m, count))
    return total_m / samples.clamp(min=1)
