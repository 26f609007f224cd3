"""Features of visible places to those of the whole scene (equations 3 and 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from occflow_ros.models.attention import SamplingHead, feed_forward, softmax_over_samples
from occflow_ros.models.mono.encoding import turn_about_z
from occflow_ros.models.mono.proposals import Queries
from occflow_ros.ops.deform_attn_3d import deform_attn_3d


class VolumeSelfAttention(nn.Module):
    """DSA(F, F): a cell looks at other cells, trilinearly, wherever its own feature points to.

    Offsets are in the levelled frame of the camera, ahead and to its left, and are turned into the
    axes of the grid: what lies behind a surface then is the same offset for every camera.

    Args:
        shape: (X, Y, Z) of the volume.
        channels: C.
        heads: attention heads.
        points: samples per head.
    """

    cells: Tensor

    def __init__(self, shape: tuple[int, int, int], channels: int, heads: int, points: int) -> None:
        super().__init__()
        self.shape, self.heads = shape, heads
        axes = [torch.arange(count, dtype=torch.float32) for count in shape]
        cells = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 2)  # (Q, 3)
        self.register_buffer("cells", cells, persistent=False)
        radii_cells = [float(number) for number in range(points)]
        self.sampling = SamplingHead(channels, heads, 1, radii_cells, axes=3)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)

    def forward(self, query: Tensor, tokens: Tensor, heading: Tensor) -> Tensor:
        """Queries with encoding and tokens, both (M, Q, C), to (M, Q, C).

        Args:
            query: Q = X · Y · Z cells in row-major order.
            tokens: their features.
            heading: (M,) angle of each camera's view about z, in radians.
        """
        offsets, logits = self.sampling(query)  # (M, Q, heads, 1, P, 3)
        values = self.value(tokens).unflatten(2, (self.heads, -1)).unflatten(1, self.shape)
        turned = _turn(offsets.squeeze(3).to(self.cells), heading)
        locations = self.cells[:, None, None] + turned  # (M, Q, heads, P, 3)
        weights = softmax_over_samples(logits).squeeze(3)  # (M, Q, heads, P)
        return self.output(deform_attn_3d(values, locations, weights))


class CompletionLayer(nn.Module):
    """Self attention over the volume and an FFN, each with residual and norm.

    Args:
        attention: over the volume.
        channels: C.
        ffn_channels: hidden width of the FFN.
    """

    def __init__(self, attention: VolumeSelfAttention, channels: int, ffn_channels: int) -> None:
        super().__init__()
        self.attention = attention
        self.ffn = feed_forward(channels, ffn_channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))

    def forward(self, tokens: Tensor, encoding: Tensor, heading: Tensor) -> Tensor:
        """Tokens (M, Q, C) of all cells to new ones."""
        looked, mixed = self.norms
        tokens = looked(tokens + self.attention(tokens + encoding, tokens, heading))
        return mixed(tokens + self.ffn(tokens))


class Completion(nn.Module):
    """Mask tokens where nothing was proposed, then layers of self attention.

    Args:
        layers: ready layers.
        channels: C.
    """

    def __init__(self, layers: Sequence[CompletionLayer], channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.mask_token = nn.Parameter(torch.randn(channels) * 0.1)

    def forward(
        self, lifted: Tensor, queries: Queries, encoding: Tensor, heading: Tensor
    ) -> Tensor:
        """O_S (M, K, C) to the completed F̂_S (M, Q, C)."""
        tokens = self.fill(lifted, queries, encoding)
        for layer in self.layers:
            tokens = layer(tokens, encoding, heading)
        return tokens

    def fill(self, lifted: Tensor, queries: Queries, encoding: Tensor) -> Tensor:
        """F_S (M, Q, C): features where there are some, the mask token M elsewhere."""
        empty = self.mask_token.to(lifted.dtype).expand(*encoding.shape[:2], -1)
        rows = queries.cell.unsqueeze(-1).expand_as(lifted)
        known = torch.where(queries.valid.unsqueeze(-1), lifted, self.mask_token.to(lifted.dtype))
        return empty.scatter(1, rows, known)


def _turn(offsets: Tensor, heading: Tensor) -> Tensor:
    """Offsets (M, Q, heads, P, 3) from the levelled frame of a camera to the axes of the grid."""
    ego_T_ahead = turn_about_z(heading)  # (M, 2, 2)
    across = torch.einsum("mij,mqhpj->mqhpi", ego_T_ahead, offsets[..., :2])
    return torch.cat((across, offsets[..., 2:]), dim=-1)
