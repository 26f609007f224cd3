"""What Table 4 of the paper compares Algorithm 1 with; each takes and gives the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from occflow_ros.models.refiner import ResidualBlock3d
from occflow_ros.models.temporal import (
    BevSlices,
    SliceAttention,
    TemporalFusion,
    align_history,
    forward_process,
    mean_over_height,
    seen_everywhere,
    slices_to_tokens,
)
from occflow_ros.structures import VoxelGrid


class ConcatConvFusion(nn.Module):
    """Concatenation and 3D convolution: one residual block over all aligned volumes.

    Args:
        history: past volumes it is made for; where there are fewer, zeros stand in.
        grid: where every volume lies in its own ego frame.
        channels: C.
    """

    def __init__(self, history: int, grid: VoxelGrid, channels: int) -> None:
        super().__init__()
        self.history = history
        self.grid = grid
        self.block = ResidualBlock3d((history + 1) * channels, channels, stride=1)

    def forward(self, volume: Tensor, history: Sequence[Tensor], past_T_current: Tensor) -> Tensor:
        """As `TemporalFusion.forward`, with at most `history` past volumes.

        Raises:
            ValueError: where there are more.
        """
        if len(history) > self.history:
            raise ValueError(
                f"history: expected at most {self.history} volumes, got {len(history)}"
            )
        aligned = [past for past, _ in align_history(history, past_T_current, self.grid)]
        missing = [torch.zeros_like(volume)] * (self.history - len(aligned))
        return self.block(torch.cat((volume, *aligned, *missing), dim=1))


class BevForwardFusion(nn.Module):
    """BEV pooling and forward attention only: V + unsqueeze(B_0, −1).

    Args:
        attention: of the forward process, on the mean slices alone.
        beta: β at the start.
        grid: where every volume lies in its own ego frame.
    """

    def __init__(self, attention: SliceAttention, beta: float, grid: VoxelGrid) -> None:
        super().__init__()
        self.attention = attention
        self.beta = nn.Parameter(torch.tensor(beta))
        self.grid = grid

    def forward(self, volume: Tensor, history: Sequence[Tensor], past_T_current: Tensor) -> Tensor:
        """As `TemporalFusion.forward`."""
        aligned = align_history(history, past_T_current, self.grid)
        frames = [_mean_slice(*frame) for frame in (seen_everywhere(volume), *aligned)]
        fused = forward_process(self.attention, frames, self.beta).tokens  # (B, X · Y, C)
        return volume + fused.transpose(1, 2).unflatten(2, self.grid.shape[:2]).unsqueeze(-1)


AnyFusion = TemporalFusion | ConcatConvFusion | BevForwardFusion


def _mean_slice(volume: Tensor, seen: Tensor) -> BevSlices:
    """BEV pooling: the mean over the seen voxels of each column, as the only slice."""
    mean, mean_seen = mean_over_height(volume, seen)
    return BevSlices(slices_to_tokens(mean), slices_to_tokens(mean_seen))
