"""Voxel features to classes, and image features to classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class VoxelHead(nn.Module):
    """Up-sampling ×2 and linear projection to classes in one: each of 8 children has its own.

    Args:
        channels: C.
        classes: with the empty one.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.project = nn.ConvTranspose3d(channels, classes, 2, stride=2)
        with torch.no_grad():  # training starts without a checkerboard: the 8 children are alike
            weight = self.project.weight
            weight.copy_(weight[:, :, :1, :1, :1].expand_as(weight))

    def forward(self, volume: Tensor) -> Tensor:
        """F̃ (B, C, X', Y', Z') to logits Y (B, classes, 2X', 2Y', 2Z')."""
        normed = self.norm(volume.permute(0, 2, 3, 4, 1))  # (B, X', Y', Z', C)
        return self.project(normed.permute(0, 4, 1, 2, 3))


class SemanticDecoder(nn.Sequential):
    """Φ_s of equation 7: convolutions and a layer that is fully connected in each pixel.

    (M, C, h, w) to logits (M, classes, h, w).

    Args:
        channels: C.
        classes: with the empty one, which no pixel is labelled as.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, classes, 1),
        )
