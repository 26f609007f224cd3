"""Temporal fusion (equations 4 to 6, Algorithm 1 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from occflow_ros.models.attention import SamplingHead, place, softmax_over_samples, to_map
from occflow_ros.ops.deform_attn import deform_attn
from occflow_ros.ops.voxel_warp import voxel_warp
from occflow_ros.structures import VoxelGrid


@dataclass(frozen=True, slots=True)
class BevSlices:
    """The Z horizontal slices of one volume and their mean, each a bird's-eye map.

    Args:
        tokens: (B · (Z + 1), X · Y, C), the mean slice last; zero where not seen.
        seen: (B · (Z + 1), X · Y, 1) bool.
    """

    tokens: Tensor
    seen: Tensor


class SliceAttention(nn.Module):
    """DAttn(B_i, {B_j, B_i}) between the slices of two adjacent frames, slice by slice.

    Offsets and weights are predicted from both frames' features at the query. Unseen cells are no
    data: the attention is renormalised over what was seen, and with nothing seen it is zero.

    Args:
        channels: C.
        heads: attention heads.
        points: samples per head and frame.
        shape_xy: (X, Y).
    """

    reference: Tensor

    def __init__(self, channels: int, heads: int, points: int, shape_xy: tuple[int, int]) -> None:
        super().__init__()
        self.heads = heads
        self.shape_xy = shape_xy
        radii_cells = [float(point + 1) for point in range(points)]
        self.sampling = SamplingHead(2 * channels, heads, levels=2, radii_cells=radii_cells)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)
        reference = _cell_centers(shape_xy)[:, None, None, None].expand(-1, 1, 2, points, 2)
        self.register_buffer("reference", reference.contiguous(), persistent=False)

    def forward(self, query: BevSlices, neighbour: BevSlices) -> Tensor:
        """Both frames' slices to what the query's tokens gain, (B · S, X · Y, C), S = Z + 1."""
        maps = [self._values(neighbour), self._values(query)]
        offsets, logits = self.sampling(torch.cat((query.tokens, neighbour.tokens), dim=-1))
        locations = place(self.reference, offsets, maps)
        answers = deform_attn(maps, locations, softmax_over_samples(logits))
        per_head = answers.unflatten(-1, (self.heads, -1))  # (B · S, X · Y, heads, C / heads + 1)
        gained, seen_weight = per_head[..., :-1], per_head[..., -1:]
        gained = gained / seen_weight.clamp(min=1e-3)
        return self.output(gained.flatten(-2)) * (seen_weight > 0).any(dim=-2)

    def _values(self, slices: BevSlices) -> Tensor:
        """Values per head and one more channel that is 1, (…, C / heads + 1); zero where unseen."""
        weight = self.value.weight.unflatten(0, (self.heads, -1))  # (heads, C / heads, C)
        bias = self.value.bias.unflatten(0, (self.heads, -1))  # (heads, C / heads)
        values = functional.linear(
            slices.tokens,
            functional.pad(weight, (0, 0, 0, 1)).flatten(0, 1),
            functional.pad(bias, (0, 1), value=1.0).flatten(),
        )
        return to_map(values * slices.seen, self.heads, *self.shape_xy)


class BackwardForwardAttention(nn.Module):
    """BFAM, equation 5: B_{t_i} ← B_{t_i} + β · DAttn(B_{t_i}, {B_{t_j}, B_{t_i}}).

    The text below equation 5 and Algorithm 1 name the neighbours the other way round; this is
    Algorithm 1: first each past frame looks at the next newer one, then each at the next older.

    Args:
        backward: attention of the backward process, t_j = t_i + 1.
        forward_: attention of the forward process, t_j = t_i − 1.
        beta: β at the start.
    """

    def __init__(self, backward: SliceAttention, forward_: SliceAttention, beta: float) -> None:
        super().__init__()
        self.backward_attention = backward
        self.forward_attention = forward_
        self.beta = nn.Parameter(torch.tensor(beta))

    def forward(self, frames: Sequence[BevSlices]) -> BevSlices:
        """Slices of n frames, B_0 first, then B_{-1}, … back in time, to the new B_0."""
        slices = list(frames)
        for i in range(len(slices) - 1):
            slices[i + 1] = attend(self.backward_attention, slices[i + 1], slices[i], self.beta)
        return forward_process(self.forward_attention, slices, self.beta)


class TemporalFusion(nn.Module):
    """Algorithm 1: align past volumes, let their slices attend to each other, fuse.

    Args:
        attention: the backward-forward attention module.
        grid: where every volume lies in its own ego frame.
        channels: C.
    """

    def __init__(self, attention: BackwardForwardAttention, grid: VoxelGrid, channels: int) -> None:
        super().__init__()
        self.attention = attention
        self.grid = grid
        self.gate = nn.Conv3d(channels, channels, 1)

    def forward(self, volume: Tensor, history: Sequence[Tensor], past_T_current: Tensor) -> Tensor:
        """Fuse the past into the current volume.

        Args:
            volume: V_0 (B, C, X, Y, Z).
            history: V_{-1}, V_{-2}, …, newest first, each (B, C, X, Y, Z) before fusion in its own
                ego frame; any number, none included.
            past_T_current: (B, n, 4, 4) float64, current ego frame into each past one.

        Returns:
            Ṽ' (B, C, X, Y, Z).
        """
        aligned = align_history(history, past_T_current, self.grid)
        frames = [volume_to_slices(*frame) for frame in (seen_everywhere(volume), *aligned)]
        fused, mean = slices_to_volume(self.attention(frames).tokens, self.grid.shape)
        return self._fuse_bev(fused, mean)

    def _fuse_bev(self, volume: Tensor, mean: Tensor) -> Tensor:
        """Ṽ' = Ṽ + σ(conv(Ṽ)) · unsqueeze(B̃_g, −1), equation 6."""
        return volume + torch.sigmoid(self.gate(volume)) * mean


