"""What the deformable attentions of the lifter and of the temporal module share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


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
        axes: of the maps; 3 for volumes, in which the heads look to the sides at first.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        levels: int,
        radii_cells: Sequence[float],
        axes: Literal[2, 3] = 2,
    ) -> None:
        super().__init__()
        self.shape = (heads, levels, len(radii_cells))
        self.axes = axes
        samples = math.prod(self.shape)
        self.offsets = nn.Linear(channels, axes * samples)
        self.logits = nn.Linear(channels, samples)
        for weight in (self.offsets.weight, self.logits.weight):
            nn.init.normal_(weight, std=1e-2)
        nn.init.zeros_(self.logits.bias)
        with torch.no_grad():
            star = functional.pad(_star(heads, levels, radii_cells), (0, axes - 2))
            self.offsets.bias.copy_(star.flatten())

    def forward(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, Q, C) to offsets in cells (B, Q, heads, L, P, axes), logits without axes."""
        offsets = self.offsets(query).unflatten(2, (*self.shape, self.axes))
        return offsets, self.logits(query).unflatten(2, self.shape)


def place(reference: Tensor, offsets: Tensor, maps: Sequence[Tensor]) -> Tensor:
    """Sampling locations in units of the maps.

    Args:
        reference: (B, Q, heads, L, P, 2) or ones in place of any but P; (x, y) in [0, 1] inside.
        offsets: (B, Q, heads, L, P, 2) in cells, of any precision.
        maps: L values (B, H_l, W_l, heads, C / heads).

    Returns:
        (B, Q, heads, L, P, 2) in the precision of the reference.
    """
    cell = reference.new_tensor([(1 / value.shape[2], 1 / value.shape[1]) for value in maps])
    cell = cell.unsqueeze(1).expand(offsets.shape[-3:]).contiguous()  # (L, P, 2), fast in the sum
    return torch.addcmul(reference, offsets.to(reference.dtype), cell)


def softmax_over_samples(logits: Tensor) -> Tensor:
    """Softmax over levels and points together, (B, Q, heads, L, P), in float32 at least.

    Written out, since PyTorch's own takes five times as long on a CPU for so few samples.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    exponential = torch.exp(logits - logits.detach().amax(dim=(3, 4), keepdim=True))
    return exponential / exponential.sum(dim=(3, 4), keepdim=True)


def to_map(tokens: Tensor, heads: int, rows: int, columns: int) -> Tensor:
    """Tokens (B, rows · columns, C) to a map of values (B, rows, columns, heads, C / heads)."""
    return tokens.unflatten(2, (heads, -1)).unflatten(1, (rows, columns))


def feed_forward(channels: int, hidden: int) -> nn.Sequential:
    """Position-wise FFN of a transformer layer."""
    return nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))


def _star(heads: int, levels: int, radii_cells: Sequence[float]) -> Tensor:
    angle = 2.0 * math.pi * torch.arange(heads) / heads
    direction = torch.stack((angle.cos(), angle.sin()), dim=-1)  # (heads, 2)
    star = direction[:, None, None] * torch.tensor(radii_cells)[:, None]  # (heads, 1, P, 2)
    return star.expand(-1, levels, -1, -1)  # (heads, L, P, 2)
