"""Pinhole cameras in optical frames (x right, y down, z forward); pixel (0, 0) is the centre of
the top left pixel, as OpenCV has it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from occflow_ros.geometry.se3 import Array

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ImageFit:
    """Scales an image until it covers the target, then cuts the sides evenly and the top.

    The bottom edge is kept, since the road is there; the sky is what goes.

    Args:
        source_hw_px: size of the images that come in.
        target_hw_px: size of the images that go out.
    """

    source_hw_px: tuple[int, int]
    target_hw_px: tuple[int, int]

    def __post_init__(self) -> None:
        if min(*self.source_hw_px, *self.target_hw_px) < 1:
            raise ValueError(f"expected positive sizes, got {self}")

    @property
    def scaled_hw_px(self) -> tuple[int, int]:
        """Size after scaling, before cutting."""
        ratio = max(out / size for out, size in zip(self.target_hw_px, self.source_hw_px))
        height, width = (
            max(out, round(size * ratio)) for out, size in zip(self.target_hw_px, self.source_hw_px)
        )
        return height, width

    @property
    def offset_xy_px(self) -> tuple[int, int]:
        """Top left corner of the cut in the scaled image."""
        height, width = self.scaled_hw_px
        return (width - self.target_hw_px[1]) // 2, height - self.target_hw_px[0]

    def intrinsics(self, K: Array) -> Array:
        """K (3, 3) of the source image to K of the target image."""
        scale_y, scale_x = (new / old for new, old in zip(self.scaled_hw_px, self.source_hw_px))
        x, y = self.offset_xy_px
        to_target = np.array(
            [
                [scale_x, 0.0, 0.5 * scale_x - 0.5 - x],
                [0.0, scale_y, 0.5 * scale_y - 0.5 - y],
                [0.0, 0.0, 1.0],
            ]
        )
        return to_target @ K

    def image(self, source: Image) -> Image:
        """Image (H, W, 3) of the source size to (H', W', 3) of the target size.

        Raises:
            ValueError: where the image has another size than `source_hw_px`.
        """
        if source.shape[:2] != self.source_hw_px:
            raise ValueError(f"expected an image of {self.source_hw_px}, got {source.shape[:2]}")
        height, width = self.scaled_hw_px
        shrinks = height < self.source_hw_px[0]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        scaled = cv2.resize(source, (width, height), interpolation=method)
        x, y = self.offset_xy_px
        return scaled[y : y + self.target_hw_px[0], x : x + self.target_hw_px[1]]  # type: ignore[return-value]


def project(K: Tensor, points_camera_m: Tensor, min_depth_m: float = 0.1) -> tuple[Tensor, Tensor]:
    """Pinhole projection u = K·p / z.

    Args:
        K: (..., 3, 3) intrinsics in pixels.
        points_camera_m: (..., P, 3) in the optical frame.
        min_depth_m: nearer points, and those behind, count as not in front.

    Returns:
        pixels (..., P, 2) and in_front (..., P) bool. Pixels of points not in front are finite but
        have no meaning.
    """
    depth = points_camera_m[..., 2:]
    homogeneous = points_camera_m @ K.transpose(-1, -2)  # (..., P, 3)
    return homogeneous[..., :2] / depth.clamp(min=min_depth_m), depth[..., 0] >= min_depth_m


def project_from_base(
    points_m: Tensor, K: Tensor, base_T_camera: Tensor, image_hw_px: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Points of the ego frame in the images of N cameras.

    Args:
        points_m: (P, 3) in the ego frame, or (..., 1, P, 3) where each batch has its own.
        K: (..., N, 3, 3) intrinsics in pixels of the images.
        base_T_camera: (..., N, 4, 4) optical frame to ego frame.
        image_hw_px: height and width of the images.

    Returns:
        locations (..., N, P, 2) in units of the image, (0, 0) its top left corner and (1, 1) its
        bottom right one, and visible (..., N, P) bool, in front of the camera and inside the image.
        Occlusion does not count.
    """
    rotation, center_m = base_T_camera[..., :3, :3], base_T_camera[..., :3, 3]
    pixels, in_front = project(K, (points_m - center_m.unsqueeze(-2)) @ rotation)
    height, width = image_hw_px
    location = (pixels + 0.5) / pixels.new_tensor((width, height))
    return location, in_front & ((location >= 0.0) & (location <= 1.0)).all(dim=-1)


def pixel_rays(K: Tensor, height_px: int, width_px: int) -> Tensor:
    """Directions through all pixel centres, (H, W, 3) in the optical frame with z = 1."""
    v, u = torch.meshgrid(
        torch.arange(height_px, dtype=K.dtype, device=K.device),
        torch.arange(width_px, dtype=K.dtype, device=K.device),
        indexing="ij",
    )
    pixels = torch.stack((u, v, torch.ones_like(u)), dim=-1)  # (H, W, 3)
    return pixels @ torch.linalg.inv(K).T
