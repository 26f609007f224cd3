"""Which rays of a sample are rendered in one step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.rendering.rays import Rays, camera_rays, clip_to_grid
from occflow_ros.structures import CameraRig, VoxelGrid
from occflow_ros.training.sample import LidarReturns


@dataclass(frozen=True, slots=True)
class CameraPixels:
    """One pixel in each cell of a grid over each image, R = N·h·w rays in that order.

    Args:
        cells: (N, h, w).
        camera: (R,) int64, the ray's camera.
        u: (R,) int64 column of the pixel.
        v: (R,) int64 row.
        rays: in the ego frame.
    """

    cells: tuple[int, int, int]
    camera: Tensor
    u: Tensor
    v: Tensor
    rays: Rays

    @property
    def pixels(self) -> Tensor:
        """(R, 2) float (u, v)."""
        return torch.stack((self.u, self.v), dim=-1).float()

    def of(self, maps: Tensor) -> Tensor:
        """Values at the pixels of maps (N, H, W, ...), as (R, ...)."""
        return maps[self.camera, self.v, self.u]

    def on_grid(self, values: Tensor) -> Tensor:
        """Values (R, ...) as (N, h, w, ...)."""
        return values.unflatten(0, self.cells)


def draw_camera_pixels(
    rig: CameraRig,
    image_hw_px: tuple[int, int],
    cells_hw: tuple[int, int],
    near_m: float,
    far_m: float,
    grid: VoxelGrid,
    generator: torch.Generator,
    device: torch.device,
) -> CameraPixels:
    """One random pixel in each of h × w cells of every image, so that rays have neighbours.

    Args:
        rig: N cameras.
        image_hw_px: H and W.
        cells_hw: h and w, at most H and W.
        near_m: range where the rays start.
        far_m: range where they end, if they have not left the grid before.
        grid: they are clipped to it.
        generator: on the CPU.
        device: of the result.
    """
    cells = (len(rig.names), *cells_hw)
    rows = _one_per_cell(image_hw_px[0], cells, 1, generator)
    columns = _one_per_cell(image_hw_px[1], cells, 2, generator)
    pixels = torch.stack((columns, rows, torch.ones_like(rows)), dim=-1).float()  # (N, h, w, 3)
    directions = pixels.flatten(1, 2) @ torch.linalg.inv(rig.K).transpose(-1, -2)  # (N, h·w, 3)
    camera = torch.arange(cells[0]).repeat_interleave(cells_hw[0] * cells_hw[1])
    rays = camera_rays(directions.to(device), rig.base_T_camera.to(device), near_m, far_m)
    return CameraPixels(
        cells=cells,
        camera=camera.to(device),
        u=columns.flatten().to(device),
        v=rows.flatten().to(device),
        rays=clip_to_grid(rays, grid),
    )


def draw_lidar_rays(
    returns: LidarReturns,
    count: int,
    near_m: float,
    far_m: float,
    grid: VoxelGrid,
    generator: torch.Generator,
) -> tuple[Rays, Tensor]:
    """Rays from the LiDAR to `count` of its returns, through the grid, and their ranges (R,).

    They have an origin of their own, so what hides a return from a camera does not matter. A
    return beyond the grid says that the way through the grid is free: its range is where the ray
    leaves.
    """
    offset_m = returns.points_m - returns.origin_m  # (P, 3)
    range_m = offset_m.norm(dim=-1)
    near = torch.full_like(range_m, near_m)
    rays = clip_to_grid(
        Rays(
            origins_m=returns.origin_m.expand_as(offset_m),
            directions=offset_m / range_m.clamp(min=1e-6).unsqueeze(1),
            near_m=near,
            far_m=torch.full_like(near, far_m),
        ),
        grid,
    )
    usable = ((range_m > rays.near_m) & ~rays.is_empty).nonzero().squeeze(1)
    order = torch.randperm(len(usable), generator=generator)[:count].to(usable.device)
    rows = usable[order]
    return rays[rows], range_m[rows].minimum(rays.far_m[rows])


def _one_per_cell(
    size_px: int, cells: tuple[int, int, int], axis: int, generator: torch.Generator
) -> Tensor:
    """A random index of each cell along one axis of the images, (N, h, w) int64."""
    shape = [1, 1, 1]
    shape[axis] = cells[axis]
    cell = torch.arange(cells[axis]).view(shape) + torch.rand(cells, generator=generator)
    return (cell * (size_px / cells[axis])).long().clamp(max=size_px - 1)
