"""What goes into the semantic network: images of N cameras at T times, and where they look from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.models.boundary import check_cameras


@dataclass(frozen=True, slots=True)
class Views:
    """Images of a rig, newest first; only the newest has to be there.

    Args:
        images: (B, T, N, 3, H, W) uint8 RGB on the device of the network.
        K: (B, T, N, 3, 3) intrinsics in pixels of these images.
        current_T_camera: (B, T, N, 4, 4) optical frame of each image at its own time to the ego
            frame at the current time: the ego motion between is in it.
        present: (B, T, N) bool, False where the image is missing.

    Raises:
        ValueError: where shapes do not belong together, or the matrices of a camera that is
            present are not finite, rigid and with positive focal lengths.
    """

    images: Tensor
    K: Tensor
    current_T_camera: Tensor
    present: Tensor

    def __post_init__(self) -> None:
        if self.images.ndim != 6:
            raise ValueError(f"images: expected (B, T, N, 3, H, W), got {tuple(self.images.shape)}")
        times, cameras = self.images.shape[1:3]
        for name in ("K", "current_T_camera", "present"):
            if tuple(getattr(self, name).shape[1:3]) != (times, cameras):
                raise ValueError(
                    f"{name}: expected (B, {times}, {cameras}, …),"
                    f" got {tuple(getattr(self, name).shape)}"
                )
        check_cameras(
            self.images.flatten(1, 2),
            self.K.flatten(1, 2),
            self.current_T_camera.flatten(1, 2),
            self.present.flatten(1, 2),
        )

    @property
    def num_cameras(self) -> int:
        """N."""
        return self.images.shape[2]

    @property
    def image_hw_px(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.images.shape[-2:]
        return height, width

    def newest(self, times: int) -> Views:
        """The same with at most so many times."""
        return Views(
            self.images[:, :times],
            self.K[:, :times],
            self.current_T_camera[:, :times],
            self.present[:, :times],
        )

    def by_camera(self) -> CameraViews:
        """Each camera of each batch by itself, which is how the network looks at them."""
        device = self.images.device

        def split(values: Tensor) -> Tensor:
            moved = values.to(device, non_blocking=True)
            return moved.transpose(1, 2).flatten(0, 1)  # (B, T, N, …) to (B · N, T, …)

        return CameraViews(
            images=split(self.images),
            K=split(self.K.float()),
            base_T_camera=split(self.current_T_camera.float()),
            present=split(self.present),
        )


@dataclass(frozen=True, slots=True)
class CameraViews:
    """Images of M single cameras at T times, newest first, on one device.

    Args:
        images: (M, T, 3, H, W) uint8.
        K: (M, T, 3, 3) float32.
        base_T_camera: (M, T, 4, 4) float32.
        present: (M, T) bool.
    """

    images: Tensor
    K: Tensor
    base_T_camera: Tensor
    present: Tensor

    @property
    def image_hw_px(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.images.shape[-2:]
        return height, width

    def heading(self) -> Tensor:
        """(M,) angle about ego z from ego x to where the newest image looks, in radians."""
        axis = self.base_T_camera[:, 0, :2, 2]  # (M, 2) the optical axis along ego x and y
        return torch.atan2(axis[:, 1], axis[:, 0])
