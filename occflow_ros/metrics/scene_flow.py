"""Scene flow as KITTI and the paper measure it (section C.3): disparity and optical flow of pixels.

Every number is a mean over the pixels of an image, and then over the images that have such pixels.
Pixels of the disparity are those with a LiDAR depth; those of the flow have a known flow besides.
What the paper calls an error "smaller than 4 pixels or 5 %" is no outlier, so an outlier is beyond
both bounds, as KITTI has it.

The paper's own code differs in two details: it counts depths below 51.2 m, where its grid ends, and
an image without foreground adds a foreground error of 0, which lowers DE_FG and EPE_FG.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from occflow_ros.metrics.accumulator import Accumulator, ImageMean
from occflow_ros.metrics.depth import MAX_DEPTH_M, MIN_DEPTH_M

Values = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

BASELINE_M = 0.5327119
"""Between the two colour cameras of KITTI, as the paper takes it; no second camera is needed."""


@dataclass(frozen=True, slots=True)
class OutlierRule:
    """An error is an outlier where it is larger than both bounds.

    Args:
        error_px: absolute bound.
        share: bound relative to the length of the true value.
    """

    error_px: float
    share: float


D1_RULE = OutlierRule(4.0, 0.05)
"""D1_5%."""

F1_RULE = OutlierRule(8.0, 0.10)
"""F1_10%, and both parts of SF1_10%."""

KITTI_RULE = OutlierRule(3.0, 0.05)
"""Of the official benchmark, for all three."""

_DEPTH = "has a known depth in the range"
_FLOW = f"{_DEPTH} and a known flow"
_PIXELS = {
    "de_px": _DEPTH,
    "epe_px": _FLOW,
    "de_fg_px": f"of the foreground {_DEPTH}",
    "epe_fg_px": f"of the foreground {_FLOW}",
    "epe_moving_px": f"that moves {_FLOW}",
    "d1": _DEPTH,
    "f1": _FLOW,
    "sf1": _FLOW,
    "kitti_d1": _DEPTH,
    "kitti_f1": _FLOW,
    "kitti_sf1": _FLOW,
}


@dataclass(frozen=True, slots=True)
class SceneFlowErrors(Accumulator):
    """Errors of disparity and optical flow, added up over images.

    Args:
        de_px: DE, error of disparity.
        epe_px: EPE, length of the error of optical flow.
        de_fg_px: DE_FG, over the foreground.
        epe_fg_px: EPE_FG, over the foreground.
        epe_moving_px: over the pixels of the foreground that really move.
        d1: D1_5%, share of outliers of disparity.
        f1: F1_10%, share of outliers of optical flow.
        sf1: SF1_10%, share of outliers of one or the other.
        kitti_d1: as `d1` by KITTI's own rule.
        kitti_f1: as `f1` by KITTI's own rule.
        kitti_sf1: as `sf1` by KITTI's own rule.
    """

    de_px: ImageMean = ImageMean()
    epe_px: ImageMean = ImageMean()
    de_fg_px: ImageMean = ImageMean()
    epe_fg_px: ImageMean = ImageMean()
    epe_moving_px: ImageMean = ImageMean()
    d1: ImageMean = ImageMean()
    f1: ImageMean = ImageMean()
    sf1: ImageMean = ImageMean()
    kitti_d1: ImageMean = ImageMean()
    kitti_f1: ImageMean = ImageMean()
    kitti_sf1: ImageMean = ImageMean()

    def numbers(self) -> dict[str, float]:
        """The means by name, NaN where no image has such pixels; `reasons` says which."""
        return {field.name: getattr(self, field.name).value for field in fields(self)}

    def reasons(self) -> dict[str, str]:
        """Why numbers are NaN, by their names."""
        empty = (name for name, value in self.numbers().items() if math.isnan(value))
        return {name: f"no pixel {_PIXELS[name]}" for name in empty}


@dataclass(frozen=True, slots=True)
class PixelScenes:
    """What is known of pixels of one image, or predicted for them.

    Args:
        depth_m: (...) along the optical axis.
        flow_px: (..., 2) optical flow to the next image.
    """

    depth_m: Values
    flow_px: Values

    def __post_init__(self) -> None:
        expected = (*self.depth_m.shape, 2)
        if self.flow_px.shape != expected:
            raise ValueError(f"flow_px: expected {expected}, got {self.flow_px.shape}")


def disparity_px(depth_m: Values, fx_px: float, baseline_m: float = BASELINE_M) -> Values:
    """fx · baseline / depth, as a second camera beside the first one would measure it."""
    return fx_px * baseline_m / depth_m


def scene_flow_errors(
    predicted: PixelScenes,
    true: PixelScenes,
    fx_px: float,
    *,
    flow_known: Mask,
    foreground: Mask,
    moving: Mask,
    range_m: tuple[float, float] = (MIN_DEPTH_M, MAX_DEPTH_M),
) -> SceneFlowErrors:
    """Compare the pixels of one image whose true depth lies in a range.

    Optical flow and scene flow count where the true flow is known as well.

    Args:
        predicted: depth is clamped to the range.
        true: depth may be infinite, flow anything where it is not known.
        fx_px: focal length of the image at the size in which flow is measured.
        flow_known: (...) the true flow is there.
        foreground: (...) pixels of movable things.
        moving: (...) those of the foreground that move.
        range_m: smallest and largest depth.

    Raises:
        ValueError: where the shapes differ, or a value that counts was predicted as NaN.
    """
    _check_shapes(predicted, true, flow_known, foreground, moving)
    nearest_m, farthest_m = range_m
    chosen = (true.depth_m >= nearest_m) & (true.depth_m <= farthest_m)
    known, movable, moves = (mask[chosen] for mask in (flow_known, foreground, moving))  # (P,)
    true_px = disparity_px(true.depth_m[chosen].astype(np.float64), fx_px)
    depth_m = predicted.depth_m[chosen].astype(np.float64).clip(nearest_m, farthest_m)
    disparity = np.abs(disparity_px(depth_m, fx_px) - true_px)
    flow = _flow_errors(predicted.flow_px[chosen], true.flow_px[chosen], known)
    true_flow = np.linalg.norm(true.flow_px[chosen].astype(np.float64), axis=-1)

    def outliers(rule: OutlierRule) -> tuple[Mask, Mask]:
        return _outliers(disparity, true_px, rule), _outliers(flow, true_flow, rule)

    loose_d, loose_f = outliers(F1_RULE)
    kitti_d, kitti_f = outliers(KITTI_RULE)
    everywhere = np.ones_like(known)
    return SceneFlowErrors(
        de_px=_mean(disparity, everywhere),
        epe_px=_mean(flow, known),
        de_fg_px=_mean(disparity, movable),
        epe_fg_px=_mean(flow, known & movable),
        epe_moving_px=_mean(flow, known & movable & moves),
        d1=_mean(_outliers(disparity, true_px, D1_RULE), everywhere),
        f1=_mean(loose_f, known),
        sf1=_mean(loose_d | loose_f, known),
        kitti_d1=_mean(kitti_d, everywhere),
        kitti_f1=_mean(kitti_f, known),
        kitti_sf1=_mean(kitti_d | kitti_f, known),
    )


def _flow_errors(predicted_px: Values, true_px: Values, known: Mask) -> npt.NDArray[np.float64]:
    """Length of the difference, (P,); zero where not known."""
    difference_px = predicted_px.astype(np.float64) - true_px
    return np.linalg.norm(np.where(known[:, None], difference_px, 0.0), axis=-1)


def _outliers(error_px: Values, true_px: Values, rule: OutlierRule) -> Mask:
    return (error_px > rule.error_px) & (error_px > rule.share * true_px)


def _mean(values: npt.NDArray, where: Mask) -> ImageMean:
    if not where.any():
        return ImageMean()
    mean = float(values[where].mean())
    if math.isnan(mean):
        raise ValueError(f"predicted: expected numbers, got NaN in {np.isnan(values[where]).sum()}")
    return ImageMean.of(mean)


def _check_shapes(predicted: PixelScenes, true: PixelScenes, *masks: Mask) -> None:
    shapes = [predicted.depth_m.shape, true.depth_m.shape, *(mask.shape for mask in masks)]
    if len(set(shapes)) > 1:
        raise ValueError(f"expected equal shapes, got {', '.join(map(str, shapes))}")
