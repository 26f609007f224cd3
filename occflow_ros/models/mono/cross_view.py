"""Cross-view transformer: features of adjacent frames learn from each other before lifting."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from occflow_ros.models.attention import feed_forward
from occflow_ros.models.mono.encoding import image_encoding


class CrossViewTransformer(nn.Module):
    """Pairs of adjacent frames in chronological order attend to each other (section III-C).

    Each pair is enhanced in both directions, by the same weights, and the next pair takes what came
    out: the newest frame so hears of all.

    Args:
        channels: C.
        heads: attention heads.
        levels: coarsest levels of the pyramid that are enhanced; the others stay as they are.
        ffn_channels: hidden width of the FFN.
    """

    def __init__(self, channels: int, heads: int, levels: int, ffn_channels: int) -> None:
        super().__init__()
        self.heads, self.levels = heads, levels
        self.query, self.key, self.value, self.output = (
            nn.Linear(channels, channels) for _ in range(4)
        )
        self.ffn = feed_forward(channels, ffn_channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))

    def forward(self, features: Sequence[Tensor], times: int) -> list[Tensor]:
        """L maps (M · T, C, h, w), newest of T first, to as many."""
        first = len(features) - self.levels
        return [
            self._enhance(level, times) if number >= first else level
            for number, level in enumerate(features)
        ]

    def _enhance(self, level: Tensor, times: int) -> Tensor:
        channels, height, width = level.shape[1:]
        position = image_encoding(channels, height, width, level.device)  # (h · w, C)
        tokens = level.flatten(2).transpose(1, 2).unflatten(0, (-1, times))  # (M, T, h · w, C)
        frames = [tokens[:, time] for time in range(times)]
        for newer in reversed(range(times - 1)):
            older = newer + 1
            frames[older], frames[newer] = (
                self._attend(frames[older], frames[newer], position),
                self._attend(frames[newer], frames[older], position),
            )
        stacked = torch.stack(frames, dim=1).flatten(0, 1)  # (M · T, h · w, C)
        return stacked.transpose(1, 2).unflatten(2, (height, width))

    def _attend(self, tokens: Tensor, other: Tensor, position: Tensor) -> Tensor:
        """Tokens (M, h · w, C) of one frame after a look at the other."""
        query, key, value = (
            projection(source).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for projection, source in (
                (self.query, tokens + position),
                (self.key, other + position),
                (self.value, other),
            )
        )  # (M, heads, h · w, C / heads)
        seen = functional.scaled_dot_product_attention(query, key, value)
        looked, mixed = self.norms
        tokens = looked(tokens + self.output(seen.transpose(1, 2).flatten(2)))
        return mixed(tokens + self.ffn(tokens))
