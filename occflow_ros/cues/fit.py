"""Cues at the size of the network's images, scaled and cut as `ImageFit` does it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from occflow_ros.cues.cue import FlowCue, Mask, flow_cue
from occflow_ros.geometry.camera import ImageFit

Indices = npt.NDArray[np.intp]


def fit_flow(cue: FlowCue, fit: ImageFit) -> FlowCue:
    """Flow of the source size to the target size.

    Each pixel takes the flow of the nearest source pixel, since a mean of two motions would be
    neither, and vectors grow or shrink with the image. Not valid where the source is not, and where
    the flow leads beyond the cut.

    Args:
        cue: (H, W) of the source size.
        fit: of both images, which have one size.

    Raises:
        ValueError: where the cue has another size than the fit's source.
    """
    pixels = _nearest(cue.valid.shape, fit)
    height, width = fit.target_hw_px
    flow_px = cue.flow_px[pixels] * np.flip(_scale_yx(fit)).astype(np.float32)
    u = np.arange(width, dtype=np.float32) + flow_px[..., 0]
    v = np.arange(height, dtype=np.float32)[:, None] + flow_px[..., 1]
    lands = (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
    return flow_cue(flow_px, cue.valid[pixels] & lands)


def fit_mask(mask: Mask, fit: ImageFit) -> Mask:
    """Mask (H, W) of the source size to the target size, by the nearest pixel.

    Raises:
        ValueError: where the mask has another size than the fit's source.
    """
    return mask[_nearest(mask.shape, fit)]


def _nearest(size_hw_px: tuple[int, ...], fit: ImageFit) -> tuple[Indices, Indices]:
    """Rows (H', 1) and columns (W',) of the source pixels nearest to the target pixels."""
    if size_hw_px != fit.source_hw_px:
        raise ValueError(f"expected a cue of {fit.source_hw_px}, got {size_hw_px}")
    offset_x, offset_y = fit.offset_xy_px
    rows, columns = (
        ((np.arange(target) + offset + 0.5) / scale).astype(np.intp).clip(max=source - 1)
        for target, offset, scale, source in zip(
            fit.target_hw_px, (offset_y, offset_x), _scale_yx(fit), fit.source_hw_px
        )
    )
    return rows[:, None], columns


def _scale_yx(fit: ImageFit) -> npt.NDArray[np.float64]:
    return np.divide(fit.scaled_hw_px, fit.source_hw_px)
