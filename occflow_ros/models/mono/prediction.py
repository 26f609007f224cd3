"""What comes out of the semantic network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class MonoPrediction:
    """Of a batch; X', Y', Z' are half of X, Y, Z.

    Args:
        logits: Y_t (B, classes, X, Y, Z) of the output grid.
        volume: F̃ (B, C, X', Y', Z') after equation 6, the cameras merged.
        proposals: (B, N, X', Y', Z') occupancy logits of what corrects the depth, per camera.
        seen: (B, X', Y', Z') bool, the centre of the cell lies in a current image.
        features: (B, N, C, h, w) finest feature map of the current images.
    """

    logits: Tensor
    volume: Tensor
    proposals: Tensor
    seen: Tensor
    features: Tensor


torch.export.register_dataclass(MonoPrediction, serialized_type_name="occflow_ros.MonoPrediction")
