"""Which place a frame has in its window: tried in Table 5, and no help there."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_WAVES = 8


class TemporalEncoding(nn.Module):
    """Sines and cosines of a frame's place, and one vector for whatever is a reference.

    Args:
        channels: of the BEV features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * _WAVES, channels)
        self.reference = nn.Parameter(torch.zeros(channels))

    def forward(self, local: int, references: int) -> Tensor:
        """(local + references, channels), in this order."""
        place = torch.arange(local, device=self.reference.device)
        angle = place[:, None] * (math.pi * 0.5 ** torch.arange(_WAVES, device=place.device))
        encoded = self.linear(torch.cat((angle.sin(), angle.cos()), dim=-1))
        return torch.cat((encoded, self.reference.expand(references, -1)))
