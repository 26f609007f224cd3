"""Shrink an image by averaging over areas, as OpenCV's INTER_AREA does it, but only the part that
is wanted, and faster.

The sums run in OpenCV's order and precision, so that the pixels are the same, bit for bit.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from occflow_ros.geometry.camera import ImageFit

Image = npt.NDArray[np.uint8]
Table = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]


def warm_up() -> None:
    """Compile the kernel, so that the first image takes no longer than later ones."""
    fit_image(ImageFit((5, 5), (3, 3)), np.zeros((5, 5, 3), np.uint8))


def fit_image(fit: ImageFit, image: Image) -> Image:
    """Image (H, W, 3) of the fit's source size to (H', W', 3); its twin is `ImageFit.image`.

    Raises:
        ValueError: where the image has another size than the fit's source.
    """
    if image.shape[:2] != fit.source_hw_px or not _shrinks_by_a_fraction(fit):
        return fit.image(image)
    from occflow_ros.ops.area_resize_numba import resize

    (height, width), (scaled_height, scaled_width) = fit.source_hw_px, fit.scaled_hw_px
    (x, y), out = fit.offset_xy_px, np.empty((*fit.target_hw_px, 3), np.uint8)
    rows = _table(height, scaled_height, y, out.shape[0])
    columns = _table(width, scaled_width, x, out.shape[1])
    resize(np.ascontiguousarray(image), *rows, *columns, out)
    return out


def _shrinks_by_a_fraction(fit: ImageFit) -> bool:
    """OpenCV has an own, fast way where both scales are whole numbers."""
    sizes = list(zip(fit.source_hw_px, fit.scaled_hw_px))
    return fit.scaled_hw_px[0] < fit.source_hw_px[0] and any(old % new for old, new in sizes)


@lru_cache(maxsize=64)
def _table(size: int, scaled: int, start: int, count: int) -> Table:
    """Which source pixels make `count` target pixels from `start` on, along one axis.

    Returns:
        first (count,) source pixel of each target pixel, begin (count + 1,) of its weights, and
        the weights, those of a target pixel behind each other.
    """
    cells = [_cell(size, size / scaled, start + index) for index in range(count)]
    lengths = [len(weights) for _, weights in cells]
    return (
        np.array([first for first, _ in cells], np.int32),
        np.cumsum([0, *lengths], dtype=np.int32),
        np.array([weight for _, weights in cells for weight in weights], np.float32),
    )


def _cell(size: int, scale: float, index: int) -> tuple[int, list[float]]:
    """First source pixel under a target pixel, and the share of each; slivers do not count."""
    sliver = 1e-3
    lower, upper = index * scale, index * scale + scale
    width = min(scale, size - lower)
    last = min(math.floor(upper), size - 1)
    first = min(math.ceil(lower), last)
    weights = [1.0 / width] * (last - first)
    if upper - last > sliver:
        weights.append(min(upper - last, 1.0, width) / width)
    if first - lower > sliver:
        return first - 1, [(first - lower) / width, *weights]
    return first, weights
