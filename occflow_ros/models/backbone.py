"""2D image backbone [31]: ConvNeXt at strides 4, 8, 16 and 32."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import ConvNextBackbone, ConvNextConfig


class Backbone(nn.Module):
    """ConvNeXt built from its sizes; nothing is downloaded.

    Args:
        depths: blocks of the four stages.
        widths: channels of the four stages.
    """

    def __init__(self, depths: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        config = ConvNextConfig(
            depths=list(depths),
            hidden_sizes=list(widths),
            out_features=["stage1", "stage2", "stage3", "stage4"],  # type: ignore[call-arg]
        )
        self.convnext = ConvNextBackbone(config)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (M, 3, H, W) to four maps (M, widths[l], H / 4·2^l, W / 4·2^l)."""
        return tuple(self.convnext(images).feature_maps)
