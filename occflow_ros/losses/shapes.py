"""What the losses refuse; every error says expected and got."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def check_shape(name: str, value: Tensor, shape: Sequence[int | str]) -> None:
    """Raise ValueError unless `value` has this shape; a dimension given by its letter is free."""
    fits = value.ndim == len(shape) and all(
        isinstance(size, str) or size == got for size, got in zip(shape, value.shape)
    )
    if not fits:
        expected = f"({', '.join(str(size) for size in shape)})"
        raise ValueError(f"{name}: expected {expected}, got {tuple(value.shape)}")


def check_mask(name: str, value: Tensor, shape: Sequence[int | str]) -> None:
    """Raise ValueError unless `value` is boolean and has this shape."""
    check_shape(name, value, shape)
    if value.dtype != torch.bool:
        raise ValueError(f"{name}: expected bool, got {value.dtype}")
