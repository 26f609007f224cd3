"""Attention along the pillar (equation 5)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class PillarAttention(nn.Module):
    """Attn(Q_z, K_z, V_z) = softmax(Q_z K_zᵀ / √d) V_z over the heights of one place in all frames.

    Queries, keys and values are those of the BEV branch, reshaped: the channels of a token are W_z
    slots of d, one for each height of its pillar. The paper prints V_z inside the softmax.

    Args:
        slots: W_z, the heights of the grid.
    """

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.slots = slots

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Projected tokens (B, T, H, W, C) to as many."""
        batch, times, rows, columns, _ = query.shape
        query, key, value = (self._pillars(tokens) for tokens in (query, key, value))
        seen = functional.scaled_dot_product_attention(query, key, value)
        seen = seen.unflatten(0, (batch, rows, columns)).unflatten(3, (times, self.slots))
        return seen.permute(0, 3, 1, 2, 4, 5).flatten(4)  # (B, T, H, W, C)

    def _pillars(self, tokens: Tensor) -> Tensor:
        """(B, T, H, W, C) to (B · H · W, T · slots, C / slots)."""
        split = tokens.unflatten(4, (self.slots, -1))
        return split.permute(0, 2, 3, 1, 4, 5).flatten(0, 2).flatten(1, 2)
