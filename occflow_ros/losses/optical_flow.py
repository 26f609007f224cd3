"""Optical flow as supervision of geometry and motion (equations 9 and 11)."""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.losses.reduction import RayErrors, renormalize
from occflow_ros.losses.reprojection import inside
from occflow_ros.losses.shapes import check_mask, check_shape


def optical_flow_errors(
    pixels: Tensor,
    usable: Tensor,
    ray_pixels: Tensor,
    weights: Tensor,
    flow_px: Tensor,
    known: Tensor,
    image_hw_px: tuple[int, int],
    margin: float,
) -> RayErrors:
    """Equation 9: Σ_i ŵ_i ‖O(x) − (x_i − x)‖₁ with x_i the pixels of the ray's samples.

    Which flow this supervises is in `pixels`: displaced points in the next image for joint
    geometry and motion, points as they are in the next image for the forward static flow, points
    as they are in the auxiliary previous image for the backward static flow. ŵ are the weights over
    the samples that land in the image or near it: a point just before the camera lands anywhere.

    Args:
        pixels: (R, S, 2) from `reproject`, in the other image.
        usable: (R, S) bool, in front of the camera.
        ray_pixels: (R, 2) the rays' own pixels x.
        weights: (R, S) rendering weights.
        flow_px: (R, 2) optical flow O at the rays; may be NaN where not known.
        known: (R,) bool, the optical flow is there and trusted.
        image_hw_px: size of the other image.
        margin: how far out of the image a sample may land, as a share of its size.

    Returns:
        per ray (R,) in px.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("weights", weights, ("R", "S"))
    check_shape("pixels", pixels, (*weights.shape, 2))
    check_mask("usable", usable, weights.shape)
    check_shape("ray_pixels", ray_pixels, (len(weights), 2))
    check_shape("flow_px", flow_px, (len(weights), 2))
    check_mask("known", known, (len(weights),))
    normalized, lands = renormalize(weights, usable & inside(pixels, image_hw_px, margin))
    goal = ray_pixels + torch.where(known.unsqueeze(1), flow_px, 0.0)  # (R, 2)
    distance_px = (pixels - goal.unsqueeze(1)).abs().sum(dim=-1)  # (R, S)
    valid = lands & known
    return RayErrors(torch.where(valid, (normalized * distance_px).sum(dim=1), 0.0), valid)


def dynamic_scale(dynamic: Tensor, valid: Tensor, max_scale: float) -> Tensor:
    """Equation 11: γ = min(M_all / M_d, thre).

    Args:
        dynamic: (...) bool, dynamic rays.
        valid: (...) bool, rays that have an error; only they are counted.
        max_scale: thre.

    Returns:
        scalar; `max_scale` where there is no dynamic ray.

    Raises:
        ValueError: where the shapes differ.
    """
    check_mask("dynamic", dynamic, dynamic.shape)
    check_mask("valid", valid, dynamic.shape)
    all_rays, dynamic_rays = valid.sum(), (dynamic & valid).sum()
    scale = (all_rays / dynamic_rays.clamp(min=1)).clamp(max=max_scale)
    return torch.where(dynamic_rays > 0, scale, max_scale)


def balanced_flow_loss(errors: RayErrors, dynamic: Tensor, max_scale: float) -> Tensor:
    """Equation 11: L = L_s + γ·L_d, each part the sum of its errors over the number M_all of rays.

    With γ = M_all / M_d the dynamic part is the mean over dynamic rays.

    Args:
        errors: per ray (...), of equation 9.
        dynamic: (...) bool, dynamic rays.
        max_scale: largest γ.

    Returns:
        scalar, zero where no ray is valid.

    Raises:
        ValueError: where the shapes differ.
    """
    check_shape("errors", errors.value, dynamic.shape)
    scale = dynamic_scale(dynamic, errors.valid, max_scale).to(errors.value)
    scaled = torch.where(dynamic, scale, 1.0) * errors.value
    return torch.where(errors.valid, scaled, 0.0).sum() / errors.valid.sum().clamp(min=1)
