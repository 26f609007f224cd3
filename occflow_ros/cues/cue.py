"""What a cue is: optical flow with the pixels where it is trusted, and masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Flow = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FlowCue:
    """Optical flow from one image of a camera to another.

    Args:
        flow_px: (H, W, 2) float32 displacement (u, v), zero where not valid.
        valid: (H, W) bool, the flow is known and trusted.

    Raises:
        ValueError: where shapes or types are not as above, or valid flow is not finite.
    """

    flow_px: Flow
    valid: Mask

    def __post_init__(self) -> None:
        if self.valid.ndim != 2 or self.valid.dtype != np.bool_:
            raise ValueError(f"valid: expected (H, W) bool, got {_described(self.valid)}")
        if self.flow_px.shape != (*self.valid.shape, 2) or self.flow_px.dtype != np.float32:
            raise ValueError(
                f"flow_px: expected {(*self.valid.shape, 2)} float32,"
                f" got {_described(self.flow_px)}"
            )
        if not np.isfinite(self.flow_px).all():
            raise ValueError("flow_px: expected finite numbers, zero where not valid")


def flow_cue(flow_px: npt.NDArray, valid: Mask) -> FlowCue:
    """Flow (H, W, 2) that may hold anything where it is not `valid` (H, W), or is not finite."""
    known = valid & np.isfinite(flow_px).all(axis=-1)
    return FlowCue(np.where(known[..., None], flow_px, 0.0).astype(np.float32), known)


def _described(array: npt.NDArray) -> str:
    return f"{array.shape} {array.dtype}"
