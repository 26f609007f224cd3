"""Where a cell lies as seen from a camera: one network serves cameras that look anywhere."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from occflow_ros.models.mono.views import CameraViews
from occflow_ros.models.precision import full_precision
from occflow_ros.models.tpv import wavelengths_m, waves
from occflow_ros.structures import VoxelGrid


class CellEncoding(nn.Module):
    """Position of all cells in the levelled frame of each camera, in metres, as sines and cosines.

    The frame has its origin under the camera, at the floor of the grid; x is where the camera
    looks, y its left, z up. A rig that is turned, or a grid that is moved with the road, gives the
    same positions.

    Args:
        grid: of the cells.
        channels: C.
        wavelengths: how many, in geometric steps from two cells to twice the range.
    """

    centers_m: Tensor
    lengths_m: Tensor

    def __init__(self, grid: VoxelGrid, channels: int, wavelengths: int = 8) -> None:
        super().__init__()
        centers_m = grid.centers_m().float().flatten(0, 2)  # (Q, 3)
        self.register_buffer("centers_m", centers_m, persistent=False)
        self.register_buffer("lengths_m", wavelengths_m(grid, wavelengths), persistent=False)
        self.floor_m = grid.lower_m[2]
        self.mix = nn.Linear(6 * wavelengths, channels)

    def forward(self, cameras: CameraViews) -> Tensor:
        """(M, Q, C) for M cameras."""
        with full_precision(self.centers_m.device):
            position_m = self._levelled_m(cameras)
            encoded = waves(position_m, self.lengths_m)  # (M, Q, 6 · wavelengths)
        return self.mix(encoded)

    def _levelled_m(self, cameras: CameraViews) -> Tensor:
        origin_m = cameras.base_T_camera[:, 0, :3, 3].clone()  # (M, 3)
        origin_m[:, 2] = self.floor_m
        ahead_T_ego = turn_about_z(-cameras.heading())  # (M, 2, 2)
        offset_m = self.centers_m - origin_m.unsqueeze(1)  # (M, Q, 3)
        across_m = offset_m[..., :2] @ ahead_T_ego.transpose(1, 2)  # (M, Q, 2)
        return torch.cat((across_m, offset_m[..., 2:]), dim=-1)


def turn_about_z(angle: Tensor) -> Tensor:
    """(M,) angles in radians to rotations (M, 2, 2) of x and y, counter-clockwise."""
    cosine, sine = angle.cos(), angle.sin()
    rows = torch.stack((cosine, -sine, sine, cosine), dim=-1)
    return rows.unflatten(-1, (2, 2))


def image_encoding(channels: int, height: int, width: int, device: torch.device) -> Tensor:
    """Sines and cosines of the place in a feature map, (height · width, C); C a multiple of 4."""
    if channels % 4:
        raise ValueError(f"channels: expected a multiple of 4, got {channels}")
    powers = torch.arange(channels // 4, device=device) / (channels // 4)
    lengths = 2.0 * math.pi * 10_000.0**powers
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device) + 0.5,
        torch.arange(width, device=device) + 0.5,
        indexing="ij",
    )
    places = torch.stack((columns, rows), dim=-1).flatten(0, 1)  # (h · w, 2)
    return waves(places, lengths)
