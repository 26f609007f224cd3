"""From the distorted image of a real lens to the pinhole image the network expects."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from occflow_ros.geometry.camera import Array, Image

DistortionModel = Literal["plumb_bob", "rational_polynomial", "equidistant"]


class Rectifier:
    """Removes lens distortion; the pinhole image keeps size and intrinsics K of the source.

    Args:
        K: (3, 3) intrinsics in pixels.
        distortion: OpenCV coefficients; empty or all zero means the image is a pinhole image.
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


def _undistortion_maps(
    K: Array, distortion: Array, size_wh_px: tuple[int, int], model: DistortionModel
) -> tuple[np.ndarray, np.ndarray] | None:
    if not distortion.any():
        return None
    if model == "equidistant":
        if distortion.size != 4:
            raise ValueError(f"equidistant: expected 4 coefficients, got {distortion.size}")
        return cv2.fisheye.initUndistortRectifyMap(
            K, distortion, np.eye(3), K, size_wh_px, cv2.CV_16SC2
        )
    if distortion.size not in (4, 5, 8, 12, 14):
        raise ValueError(f"{model}: expected 4, 5, 8, 12 or 14 coefficients, got {distortion.size}")
    return cv2.initUndistortRectifyMap(K, distortion, None, K, size_wh_px, cv2.CV_16SC2)
