"""Four-level feature pyramid [44]: the multi-scale image features F of equation 3."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class FeaturePyramid(nn.Module):
    """Top-down pyramid with lateral 1×1 and output 3×3 convolutions.

    Args:
        widths: channels of the incoming maps, finest first.
        channels: C, channels of every outgoing map.
    """

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.output = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in widths)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (M, widths[l], H_l, W_l) to as many (M, C, H_l, W_l)."""
        levels = [lateral(value) for lateral, value in zip(self.lateral, maps)]
        for fine in range(len(levels) - 2, -1, -1):
            coarse = functional.interpolate(
                levels[fine + 1], size=levels[fine].shape[-2:], mode="nearest"
            )
            levels[fine] = levels[fine] + coarse
        return tuple(output(value) for output, value in zip(self.output, levels))
