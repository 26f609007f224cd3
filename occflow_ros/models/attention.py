"""What the deformable attentions of the lifter and of the temporal module share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SamplingHead(nn.Module):
    """Predicts from each query where to sample and how much each sample counts.

    At the start head h looks radii[p] cells in the direction 2πh / heads and all samples count
    nearly the same, whatever the query; not exactly, so that a gradient reaches the query.

    Args:
        channels: width of the queries.
        heads: attention heads.
        levels: maps that are sampled.
        radii_cells: first distance of each point from its reference; its length is the number of
            points.
    """

    def __init__(
        self, channels: int, heads: int, levels: int, radii_cells: Sequence[float]
    ) -> None:
        super().__init__()
        self.shape = (heads, levels, len(radii_cells))
        samples = math.prod(self.shape)
        self.offsets = nn.Linear(channels, 2 * samples)
        self.logits = nn.Linear(channels, samples)
        for weight in (self.offsets.weight, self.logits.weight):
            nn.init.normal_(weight, std=1e-2)
        nn.init.zeros_(self.logits.bias)
        with torch.no_grad():
            self.offsets.bias.copy_(_star(heads, levels, radii_cells).flatten())

    def forward(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, Q, C) to offsets in cells (B, heads, L, P, Q, 2) and logits without the 2."""
        offsets = self.offsets(query).transpose(1, 2).contiguous()  # (B, heads · L · P · 2, Q)
        logits = self.logits(query).transpose(1, 2).contiguous()  # (B, heads · L · P, Q)
        offsets = offsets.unflatten(1, (*self.shape, 2)).transpose(-1, -2)
        return offsets, logits.unflatten(1, self.shape)


def place(reference: Tensor, offsets: Tensor, maps: Sequence[Tensor]) -> Tensor:
    """Sampling locations in units of the maps.

    Args:
        reference: (B, L, P, Q, 2), or ones in place of B, L or P; (x, y) in [0, 1] inside.
        offsets: (B, heads, L, P, Q, 2) in cells.
        maps: L values (..., H_l, W_l).

    Returns:
        (B, heads, L, P, Q, 2).
    """
    size = offsets.new_tensor([(value.shape[-1], value.shape[-2]) for value in maps])  # (L, 2)
    return reference.unsqueeze(1) + offsets / size[:, None, None]


def softmax_over_samples(logits: Tensor) -> Tensor:
    """Softmax over levels and points together, (B, heads, L, P, Q)."""
    return logits.flatten(2, 3).softmax(dim=2).view_as(logits)


def to_heads(tokens: Tensor, heads: int, rows: int, columns: int) -> Tensor:
    """Tokens (B, rows · columns, C) to maps per head (B, heads, C / heads, rows, columns)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], heads, -1, rows, columns)


def _star(heads: int, levels: int, radii_cells: Sequence[float]) -> Tensor:
    angle = 2.0 * math.pi * torch.arange(heads) / heads
    direction = torch.stack((angle.cos(), angle.sin()), dim=-1)  # (heads, 2)
    star = direction[:, None, None] * torch.tensor(radii_cells)[:, None]  # (heads, 1, P, 2)
    return star.expand(-1, levels, -1, -1)  # (heads, L, P, 2)
