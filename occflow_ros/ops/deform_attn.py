"""Multi-scale deformable attention: a weighted sum of bilinear samples at predicted places."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

Backend = Literal["numba", "torch"]


def deform_attn(
    values: Sequence[Tensor], locations: Tensor, weights: Tensor, backend: Backend | None = None
) -> Tensor:
    """Σ_l Σ_p A_{q,l,p} · v_l(x_{q,l,p}) per head, v_l interpolated bilinearly, zero outside.

    A location is (x, y) in units of the map: (0, 0) is the outer corner of the first cell and
    (1, 1) that of the last, so the centre of cell (row i, column j) of an H×W map lies at
    ((j + 0.5) / W, (i + 0.5) / H). Source: Deformable DETR, equation 3.

    Locations decide the precision: in bfloat16 they would be off by many cells, so values and
    weights are taken to their type, which also is that of the answer.

    Args:
        values: L maps v_l, each (B, H_l, W_l, heads, C).
        locations: (B, Q, heads, L, P, 2) where each query samples, float32 or float64.
        weights: (B, Q, heads, L, P) attention weights A.
        backend: "numba" for the kernel, on a CPU only; "torch" for its readable twin; None for the
            kernel on a CPU, and for the twin on a GPU or while a program is exported, which then
            consists of PyTorch's own operators.

    Returns:
        (B, Q, heads · C), heads side by side.

    Raises:
        ValueError: where the shapes do not belong together or the locations are of another type.
        ImportError: where numba is asked for and not installed.
    """
    _check(values, locations, weights)
    values = [value.to(locations.dtype) for value in values]
    weights = weights.to(locations.dtype)
    backend = backend or _default(locations)
    compute: Any = _with_numba if backend == "numba" else _with_torch
    return compute(values, locations, weights).flatten(2)  # (B, Q, heads · C)


def _default(locations: Tensor) -> Backend:
    on_cpu = locations.device.type == "cpu"
    return "numba" if on_cpu and not torch.compiler.is_exporting() else "torch"


def _with_torch(values: Sequence[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
    """Each level by `grid_sample`, (B, Q, heads, C)."""
    grid = (2.0 * locations - 1.0).permute(3, 0, 2, 4, 1, 5).flatten(1, 2)  # (L, B·heads, P, Q, 2)
    weights = weights.permute(3, 0, 2, 4, 1).flatten(1, 2)  # (L, B·heads, P, Q)
    total = weights.new_zeros(())
    for value, places, weight in zip(values, grid, weights):
        samples = functional.grid_sample(
            value.permute(0, 3, 4, 1, 2).flatten(0, 1),  # (B·heads, C, H, W)
            places,
            padding_mode="zeros",
            align_corners=False,
        )  # (B·heads, C, P, Q)
        total = total + (samples * weight.unsqueeze(1)).sum(dim=2)  # (B·heads, C, Q)
    return total.unflatten(0, (locations.shape[0], locations.shape[2])).permute(0, 3, 1, 2)


@torch.library.custom_op("occflow_ros::deform_attn", mutates_args=(), device_types="cpu")
def _with_numba(values: Sequence[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
    """The kernel, (B, Q, heads, C); one operator to autograd and to torch.compile."""
    arrays = _arrays((*values, locations, weights))
    return torch.from_numpy(_kernels().forward(arrays[:-2], *arrays[-2:]))


@torch.library.custom_op("occflow_ros::deform_attn_backward", mutates_args=(), device_types="cpu")
def _backward_with_numba(
    grad: Tensor, values: Sequence[Tensor], locations: Tensor, weights: Tensor
) -> tuple[list[Tensor], Tensor, Tensor]:
    grad_array, *arrays = _arrays((grad, *values, locations, weights))
    of_values, of_locations, of_weights = _kernels().backward(grad_array, arrays[:-2], *arrays[-2:])
    return (
        [torch.from_numpy(of_value) for of_value in of_values],
        torch.from_numpy(of_locations),
        torch.from_numpy(of_weights),
    )


@_with_numba.register_fake
def _shape_of_answer(values: Sequence[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
    return weights.new_empty((*weights.shape[:3], values[0].shape[-1]))


@_backward_with_numba.register_fake
def _shapes_of_gradients(
    grad: Tensor, values: Sequence[Tensor], locations: Tensor, weights: Tensor
) -> tuple[list[Tensor], Tensor, Tensor]:
    of_values = [value.new_empty(value.shape) for value in values]
    return of_values, locations.new_empty(locations.shape), weights.new_empty(weights.shape)


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    values, locations, weights = inputs
    ctx.save_for_backward(*values, locations, weights)


def _backward(ctx: Any, grad: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    *values, locations, weights = ctx.saved_tensors
    return _backward_with_numba(grad, values, locations, weights)


_with_numba.register_autograd(_backward, setup_context=_keep_for_backward)


def _arrays(tensors: Sequence[Tensor]) -> list[Any]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def _kernels() -> ModuleType:
    try:
        return importlib.import_module("occflow_ros.ops.deform_attn_numba")
    except ImportError as error:
        raise ImportError(
            "deform_attn on a CPU: expected numba, got none: pip install numba, "
            "or ask for backend='torch'"
        ) from error


def _check(values: Sequence[Tensor], locations: Tensor, weights: Tensor) -> None:
    if locations.ndim != 6 or locations.shape[3] != len(values) or locations.shape[-1] != 2:
        raise ValueError(
            f"locations: expected (B, Q, heads, {len(values)}, P, 2), got {tuple(locations.shape)}"
        )
    if locations.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"locations: expected float32 or float64, got {locations.dtype}")
    if weights.shape != locations.shape[:-1]:
        raise ValueError(
            f"weights: expected {tuple(locations.shape[:-1])}, got {tuple(weights.shape)}"
        )
    batch, heads, channels = locations.shape[0], locations.shape[2], values[0].shape[-1]
    for level, value in enumerate(values):
        if value.ndim != 5 or (value.shape[0], *value.shape[3:]) != (batch, heads, channels):
            raise ValueError(
                f"values[{level}]: expected ({batch}, H, W, {heads}, {channels}), "
                f"got {tuple(value.shape)}"
            )
