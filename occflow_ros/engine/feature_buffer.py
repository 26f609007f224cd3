"""Past feature volumes and when they may be used."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.geometry import se3
from occflow_ros.structures import Frame


@dataclass(frozen=True, slots=True)
class PastVolume:
    """One volume as it was before fusion, in its own ego frame.

    Args:
        volume: (1, C, X, Y, Z).
        stamp_ns: time of the camera set it was lifted from.
        odom_T_base: (4, 4) float64 pose of that ego frame.
        rig: names and image size (H, W) of that camera set.
    """

    volume: Tensor
    stamp_ns: int
    odom_T_base: Tensor
    rig: tuple[tuple[str, ...], tuple[int, int]]


class FeatureBuffer:
    """The last volumes of one uninterrupted drive with one rig.

    Args:
        length: how many are kept.
        max_gap_s: longest time between frames.
        max_jump_m: longest way of the ego between frames.
    """

    def __init__(self, length: int, max_gap_s: float, max_jump_m: float) -> None:
        self._past: deque[PastVolume] = deque(maxlen=length)
        self._max_gap_s = max_gap_s
        self._max_jump_m = max_jump_m

    def __len__(self) -> int:
        return len(self._past)

    @property
    def num_bytes(self) -> int:
        """Memory that the volumes hold."""
        return sum(past.volume.numel() * past.volume.element_size() for past in self._past)

    def clear(self) -> None:
        """Forget everything."""
        self._past.clear()

    def admit(self, frame: Frame) -> str | None:
        """Clear the history where it may not be used for this frame.

        Returns:
            why it was cleared, or None where it stays.
        """
        reason = self._break_before(frame) if self._past else None
        if reason is not None:
            self.clear()
        return reason

    def push(self, frame: Frame, volume: Tensor) -> None:
        """Keep the volume (1, C, X, Y, Z) of a frame; the oldest one leaves."""
        self._past.append(PastVolume(volume, frame.stamp_ns, frame.odom_T_base, _rig(frame)))

    def seen_from(self, odom_T_current: Tensor) -> tuple[list[Tensor], Tensor]:
        """The history as the network takes it.

        Args:
            odom_T_current: (4, 4) float64 pose of the current ego frame.

        Returns:
            volumes (1, C, X, Y, Z), newest first, and past_T_current (1, n, 4, 4) float64.
        """
        newest_first = list(reversed(self._past))
        poses = [past.odom_T_base for past in newest_first]
        return [past.volume for past in newest_first], relative_poses(poses, odom_T_current)

    def _break_before(self, frame: Frame) -> str | None:
        last = self._past[-1]
        gap_s = (frame.stamp_ns - last.stamp_ns) * 1e-9
        jump_m = float((frame.odom_T_base - last.odom_T_base)[:3, 3].norm())
        if _rig(frame) != last.rig:
            return f"the rig changed from {_describe(last.rig)} to {_describe(_rig(frame))}"
        if gap_s <= 0:
            return f"time does not advance: {gap_s:.3f} s after the last frame"
        if gap_s > self._max_gap_s:
            return f"gap of {gap_s:.3f} s, longer than {self._max_gap_s:g} s"
        if jump_m > self._max_jump_m:
            return f"jump of {jump_m:.2f} m, longer than {self._max_jump_m:g} m"
        return None


def relative_poses(odom_T_pasts: Sequence[Tensor], odom_T_current: Tensor) -> Tensor:
    """past_T_current = past_T_odom · odom_T_current, (1, n, 4, 4) float64, in the order given."""
    current = odom_T_current.numpy()
    poses = [torch.from_numpy(se3.inverse(past.numpy()) @ current) for past in odom_T_pasts]
    return torch.stack(poses).unsqueeze(0) if poses else torch.zeros(1, 0, 4, 4, dtype=torch.double)


def _rig(frame: Frame) -> tuple[tuple[str, ...], tuple[int, int]]:
    height, width = frame.images.shape[-2:]
    return frame.rig.names, (height, width)


def _describe(rig: tuple[tuple[str, ...], tuple[int, int]]) -> str:
    names, (height, width) = rig
    return f"{', '.join(names)} at {height}×{width} px"
