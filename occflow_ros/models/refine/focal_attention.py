"""Multi-head focal attention over BEV and time (MHFA of equation 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class FocalAttention(nn.Module):
    """Tokens see their own surroundings finely and the rest coarsely, in all frames.

    The map is cut into windows. A token attends to each token of its window and of the margin
    around it, and to the mean of each other window, whatever the frame. Where one window covers the
    map it is plain attention over all tokens of all frames. A mean of keys is the key of the mean,
    so pooling before or after the projection is the same.

    Args:
        heads: attention heads.
        window: side of a window in tokens.
        margin: tokens around it that are seen finely too.
    """

    def __init__(self, heads: int, window: int, margin: int) -> None:
        super().__init__()
        self.heads, self.window, self.margin = heads, window, margin

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Projected tokens (B, T, H, W, C) to as many, heads side by side in C."""
        rows, columns = query.shape[2:4]
        query, key, value = (self._pad(tokens) for tokens in (query, key, value))
        there = self._pad(query.new_ones(1, 1, rows, columns, 1))
        windows = self._cut(query, margin=0)  # (B, n, heads, T · window², C / heads)
        seen = functional.scaled_dot_product_attention(
            windows,
            torch.cat((self._cut(key, self.margin), self._pool(key, there)), dim=3),
            torch.cat((self._cut(value, self.margin), self._pool(value, there)), dim=3),
            attn_mask=self._visible(there, times=query.shape[1]),
        )
        return self._join(seen, query.shape)[:, :, :rows, :columns]

    def _pad(self, tokens: Tensor) -> Tensor:
        """(B, T, H, W, C) with zeros up to whole windows."""
        below, right = (-side % self.window for side in tokens.shape[2:4])
        return functional.pad(tokens, (0, 0, 0, right, 0, below))

    def _cut(self, tokens: Tensor, margin: int) -> Tensor:
        """(B, T, H, W, C) to windows (B, n, heads, T · side², C / heads), zeros around the map."""
        edge = functional.pad(tokens, (0, 0, margin, margin, margin, margin))
        side = self.window + 2 * margin
        windows = edge.unfold(2, side, self.window).unfold(3, side, self.window)
        windows = windows.unflatten(4, (self.heads, -1))  # (B, T, rows, cols, heads, d, side, side)
        return windows.permute(0, 2, 3, 4, 1, 6, 7, 5).flatten(1, 2).flatten(3, 5)

    def _pool(self, tokens: Tensor, there: Tensor) -> Tensor:
        """Mean of each window, (B, T, H, W, C) to (B, n, heads, T · n, C / heads)."""
        means = self._sums(tokens) / self._sums(there)  # (B, T, n, C)
        pooled = means.unflatten(3, (self.heads, -1)).permute(0, 3, 1, 2, 4).flatten(2, 3)
        return pooled.unsqueeze(1).expand(-1, means.shape[2], -1, -1, -1)

    def _sums(self, tokens: Tensor) -> Tensor:
        """Of each window, (B, T, H, W, C) to (B, T, n, C)."""
        split = tokens.unflatten(3, (-1, self.window)).unflatten(2, (-1, self.window))
        return split.sum(dim=(3, 5)).flatten(2, 3)

    def _visible(self, there: Tensor, times: int) -> Tensor:
        """Which keys a window sees, (n, 1, 1, keys) bool: none from outside, not its own mean."""
        edge = functional.pad(there[0, 0, :, :, 0], (self.margin,) * 4)  # (H, W)
        side = self.window + 2 * self.margin
        fine = edge.unfold(0, side, self.window).unfold(1, side, self.window)
        fine = fine.flatten(0, 1).flatten(1) > 0  # (n, side²)
        coarse = ~torch.eye(len(fine), dtype=torch.bool, device=there.device)  # (n, n)
        return torch.cat((fine.repeat(1, times), coarse.repeat(1, times)), dim=1)[:, None, None]

    def _join(self, windows: Tensor, shape: torch.Size) -> Tensor:
        """Windows (B, n, heads, T · window², C / heads) to tokens (B, T, H, W, C)."""
        _, times, rows, columns, _ = shape
        side = self.window
        tokens = windows.unflatten(3, (times, side, side))
        tokens = tokens.unflatten(1, (rows // side, columns // side))
        # (B, rows', cols', heads, T, side, side, d) to (B, T, rows', side, cols', side, heads, d)
        tokens = tokens.permute(0, 4, 1, 5, 2, 6, 3, 7)
        return tokens.flatten(6).flatten(4, 5).flatten(2, 3)
