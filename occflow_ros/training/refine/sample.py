"""What one training step of the refining network takes: a window of frames, and what is true."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class RefineSample:
    """A window of T frames, of which the first L are refined.

    Args:
        classes: (T, X, Y, Z) uint8 that the onboard model said.
        pivot_T_frame: (T, 4, 4) float32 of `relative_poses`, in box units.
        truth: (L, X, Y, Z) uint8, 255 where unknown or not observed.

    Raises:
        ValueError: where shapes or types are not as above.
    """

    classes: Tensor
    pivot_T_frame: Tensor
    truth: Tensor

    def __post_init__(self) -> None:
        times, shape = len(self.classes), tuple(self.classes.shape[1:])
        if len(shape) != 3:
            raise ValueError(f"classes: expected (T, X, Y, Z), got {tuple(self.classes.shape)}")
        if not 1 <= len(self.truth) <= times:
            raise ValueError(f"truth: expected 1 to {times} frames, got {len(self.truth)}")
        _check("classes", self.classes, (times, *shape), torch.uint8)
        _check("pivot_T_frame", self.pivot_T_frame, (times, 4, 4), torch.float32)
        _check("truth", self.truth, (len(self.truth), *shape), torch.uint8)

    @property
    def local(self) -> int:
        """L."""
        return len(self.truth)

    def to(self, device: torch.device) -> RefineSample:
        """The same on a device."""
        return RefineSample(
            *(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__)
        )


def _check(name: str, value: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if tuple(value.shape) != shape or value.dtype != dtype:
        raise ValueError(
            f"{name}: expected {shape} {dtype}, got {tuple(value.shape)} {value.dtype}"
        )
