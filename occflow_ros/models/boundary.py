"""What the network refuses before it computes anything; every error says expected and got."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from occflow_ros.geometry import se3

COARSEST_STRIDE = 32
"""Where it divides the image, the cells of every feature map cover it exactly."""


def check_cameras(images: Tensor, K: Tensor, base_T_camera: Tensor, present: Tensor) -> None:
    """Raise ValueError unless the arguments of `OccFlowNet.lift` belong together.

    Matrices on a GPU are read back for this, so they are better left on the CPU.
    """
    if images.ndim != 5 or images.shape[2] != 3 or images.dtype != torch.uint8:
        raise ValueError(f"images: expected (B, N, 3, H, W) uint8, got {_describe(images)}")
    batch, cameras, _, height_px, width_px = images.shape
    if height_px % COARSEST_STRIDE or width_px % COARSEST_STRIDE:
        raise ValueError(
            f"images: expected sides in multiples of {COARSEST_STRIDE} px, "
            f"got {height_px}×{width_px}"
        )
    for name, value, shape in (
        ("K", K, (batch, cameras, 3, 3)),
        ("base_T_camera", base_T_camera, (batch, cameras, 4, 4)),
        ("present", present, (batch, cameras)),
    ):
        if tuple(value.shape) != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {tuple(value.shape)}")
    if present.dtype != torch.bool:
        raise ValueError(f"present: expected bool, got {_describe(present)}")
    if _values_can_be_read():
        check_intrinsics(K[present])
        check_rigid("base_T_camera", base_T_camera[present])


def check_history(
    volume_shape: tuple[int, ...], history: Sequence[Tensor], past_T_current: Tensor
) -> None:
    """Raise ValueError unless past volumes and poses go with a current volume of this shape.

    Args:
        volume_shape: (B, C, X, Y, Z) of the network's own volumes.
        history: past volumes.
        past_T_current: their poses; on a GPU they are read back for this.
    """
    for index, past in enumerate(history):
        if tuple(past.shape) != volume_shape:
            raise ValueError(
                f"history[{index}]: expected {volume_shape} (B, C, X, Y, Z), "
                f"got {tuple(past.shape)}; is it of another grid or preset?"
            )
    expected = (volume_shape[0], len(history), 4, 4)
    if tuple(past_T_current.shape) != expected or past_T_current.dtype != torch.float64:
        raise ValueError(
            f"past_T_current: expected {expected} float64, got {_describe(past_T_current)}"
        )
    if _values_can_be_read():
        check_rigid("past_T_current", past_T_current)


def check_intrinsics(K: Tensor) -> None:
    """Raise ValueError unless every (..., 3, 3) is finite with positive focal lengths."""
    focal_px = K.diagonal(dim1=-2, dim2=-1)[..., :2]
    if not (K.isfinite().all() and (focal_px > 0).all()):
        raise ValueError(
            f"K: expected finite intrinsics with positive focal lengths, got {K.tolist()}"
        )


def check_rigid(name: str, transforms: Tensor) -> None:
    """Raise ValueError unless every (..., 4, 4) is a finite rigid transform."""
    try:
        se3.check_rigid(transforms.detach().cpu().double().numpy())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _values_can_be_read() -> bool:
    """Not while the network is being traced, when there are no values."""
    return not torch.compiler.is_compiling()


def _describe(value: Tensor) -> str:
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
