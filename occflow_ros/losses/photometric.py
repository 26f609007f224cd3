"""Reprojection photometric loss (equation 8): L1 and D-SSIM with auto-mask, after monodepth2.

D-SSIM compares neighbourhoods, and a rendered ray has none of its own. Its neighbours are those in
the ray grid: colours are taken at the rays' pixels, one random pixel in each cell, and D-SSIM runs
over 3 × 3 windows of that (h, w) grid, as in public implementations. A dense patch of neighbouring
pixels is such a grid too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from occflow_ros.losses.reduction import RayErrors, renormalize
from occflow_ros.losses.reprojection import inside, sample_images
from occflow_ros.losses.shapes import check_mask, check_shape

_C1, _C2 = 0.01**2, 0.03**2


@dataclass(frozen=True, slots=True)
class SourceColors:
    """What the rays see in the previous or the next images; rays as (R, ...) or (N, h, w, ...).

    Args:
        l1: Σ_i ŵ_i |I(x) − I'(x_i)|, mean over the channels.
        color: (..., 3) Σ_i ŵ_i I'(x_i).
        valid: bool, the source sees the ray.
    """

    l1: Tensor
    color: Tensor
    valid: Tensor


def source_colors(
    target: Tensor,
    images: Tensor,
    camera: Tensor,
    pixels: Tensor,
    usable: Tensor,
    weights: Tensor,
) -> SourceColors:
    """The part of equation 8 that needs the samples of a ray.

    ŵ are the weights over the samples that land in the image; a ray most of which leaves it or
    lies behind the camera is not valid. With S = 1 and weight 1 the one sample is the point at the
    rendered depth.

    Args:
        target: (R, 3) colours I(x) of the rays' own pixels, in [0, 1].
        images: (N, 3, H, W) source images, in [0, 1].
        camera: (R,) int64, the ray's camera.
        pixels: (R, S, 2) x_i from `reproject`.
        usable: (R, S) bool, in front of a camera whose image is there; false too for rays that are
            to be left out of this source, such as dynamic ones in the previous images.
        weights: (R, S) rendering weights.

    Returns:
        (R, ...).

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("weights", weights, (len(camera), "S"))
    check_shape("target", target, (len(camera), 3))
    check_shape("images", images, ("N", 3, "H", "W"))
    check_shape("pixels", pixels, (*weights.shape, 2))
    check_mask("usable", usable, weights.shape)
    height, width = images.shape[-2:]
    normalized, valid = renormalize(weights, usable & inside(pixels, (height, width)))
    colors = sample_images(images, camera, pixels)  # (R, S, 3)
    difference = (colors - target.unsqueeze(1)).abs().mean(dim=-1)  # (R, S)
    return SourceColors(
        l1=(normalized * difference).sum(dim=1),
        color=(normalized.unsqueeze(-1) * colors).sum(dim=1),
        valid=valid,
    )


def photometric_errors(
    target: Tensor,
    sources: Sequence[SourceColors],
    still: Sequence[Tensor] | None,
    ssim_weight: float,
) -> RayErrors:
    """L(x) = min over the sources of (1 − a)·Σ_i ŵ_i |I − I'(x_i)| + a·DSSIM(I, Σ_i ŵ_i I'(x_i)).

    With the auto-mask, the same error against the same pixel of the source is in the minimum too,
    without gradient: what does not move in the image teaches nothing. A source that does not see
    a ray has no part in that ray's minimum.

    Args:
        target: (N, h, w, 3) colours of the rays' own pixels, in [0, 1].
        sources: of the previous and the next images, each (N, h, w, ...).
        still: (N, h, w, 3) colours of the rays' own pixels in each source, None for no auto-mask.
        ssim_weight: a, the share of D-SSIM.

    Returns:
        per ray (N, h, w), valid where some source sees it.

    Raises:
        ValueError: where there is no source or the shapes do not belong together.
    """
    _check(target, sources, still)
    valid = torch.stack([source.valid for source in sources])  # (sources, N, h, w)
    best = _least([_moved_error(target, source, ssim_weight) for source in sources], valid)
    if still is not None:
        unmoved = _least([_still_error(target, color, ssim_weight) for color in still], valid)
        best = torch.where(best < unmoved, best, unmoved)
    seen = valid.any(dim=0)
    return RayErrors(torch.where(seen, best, 0.0), seen)


def dssim(first: Tensor, second: Tensor, valid: Tensor) -> Tensor:
    """(1 − SSIM) / 2 in [0, 1], over 3 × 3 windows of the ray grid, mean over the channels.

    Statistics of a window are those of its valid rays; beyond the border there are none.

    Args:
        first: (N, h, w, C) colours in [0, 1].
        second: (N, h, w, C).
        valid: (N, h, w) bool.

    Returns:
        (N, h, w), without meaning where not valid.

    Raises:
        ValueError: where the shapes differ.
    """
    check_shape("first", first, ("N", "h", "w", "C"))
    check_shape("second", second, first.shape)
    check_mask("valid", valid, first.shape[:-1])
    x, y = first.permute(0, 3, 1, 2), second.permute(0, 3, 1, 2)  # (N, C, h, w)
    mask = valid.unsqueeze(1).to(x)  # (N, 1, h, w)
    share = avg_pool2d(mask, 3, stride=1, padding=1).clamp(min=1e-6)

    def mean(value: Tensor) -> Tensor:
        return avg_pool2d(value * mask, 3, stride=1, padding=1) / share

    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (variance_x + variance_y + _C2)
    return ((1 - luminance * structure) / 2).clamp(0.0, 1.0).mean(dim=1)


def _moved_error(target: Tensor, source: SourceColors, ssim_weight: float) -> Tensor:
    dissimilarity = dssim(target, source.color, source.valid)
    return (1 - ssim_weight) * source.l1 + ssim_weight * dissimilarity


@torch.no_grad()
def _still_error(target: Tensor, color: Tensor, ssim_weight: float) -> Tensor:
    l1 = (color - target).abs().mean(dim=-1)
    everywhere = torch.ones_like(l1, dtype=torch.bool)
    return _moved_error(target, SourceColors(l1, color, everywhere), ssim_weight)


def _least(errors: list[Tensor], valid: Tensor) -> Tensor:
    return torch.where(valid, torch.stack(errors), torch.inf).amin(dim=0)


def _check(target: Tensor, sources: Sequence[SourceColors], still: Sequence[Tensor] | None) -> None:
    if not sources:
        raise ValueError("sources: expected at least one image to reproject into, got none")
    if still is not None and len(still) != len(sources):
        raise ValueError(f"still: expected one per source ({len(sources)}), got {len(still)}")
    check_shape("target", target, ("N", "h", "w", 3))
    for index, source in enumerate(sources):
        check_shape(f"sources[{index}].l1", source.l1, target.shape[:-1])
        check_shape(f"sources[{index}].color", source.color, target.shape)
        check_mask(f"sources[{index}].valid", source.valid, target.shape[:-1])
    for index, color in enumerate(still or ()):
        check_shape(f"still[{index}]", color, target.shape)
