"""Soft split of BEV features into overlapping patches, and soft composition back (equation 3).

After T2T-ViT: each patch becomes one token, so neighbouring tokens share what lies between them,
and each cell is put together from all patches it is part of.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def split_patches(features: Tensor, patch: int, stride: int) -> Tensor:
    """Maps (N, c, h, w) to patches (N, n_h, n_w, c · patch²), zeros around the map."""
    rows, columns = (_count(side, patch, stride) for side in features.shape[2:])
    patches = functional.unfold(features, patch, padding=patch // 2, stride=stride)
    return patches.transpose(1, 2).unflatten(1, (rows, columns))


def compose_patches(patches: Tensor, patch: int, stride: int, shape_hw: tuple[int, int]) -> Tensor:
    """Patches (N, n_h, n_w, c · patch²) to maps (N, c, h, w): the mean where they overlap.

    The inverse of `split_patches` where the stride leaves no cell out.
    """
    flat = patches.flatten(1, 2).transpose(1, 2)  # (N, c · patch², n_h · n_w)

    def fold(values: Tensor) -> Tensor:
        return functional.fold(values, shape_hw, patch, padding=patch // 2, stride=stride)

    overlaps = fold(flat.new_ones(1, patch * patch, flat.shape[2]))  # (1, 1, h, w)
    return fold(flat) / overlaps


class SoftSplit(nn.Module):
    """SS of equation 3.

    Args:
        channels: c of the features.
        token_channels: c_e.
        patch: odd side of a patch in cells.
        stride: from patch to patch.
    """

    def __init__(self, channels: int, token_channels: int, patch: int, stride: int) -> None:
        super().__init__()
        self.patch, self.stride = patch, stride
        self.linear = nn.Linear(channels * patch * patch, token_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Maps (B, T, c, h, w) to tokens (B, T, n_h, n_w, c_e)."""
        patches = split_patches(features.flatten(0, 1), self.patch, self.stride)
        return self.linear(patches).unflatten(0, features.shape[:2])


class SoftComposition(nn.Module):
    """The way back; arguments as of `SoftSplit`."""

    def __init__(self, channels: int, token_channels: int, patch: int, stride: int) -> None:
        super().__init__()
        self.patch, self.stride = patch, stride
        self.linear = nn.Linear(token_channels, channels * patch * patch)

    def forward(self, tokens: Tensor, shape_hw: tuple[int, int]) -> Tensor:
        """Tokens (B, T, n_h, n_w, c_e) to maps (B, T, c, h, w)."""
        patches = self.linear(tokens.flatten(0, 1))
        # fold has no reduced precision on the CPU
        composed = compose_patches(patches.float(), self.patch, self.stride, shape_hw)
        return composed.to(torch.promote_types(tokens.dtype, patches.dtype)).unflatten(
            0, tokens.shape[:2]
        )


def _count(side: int, patch: int, stride: int) -> int:
    return (side + 2 * (patch // 2) - patch) // stride + 1