def align_history(
    history: Sequence[Tensor], past_T_current: Tensor, grid: VoxelGrid
) -> list[tuple[Tensor, Tensor]]:
    """EgoMotionAlignment, line 3 of Algorithm 1: each past volume in the current ego frame.

    Returns:
        for each of n past volumes aligned (B, C, X, Y, Z), zero where not seen, and seen
        (B, 1, X, Y, Z) bool.
    """
    return [voxel_warp(past, past_T_current[:, index], grid) for index, past in enumerate(history)]


def seen_everywhere(volume: Tensor) -> tuple[Tensor, Tensor]:
    """The current volume as `align_history` gives past ones."""
    return volume, torch.ones_like(volume[:, :1], dtype=torch.bool)


def forward_process(
    attention: SliceAttention, frames: Sequence[BevSlices], beta: Tensor
) -> BevSlices:
    """Lines 10 to 12 of Algorithm 1: from the oldest frame to B_0, each looks at the one before."""
    newer = frames[-1]
    for slices in reversed(frames[:-1]):
        newer = attend(attention, slices, newer, beta)
    return newer


def attend(
    attention: SliceAttention, slices: BevSlices, neighbour: BevSlices, beta: Tensor
) -> BevSlices:
    """Equation 5 for one pair of frames."""
    return replace(slices, tokens=slices.tokens + beta * attention(slices, neighbour))


def volume_to_slices(volume: Tensor, seen: Tensor) -> BevSlices:
    """VolumeToSlices and MeanPooling over what was seen, lines 4 and 5 of Algorithm 1.

    Args:
        volume: (B, C, X, Y, Z), zero where not seen.
        seen: (B, 1, X, Y, Z) bool.
    """
    mean, mean_seen = mean_over_height(volume, seen)
    return BevSlices(slices_to_tokens(volume, mean), slices_to_tokens(seen, mean_seen))


def mean_over_height(volume: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over the seen voxels of each column (B, C, X, Y, 1), and whether it has any."""
    slices = volume.permute(0, 4, 2, 3, 1).contiguous()  # (B, Z, X, Y, C), faster to sum
    total = slices.sum(dim=1).permute(0, 3, 1, 2).unsqueeze(-1)  # (B, C, X, Y, 1)
    mean = total / seen.sum(dim=-1, keepdim=True).clamp(min=1)
    return mean, seen.any(dim=-1, keepdim=True)


def slices_to_volume(tokens: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """SlicesToVolume, line 13 of Algorithm 1.

    Args:
        tokens: (B · (Z + 1), X · Y, C), the mean slice last.
        shape: (X, Y, Z).

    Returns:
        Ṽ (B, C, X, Y, Z) and B̃_g (B, C, X, Y, 1).
    """
    nx, ny, nz = shape
    slices = tokens.unflatten(0, (-1, nz + 1)).unflatten(2, (nx, ny))  # (B, Z + 1, X, Y, C)
    volume = slices.permute(0, 4, 2, 3, 1)  # (B, C, X, Y, Z + 1)
    return volume[..., :-1].contiguous(memory_format=torch.channels_last_3d), volume[..., -1:]


def slices_to_tokens(*slices: Tensor) -> Tensor:
    """Horizontal slices, each (B, C, X, Y, S_i), to all of them (B · S, X · Y, C), S = Σ S_i."""
    first = [each.permute(0, 4, 2, 3, 1) for each in slices]  # (B, S_i, X, Y, C)
    return torch.cat(first, dim=1).flatten(0, 1).flatten(1, 2)


def _cell_centers(shape_xy: tuple[int, int]) -> Tensor:
    """Own cell of each query in units of the map, (X · Y, 2) as (y, x)."""
    x, y = ((torch.arange(count) + 0.5) / count for count in shape_xy)
    grid_x, grid_y = torch.meshgrid(x, y, indexing="ij")
    return torch.stack((grid_y, grid_x), dim=-1).flatten(0, 1)
