"""Which rays may hit which solids: every solid covers a rectangle of a 2D lattice of rays."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from occflow_ros.data.synthetic.primitives import Primitives

PAIRS_PER_CHUNK = 4_000_000

_EDGES = (
    (0, 1),
    (2, 3),
    (4, 5),
    (6, 7),
    (0, 2),
    (1, 3),
    (4, 6),
    (5, 7),
    (0, 4),
    (1, 5),
    (2, 6),
    (3, 7),
)


def rectangle_pairs(lower: Tensor, upper: Tensor, columns: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All (rectangle, cell) pairs, in chunks of bounded size.

    Args:
        lower: (P, 2) int64 first row and column of each rectangle.
        upper: (P, 2) int64 one past the last row and column; empty where not above `lower`.
        columns: cells in a row of the lattice.

    Yields:
        index of the rectangle (M,) and row-major cell (M,), both int64.
    """
    sizes = (upper - lower).clamp(min=0)
    counts = sizes.prod(dim=1)
    kept = counts.nonzero().squeeze(1)
    for part in _chunks(kept, counts):
        count, width = counts[part], sizes[part, 1]
        which = torch.repeat_interleave(part, count)
        first = torch.cumsum(count, 0) - count
        offset = torch.arange(len(which), device=which.device)
        offset = offset - torch.repeat_interleave(first, count)
        width = torch.repeat_interleave(width, count)
        row = torch.div(offset, width, rounding_mode="floor")
        corner = torch.repeat_interleave(lower[part, 0] * columns + lower[part, 1], count)
        yield which, corner + row * (columns - width) + offset


def _chunks(kept: Tensor, counts: Tensor) -> Iterator[Tensor]:
    if not len(kept):
        return
    chunk = torch.div(torch.cumsum(counts[kept], 0), PAIRS_PER_CHUNK, rounding_mode="floor")
    for part in torch.unique_consecutive(chunk):
        yield kept[chunk == part]


def image_rectangles(
    primitives: Primitives,
    camera_T_world: Tensor,
    K: Tensor,
    height_px: int,
    width_px: int,
    near_m: float,
) -> tuple[Tensor, Tensor]:
    """Pixel rectangles that cover the projections of the solids, beyond the near plane.

    Returns:
        lower (P, 2) and upper (P, 2) int64 as (row, column), upper exclusive.
    """
    corners = primitives.corners_m() @ camera_T_world[:3, :3].T + camera_T_world[:3, 3]  # (P, 8, 3)
    start, end = (corners[:, [edge[side] for edge in _EDGES]] for side in (0, 1))  # (P, 12, 3)
    change = end[..., 2:] - start[..., 2:]
    fraction = (near_m - start[..., 2:]) / torch.where(change.abs() < 1e-12, 1e-12, change)
    points = torch.cat((corners, torch.lerp(start, end, fraction.clamp(0.0, 1.0))), dim=1)
    in_front = points[..., 2] >= near_m - 1e-9  # (P, 20)
    pixels = (points @ K.T)[..., :2] / points[..., 2:].clamp(min=near_m)
    lowest = torch.where(in_front[..., None], pixels, torch.inf).amin(dim=1)
    highest = torch.where(in_front[..., None], pixels, -torch.inf).amax(dim=1)
    size = torch.tensor((width_px, height_px), device=K.device)
    lower = torch.minimum(lowest.ceil().clamp(min=0), size).long()
    upper = torch.minimum((highest.floor() + 1).clamp(min=0), size).long()
    return lower.flip(1), upper.flip(1)


def azimuth_rectangles(
    primitives: Primitives, lidar_T_world: Tensor, firings: int, beams: int
) -> tuple[Tensor, Tensor]:
    """Firings that cover the solids in one turn of a LiDAR, firing i at azimuth 2πi / firings.

    A range that wraps around keeps counting: take firings modulo their number.

    Returns:
        lower (P, 2) and upper (P, 2) int64 as (firing, beam), upper exclusive, all beams in each.
    """
    corners = primitives.corners_m() @ lidar_T_world[:3, :3].T + lidar_T_world[:3, 3]
    center = corners.mean(dim=1, keepdim=True)
    azimuth = torch.atan2(corners[..., 1], corners[..., 0])  # (P, 8)
    middle = torch.atan2(center[..., 1], center[..., 0])  # (P, 1)
    turn = 2.0 * torch.pi
    away = torch.remainder(azimuth - middle + torch.pi, turn) - torch.pi
    spans = torch.stack((away.amin(dim=1), away.amax(dim=1)), dim=1) + middle  # (P, 2)
    around = (spans[:, 1] - spans[:, 0]) > torch.pi
    first = torch.where(around, 0, torch.ceil(spans[:, 0] * firings / turn).long())
    last = torch.where(around, firings, torch.floor(spans[:, 1] * firings / turn).long() + 1)
    zero = torch.zeros_like(first)
    return torch.stack((first, zero), dim=1), torch.stack((last, zero + beams), dim=1)
