"""What one training step of the semantic network takes of one camera set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from occflow_ros.structures import Frame


@dataclass(frozen=True, slots=True)
class PixelClasses:
    """Sparse 2D labels for equation 7: labelled LiDAR points projected into the current images.

    Args:
        camera: (P,) int64 position of the camera in the rig.
        location: (P, 2) float32 (x, y) in units of the network's image: (0, 0) its top left
            corner, (1, 1) its bottom right one.
        class_id: (P,) uint8 in the numbers of `config.model.classes`.

    Raises:
        ValueError: where lengths or types are not as above, or a location lies outside.
    """

    camera: Tensor
    location: Tensor
    class_id: Tensor

    def __post_init__(self) -> None:
        count = len(self.camera)
        _check("camera", self.camera, (count,), torch.int64)
        _check("location", self.location, (count, 2), torch.float32)
        _check("class_id", self.class_id, (count,), torch.uint8)
        if self.location.device.type == "cpu":  # elsewhere a look at values would wait for them
            _check_range("location", self.location, 0.0, 1.0)

    def to(self, device: torch.device) -> PixelClasses:
        """The same on a device."""
        return PixelClasses(
            *(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__)
        )


@dataclass(frozen=True, slots=True)
class MonoSample:
    """Images of one set and of those before it, with what is true at its time.

    Args:
        frames: T, newest first, of one rig of N cameras; the first is predicted for.
        depth_m: (N, h, w) float32 depth along the optical axis over the whole current images, 0
            where unknown.
        classes: (X, Y, Z) uint8 on `config.model.grid`, 255 where unknown or not observed.
        pixels: what single pixels of the current images show.

    Raises:
        ValueError: where shapes or types are not as above, frames are not in this order or not of
            one rig, or a pixel is of a camera that is not there.
    """

    frames: tuple[Frame, ...]
    depth_m: Tensor
    classes: Tensor
    pixels: PixelClasses

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError("frames: expected at least one, got none")
        stamps = [frame.stamp_ns for frame in self.frames]
        if any(later >= earlier for earlier, later in pairwise(stamps)):
            raise ValueError(f"frames: expected the newest first, got stamps {stamps}")
        rigs = {(frame.rig.names, tuple(frame.images.shape)) for frame in self.frames}
        if len(rigs) > 1:
            raise ValueError(f"frames: expected one rig and image size, got {sorted(rigs)}")
        cameras = len(self.current.rig.names)
        if self.depth_m.ndim != 3:
            raise ValueError(f"depth_m: expected (N, h, w), got {tuple(self.depth_m.shape)}")
        _check("depth_m", self.depth_m, (cameras, *self.depth_m.shape[1:]), torch.float32)
        if self.classes.ndim != 3:
            raise ValueError(f"classes: expected (X, Y, Z), got {tuple(self.classes.shape)}")
        _check("classes", self.classes, tuple(self.classes.shape), torch.uint8)
        if self.pixels.camera.device.type == "cpu":
            _check_range("pixels.camera", self.pixels.camera, 0, cameras - 1)

    @property
    def current(self) -> Frame:
        """The frame that is predicted for."""
        return self.frames[0]

    def to(self, device: torch.device) -> MonoSample:
        """The same on a device, but for the calibration: it is checked where it is."""
        if device.type == "cpu":
            return self
        return MonoSample(
            frames=tuple(
                replace(frame, images=frame.images.to(device, non_blocking=True))
                for frame in self.frames
            ),
            depth_m=self.depth_m.to(device, non_blocking=True),
            classes=self.classes.to(device, non_blocking=True),
            pixels=self.pixels.to(device),
        )


def _check(name: str, value: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if tuple(value.shape) != shape or value.dtype != dtype:
        raise ValueError(
            f"{name}: expected {shape} {dtype}, got {tuple(value.shape)} {value.dtype}"
        )


def _check_range(name: str, value: Tensor, lowest: float, highest: float) -> None:
    if len(value) and not (value.amin() >= lowest and value.amax() <= highest):
        raise ValueError(
            f"{name}: expected {lowest} to {highest}, got {value.amin()} to {value.amax()}"
        )
