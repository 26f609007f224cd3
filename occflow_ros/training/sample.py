"""What one training step takes of one camera set: no 3D labels, all in the ego frame at t."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.structures import Clip, Frame


@dataclass(frozen=True, slots=True)
class OtherImages:
    """The images of the same N cameras at another time.

    Args:
        images: (N, 3, H, W) uint8 RGB, zeros where the camera is absent.
        K: (N, 3, 3) intrinsics in pixels of these images.
        base_T_camera: (N, 4, 4) their optical frames to the ego frame at t, ego motion included.
        present: (N,) bool, the image is there.
        elapsed: (N,) time from the camera's current image to this one, in flow intervals;
            negative for earlier ones.
        flow_px: (N, H, W, 2) optical flow from the current images to these, zero where not known.
        known: (N, H, W) bool, the optical flow is there and trusted.
    """

    images: Tensor
    K: Tensor
    base_T_camera: Tensor
    present: Tensor
    elapsed: Tensor
    flow_px: Tensor
    known: Tensor

    def __post_init__(self) -> None:
        cameras, _, height, width = self.images.shape
        for name, value, shape in (
            ("K", self.K, (cameras, 3, 3)),
            ("base_T_camera", self.base_T_camera, (cameras, 4, 4)),
            ("present", self.present, (cameras,)),
            ("elapsed", self.elapsed, (cameras,)),
            ("flow_px", self.flow_px, (cameras, height, width, 2)),
            ("known", self.known, (cameras, height, width)),
        ):
            if tuple(value.shape) != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {tuple(value.shape)}")


@dataclass(frozen=True, slots=True)
class LidarReturns:
    """What the LiDAR has measured, moved into the ego frame at t.

    Args:
        origin_m: (3,) where the LiDAR was.
        points_m: (P, 3).
    """

    origin_m: Tensor
    points_m: Tensor


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """A clip and what supervises the prediction for its last frame.

    Args:
        clip: history and the current frame as the network sees them, colours changed by chance.
        images: (N, 3, H, W) uint8, the current images as they were taken.
        previous: the auxiliary previous images.
        following: the next images.
        movable: (N, H, W) bool, pixels of things that can move by themselves.
        lidar: None where there is no sweep.
    """

    clip: Clip
    images: Tensor
    previous: OtherImages
    following: OtherImages
    movable: Tensor
    lidar: LidarReturns | None

    def __post_init__(self) -> None:
        expected = tuple(self.current.images.shape)
        for name, images in (
            ("images", self.images),
            ("previous.images", self.previous.images),
            ("following.images", self.following.images),
        ):
            if tuple(images.shape) != expected:
                raise ValueError(f"{name}: expected shape {expected}, got {tuple(images.shape)}")
        cameras, _, height, width = expected
        if tuple(self.movable.shape) != (cameras, height, width):
            raise ValueError(
                f"movable: expected {(cameras, height, width)}, got {tuple(self.movable.shape)}"
            )

    @property
    def current(self) -> Frame:
        """The frame to predict for."""
        return self.clip.frames[-1]

    def to(self, device: torch.device) -> TrainingSample:
        """The same with all that supervises on a device; the network moves the clip itself."""
        if device.type == "cpu":
            return self
        lidar = self.lidar
        return TrainingSample(
            clip=self.clip,
            images=self.images.to(device, non_blocking=True),
            previous=_moved(self.previous, device),
            following=_moved(self.following, device),
            movable=self.movable.to(device, non_blocking=True),
            lidar=None
            if lidar is None
            else LidarReturns(
                lidar.origin_m.to(device), lidar.points_m.to(device, non_blocking=True)
            ),
        )


def _moved(other: OtherImages, device: torch.device) -> OtherImages:
    return OtherImages(
        *(getattr(other, name).to(device, non_blocking=True) for name in OtherImages.__slots__)
    )
