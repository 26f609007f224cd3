"""Frame-level BEV encoders: height goes into the features, then 2D convolutions (section D.1)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class ColumnClasses(nn.Module):
    """Linear over the one-hot classes of a whole column, then LayerNorm.

    A linear map of one-hot vectors adds up one of its columns for each voxel, and is computed so.

    Args:
        num_classes: C.
        heights: Z.
        channels: of the embedded column.
    """

    def __init__(self, num_classes: int, heights: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.EmbeddingBag(heights * num_classes, channels, mode="sum")
        self.bias = nn.Parameter(torch.zeros(channels))
        self.norm = nn.LayerNorm(channels)
        first = num_classes * torch.arange(heights)
        self.register_buffer("first", first, persistent=False)

    first: Tensor

    def forward(self, classes: Tensor) -> Tensor:
        """Classes (N, X, Y, Z) of N frames to (N, channels, X, Y)."""
        numbers = (classes + self.first).flatten(0, 2)  # (N·X·Y, Z)
        columns = self.norm(self.linear(numbers) + self.bias)  # (N·X·Y, channels)
        return columns.unflatten(0, classes.shape[:3]).permute(0, 3, 1, 2)


class ColumnCoordinates(nn.Module):
    """Linear over the coordinates of a whole column, then LayerNorm.

    Args:
        heights: Z.
        channels: of the embedded column.
    """

    def __init__(self, heights: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * heights, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, coordinates: Tensor) -> Tensor:
        """Coordinates (N, 3, X, Y, Z) of N frames to (N, channels, X, Y)."""
        columns = coordinates.permute(0, 2, 3, 1, 4).flatten(3)  # (N, X, Y, 3·Z)
        return self.norm(self.linear(columns)).permute(0, 3, 1, 2)


class BevEncoder(nn.Module):
    """Embedded columns, and convolutional blocks that each halve the BEV.

    Args:
        embed: of a frame's columns.
        embedding: channels that it gives.
        channels: of all blocks.
        blocks: how many.
    """

    def __init__(self, embed: nn.Module, embedding: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.embed = embed
        widths = [embedding, *[channels] * blocks]
        self.blocks = nn.ModuleList(_block(*pair) for pair in pairwise(widths))

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Maps of N frames, from the embedding (N, E, X, Y) to (N, channels, X / 2^b, Y / 2^b).

        Sides that are odd are rounded up.
        """
        maps = [self.embed(frames)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(before, after, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1),
        nn.ReLU(),
    )
