"""From the distorted image of a real lens to the pinhole image the network expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from occflow_ros.geometry.camera import Image
from occflow_ros.geometry.se3 import Array

DistortionModel = Literal["plumb_bob", "rational_polynomial", "equidistant"]

_COEFFICIENTS: dict[DistortionModel, tuple[int, ...]] = {
    "plumb_bob": (4, 5, 8, 12, 14),
    "rational_polynomial": (4, 5, 8, 12, 14),
    "equidistant": (4,),
}


class Rectifier:
    """Removes lens distortion; the pinhole image keeps size and intrinsics K of the source.

    Args:
        K: (3, 3) intrinsics in pixels.
        distortion: OpenCV coefficients; empty means the image is a pinhole image, and so does all
            zero except in the equidistant model, where it is an ideal fisheye lens.
        height_px: image height.
        width_px: image width.
        model: how the coefficients are read; `equidistant` is OpenCV's fisheye model.
    """

    def __init__(
        self,
        K: Array,
        distortion: npt.ArrayLike,
        height_px: int,
        width_px: int,
        model: DistortionModel = "plumb_bob",
    ) -> None:
        self._size_hw_px = (height_px, width_px)
        self._maps = _undistortion_maps(
            K, np.asarray(distortion, dtype=np.float64).ravel(), (width_px, height_px), model
        )

    def __call__(self, image: Image) -> Image:
        """Image (H, W, 3) to its pinhole image; raises ValueError on another size."""
        if image.shape[:2] != self._size_hw_px:
            raise ValueError(f"expected an image of {self._size_hw_px}, got {image.shape[:2]}")
        if self._maps is None:
            return image
        return cv2.remap(image, *self._maps, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def check_distortion(coefficients: Sequence[float], model: DistortionModel) -> None:
    """Raise ValueError unless the model takes this number of finite coefficients, or none."""
    counts = _COEFFICIENTS[model]
    if len(coefficients) not in (0, *counts) or not np.isfinite(coefficients).all():
        raise ValueError(
            f"distortion: expected none or {counts} finite {model} coefficients,"
            f" got {list(coefficients)}"
        )


def _undistortion_maps(
    K: Array, distortion: Array, size_wh_px: tuple[int, int], model: DistortionModel
) -> tuple[np.ndarray, np.ndarray] | None:
    check_distortion(distortion.tolist(), model)
    if not distortion.size or (model != "equidistant" and not distortion.any()):
        return None
    if model == "equidistant":
        return cv2.fisheye.initUndistortRectifyMap(
            K, distortion, np.eye(3), K, size_wh_px, cv2.CV_16SC2
        )
    return cv2.initUndistortRectifyMap(K, distortion, None, K, size_wh_px, cv2.CV_16SC2)
