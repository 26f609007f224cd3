"""Edge-aware smoothness of what the ray grid shows, after monodepth2."""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.losses.shapes import check_shape


def depth_smoothness_loss(depth_m: Tensor, colors: Tensor) -> Tensor:
    """`edge_aware_smoothness` of d / mean(d): the depth of each camera in units of its mean.

    In metres, shrinking the scene would be rewarded.

    Args:
        depth_m: (N, h, w) rendered depth.
        colors: (N, h, w, 3) of the rays' pixels, in [0, 1].

    Raises:
        ValueError: where the shapes do not belong together or the grid has less than 2 × 2 rays.
    """
    check_shape("depth_m", depth_m, ("N", "h", "w"))
    mean_m = depth_m.mean(dim=(1, 2), keepdim=True).clamp(min=1e-3)
    return edge_aware_smoothness((depth_m / mean_m).unsqueeze(-1), colors)


def flow_smoothness_loss(flow_m: Tensor, colors: Tensor) -> Tensor:
    """`edge_aware_smoothness` of the rendered flow (N, h, w, 2), in metres."""
    check_shape("flow_m", flow_m, ("N", "h", "w", 2))
    return edge_aware_smoothness(flow_m, colors)


def edge_aware_smoothness(values: Tensor, colors: Tensor) -> Tensor:
    """mean ‖∂_x v‖₁·e^{−|∂_x I|} + mean ‖∂_y v‖₁·e^{−|∂_y I|} over neighbours in the ray grid.

    Args:
        values: (N, h, w, C).
        colors: (N, h, w, 3) of the rays' pixels, in [0, 1]; |∂I| is the mean over the channels.

    Raises:
        ValueError: where the shapes do not belong together or the grid has less than 2 × 2 rays.
    """
    check_shape("values", values, ("N", "h", "w", "C"))
    check_shape("colors", colors, (*values.shape[:-1], 3))
    if min(values.shape[1:3]) < 2:
        raise ValueError(f"values: expected 2 × 2 rays or more, got {tuple(values.shape[1:3])}")
    return _along(values, colors, dim=2) + _along(values, colors, dim=1)


def _along(values: Tensor, colors: Tensor, dim: int) -> Tensor:
    step = torch.diff(values, dim=dim).abs().sum(dim=-1)
    edge = torch.diff(colors, dim=dim).abs().mean(dim=-1)
    return (step * (-edge).exp()).mean()
