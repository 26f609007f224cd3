"""Depth to queries: back-projected, voxelised, corrected by a small network (section III-A)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from occflow_ros.models.mono.views import CameraViews
from occflow_ros.models.precision import full_precision
from occflow_ros.structures import VoxelGrid

NEAREST_M = 0.1


@dataclass(frozen=True, slots=True)
class Queries:
    """Cells Q_d that are taken to be occupied, one padded list per camera.

    Args:
        cell: (M, K) int64 row-major number of each cell, different ones in each row.
        valid: (M, K) bool, False where a list has ended.
    """

    cell: Tensor
    valid: Tensor

    def gather(self, cells: Tensor) -> Tensor:
        """Of all cells (M, Q, C), or (Q, C) that all cameras share, those listed, (M, K, C)."""
        index = self.cell.unsqueeze(-1).expand(-1, -1, cells.shape[-1])
        return cells.expand(len(index), -1, -1).gather(1, index)


class ProposalNetwork(nn.Module):
    """Corrects a volume that depth has filled, in the form of LMSCNet.

    A U-Net over (x, y) whose channels are heights: four scales of f, 1.5 f, 2 f and 2.5 f
    channels, and back up to half the resolution. Source: Roldão et al., 3DV 2020, figure 2.

    Args:
        grid: of what goes in; what comes out has half its resolution.
        channels: f.
    """

    def __init__(self, grid: VoxelGrid, channels: int) -> None:
        super().__init__()
        self.grid = grid
        heights = grid.shape[2]
        widths = [channels, channels * 3 // 2, channels * 2, channels * 5 // 2]
        self.down = nn.ModuleList(
            _block(incoming, width) for incoming, width in zip((heights, *widths), widths)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairwise(widths[1:])
        )
        self.merge = nn.ModuleList(_block(2 * width, width) for width in widths[1:-1])
        self.output = nn.Conv2d(widths[1], heights // 2, 1)

    def forward(self, occupied: Tensor) -> Tensor:
        """Occupancy (M, X, Y, Z) of 0 and 1 to logits (M, X / 2, Y / 2, Z / 2)."""
        features = occupied.permute(0, 3, 1, 2)  # (M, Z, X, Y)
        scales = []
        for number, block in enumerate(self.down):
            features = block(features if number == 0 else _half(features))
            scales.append(features)
        for number in reversed(range(len(self.up))):
            skip = scales[number + 1]
            height, width = skip.shape[-2:]  # an odd side was rounded up on the way down
            lifted = self.up[number](features)[..., :height, :width]
            features = self.merge[number](torch.cat((lifted, skip), dim=1))
        return self.output(features).permute(0, 2, 3, 1)  # (M, X / 2, Y / 2, Z / 2)


def voxelize(depth_m: Tensor, cameras: CameraViews, grid: VoxelGrid) -> Tensor:
    """Voxels that hold a back-projected pixel, (M, X, Y, Z) of 0 and 1.

    Args:
        depth_m: (M, h, w) along the optical axis of the newest image, of any resolution over all of
            it; what is not finite or nearer than 0.1 m is unknown.
        cameras: whose images these are.
        grid: of the volume.
    """
    known = depth_m.isfinite() & (depth_m > NEAREST_M) & cameras.present[:, :1, None]
    points_m = _points_m(torch.where(known, depth_m, 1.0), cameras)
    index, inside = grid.index_of(points_m)  # (M, h · w, 3)
    flat = grid.flatten_index(index)
    hit = (inside & known.flatten(1)).to(depth_m.dtype)  # (M, h · w)
    volume = depth_m.new_zeros(len(depth_m), grid.num_voxels).scatter_reduce(1, flat, hit, "amax")
    return volume.unflatten(1, grid.shape)


def select(logits: Tensor, threshold: float, max_queries: int) -> Queries:
    """The most probable cells above a threshold, of each camera.

    Args:
        logits: (M, X', Y', Z') of occupancy.
        threshold: probability from which on a cell is taken.
        max_queries: at most.
    """
    probability = logits.detach().sigmoid().flatten(1)  # (M, Q)
    count = min(max_queries, probability.shape[1])
    if not torch.compiler.is_exporting():  # an exported program's shapes cannot depend on values
        count = max(1, min(count, int((probability >= threshold).sum(dim=1).max())))
    best, cell = probability.topk(count, dim=1)
    return Queries(cell, best >= threshold)


def _points_m(depth_m: Tensor, cameras: CameraViews) -> Tensor:
    """Pixels (M, h, w) of the newest images in the ego frame, (M, h · w, 3)."""
    height, width = depth_m.shape[1:]
    image_height, image_width = cameras.image_hw_px
    with full_precision(depth_m.device):
        v, u = torch.meshgrid(
            (torch.arange(height, device=depth_m.device) + 0.5) * (image_height / height) - 0.5,
            (torch.arange(width, device=depth_m.device) + 0.5) * (image_width / width) - 0.5,
            indexing="ij",
        )
        pixels = torch.stack((u, v, torch.ones_like(u)), dim=-1).flatten(0, 1)  # (h · w, 3)
        directions = pixels @ torch.linalg.inv(cameras.K[:, 0]).transpose(1, 2)  # (M, h · w, 3)
        base_T_camera = cameras.base_T_camera[:, 0]
        points_m = (directions * depth_m.flatten(1).unsqueeze(-1)) @ base_T_camera[
            :, :3, :3
        ].transpose(1, 2)
        return points_m + base_T_camera[:, None, :3, 3]


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels_out, channels_out, 3, padding=1),
        nn.ReLU(),
    )


def _half(features: Tensor) -> Tensor:
    return functional.max_pool2d(features, 2, ceil_mode=True)
