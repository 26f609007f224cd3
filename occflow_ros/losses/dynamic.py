"""Which rays move, and what each kind may teach: dynamic disentanglement (equation 10)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.losses.reduction import masked_mean
from occflow_ros.losses.shapes import check_mask, check_shape


@dataclass(frozen=True, slots=True)
class RayMotion:
    """Rays by motion; one on a movable thing without known optical flow is in neither.

    Args:
        dynamic: (R,) bool.
        static: (R,) bool.
    """

    dynamic: Tensor
    static: Tensor


def classify_rays(
    optical_flow_px: Tensor,
    static_flow_px: Tensor,
    known: Tensor,
    movable: Tensor,
    threshold_px: float,
) -> RayMotion:
    """Equation 10: f_d = f_opt − f_s; dynamic where ‖f_d‖₂ > threshold on a movable thing.

    The static flow is f_s = K·T⁻¹·T_t^{t+1}·T·K⁻¹[x, d] − x: `reproject` of `expected_points` as
    they are, minus the rays' pixels.

    Args:
        optical_flow_px: (R, 2) at the rays; may be NaN where not known.
        static_flow_px: (R, 2).
        known: (R,) bool, the optical flow is trusted and the static point in front of the camera.
        movable: (R,) bool, the ray's pixel is of a movable class.
        threshold_px: largest difference of a static ray.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_mask("known", known, ("R",))
    check_mask("movable", movable, known.shape)
    check_shape("optical_flow_px", optical_flow_px, (len(known), 2))
    check_shape("static_flow_px", static_flow_px, (len(known), 2))
    difference_px = torch.linalg.vector_norm(optical_flow_px - static_flow_px, dim=-1)
    dynamic = known & movable & (difference_px > threshold_px)
    return RayMotion(dynamic=dynamic, static=~dynamic & (known | ~movable))


def disentangle(weights: Tensor, flow_m: Tensor, dynamic: Tensor) -> tuple[Tensor, Tensor]:
    """Let dynamic rays teach the flow field only, and all others the SDF only.

    On dynamic rays the gradient to the SDF, which lies in the weights, is stopped. On all others
    the flow is zero, so that their optical flow supervises geometry (static flow supervision).

    Args:
        weights: (R, S) rendering weights.
        flow_m: (R, S, 2) flow of the samples.
        dynamic: (R,) bool.

    Returns:
        weights (R, S) and flow (R, S, 2) for `optical_flow_errors`.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("flow_m", flow_m, (*weights.shape, 2))
    check_mask("dynamic", dynamic, weights.shape[:1])
    moves = dynamic.unsqueeze(1)
    return (
        torch.where(moves, weights.detach(), weights),
        torch.where(moves.unsqueeze(2), flow_m, 0.0),
    )


def dynamic_regularization(rendered_flow_m: Tensor, static: Tensor) -> Tensor:
    """L_dreg = ‖Σ_i w_i f_i‖₁, mean over the M_s static rays.

    Args:
        rendered_flow_m: (R, 2) flow of each ray, equation 14.
        static: (R,) bool.

    Returns:
        scalar in metres.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("rendered_flow_m", rendered_flow_m, (*static.shape, 2))
    return masked_mean(rendered_flow_m.abs().sum(dim=-1), static)
