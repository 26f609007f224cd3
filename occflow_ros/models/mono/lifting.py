"""Queries of visible places gather image features (equations 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from occflow_ros.models.attention import feed_forward
from occflow_ros.models.camera_view import CameraView
from occflow_ros.models.lifter import ImageCrossAttention


class CrossLayer(nn.Module):
    """Deformable cross attention into the images and an FFN, each with residual and norm.

    Where several images see a query, its answer is their mean: equation 2.

    Args:
        channels: C.
        heads: attention heads.
        levels: maps of the feature pyramid.
        points: samples per head and level.
        ffn_channels: hidden width of the FFN.
    """

    def __init__(
        self, channels: int, heads: int, levels: int, points: int, ffn_channels: int
    ) -> None:
        super().__init__()
        radii_cells = [float(number) for number in range(points)]
        self.value = nn.Conv2d(channels, channels, 1)
        self.image = ImageCrossAttention(channels, heads, levels, radii_cells)
        self.ffn = feed_forward(channels, ffn_channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.heads = heads

    def forward(
        self, tokens: Tensor, encoding: Tensor, features: Sequence[Tensor], view: CameraView
    ) -> Tensor:
        """Tokens (M, Q, C) with their encoding to new ones; T images see each of M batches.

        Args:
            tokens: (M, Q, C).
            encoding: (M, Q, C) of their positions.
            features: L maps (M · T, C, h, w).
            view: of the queries by M × T images, one reference point each.
        """
        maps = [
            self.value(level).permute(0, 2, 3, 1).unflatten(3, (self.heads, -1))
            for level in features
        ]  # L of (M · T, h, w, heads, C / heads)
        seen, mixed = self.norms
        tokens = seen(tokens + self.image(tokens + encoding, maps, view))
        return mixed(tokens + self.ffn(tokens))


class QueryLifting(nn.Module):
    """O_S = DCA(Q_d, F): learned queries at the proposed cells, layers of cross attention.

    Args:
        layers: ready layers.
        channels: C.
    """

    def __init__(self, layers: Sequence[CrossLayer], channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.query = nn.Parameter(torch.randn(channels) * 0.1)

    def forward(self, encoding: Tensor, features: Sequence[Tensor], view: CameraView) -> Tensor:
        """Encodings (M, K, C) of the queries' cells to O_S (M, K, C)."""
        tokens = self.query.expand_as(encoding)
        for layer in self.layers:
            tokens = layer(tokens, encoding, features, view)
        return tokens
