"""Volumetric SDF and flow fields: two separate two-layer MLPs Θ_s, Θ_f (equation 7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from occflow_ros.models.precision import full_precision
from occflow_ros.structures import VoxelGrid


@dataclass(frozen=True, slots=True)
class Prediction:
    """The two fields of a batch.

    Args:
        sdf_m: S (B, X, Y, Z) signed distance to the nearest surface, negative inside.
        flow_m: F (B, X, Y, Z, 2) displacement over one interval along ego x and y.
    """

    sdf_m: Tensor
    flow_m: Tensor


torch.export.register_dataclass(Prediction, serialized_type_name="occflow_ros.Prediction")


class Heads(nn.Module):
    """S = z − ground_z + Θ_s(V_refine) and F = Θ_f(V_refine).

    Training starts from geometry: the last layers begin near zero, so S is the height over a flat
    road with empty space above it, and F is zero.

    Args:
        channels: of V_refine.
        hidden: hidden width of both MLPs.
        grid: output voxels.
        ground_z_m: height of the road in the ego frame.
    """

    height_m: Tensor

    def __init__(self, channels: int, hidden: int, grid: VoxelGrid, ground_z_m: float) -> None:
        super().__init__()
        self.sdf = _mlp(channels, hidden, 1)
        self.flow = _mlp(channels, hidden, 2)
        height_m = grid.centers_m()[0, 0, :, 2] - ground_z_m
        self.register_buffer("height_m", height_m, persistent=False)

    def forward(self, volume: Tensor) -> Prediction:
        """V_refine (B, C, X, Y, Z) to both fields, in full precision also under autocast.

        A signed distance of 3 m in bfloat16 is off by 1 cm, and so would the surface be.
        """
        with full_precision(volume.device):
            features = volume.permute(0, 2, 3, 4, 1).to(self.height_m)  # (B, X, Y, Z, C)
            residual_m = self.sdf(features).squeeze(-1)
            return Prediction(sdf_m=self.height_m + residual_m, flow_m=self.flow(features))


def _mlp(channels: int, hidden: int, out: int) -> nn.Sequential:
    last = nn.Linear(hidden, out)
    nn.init.normal_(last.weight, std=1e-3)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), last)
