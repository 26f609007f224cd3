"""Frame-level segmentation head: BEV features back to the classes of all voxels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_TRUST = 3.0
"""With ten to twenty classes, a probability of about a half for what the onboard model said."""


class SegmentationHead(nn.Module):
    """Upsamples with the frame's own finer maps, then reads heights out of the channels.

    What comes out is a correction of what the onboard model said, which is a logit of `_TRUST` at
    that class; it is zero before anything is learned.

    Args:
        embedding: channels of the embedded columns.
        channels: of the features.
        blocks: of the encoder.
        num_classes: C.
        heights: Z.
    """

    def __init__(
        self, embedding: int, channels: int, blocks: int, num_classes: int, heights: int
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(blocks - 1))
        self.finest = nn.Conv2d(channels, embedding, 1)
        self.mix = nn.Conv2d(embedding, channels, 3, padding=1)
        self.correction = nn.Linear(channels, heights * num_classes)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, maps: Sequence[Tensor], propagated: Tensor, classes: Tensor) -> Tensor:
        """Logits of N frames.

        Args:
            maps: of the encoder but the last, from fine to coarse.
            propagated: (N, c, h, w) in place of the last.
            classes: (N, X, Y, Z) that the onboard model said.

        Returns:
            (N, C, X, Y, Z).
        """
        features = propagated
        for lateral, finer in zip(self.lateral, reversed(maps[1:])):
            features = lateral(finer) + _upsample(features, finer)
        columns = maps[0] + _upsample(self.finest(features), maps[0])
        mixed = functional.relu(self.mix(columns)).permute(0, 2, 3, 1)  # (N, X, Y, c)
        correction = self.correction(mixed).unflatten(3, (classes.shape[3], -1))
        onboard = torch.full_like(correction[..., :1], _TRUST)
        logits = correction.scatter_add(4, classes.unsqueeze(4), onboard)  # (N, X, Y, Z, C)
        return logits.permute(0, 4, 1, 2, 3)


def _upsample(coarse: Tensor, fine: Tensor) -> Tensor:
    return functional.interpolate(coarse, size=fine.shape[2:], mode="bilinear", align_corners=False)
