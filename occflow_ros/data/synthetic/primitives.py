"""Convex solids that the world is made of, and where a ray enters and leaves them.

Shapes in their own frame, with half extents h:
- FRUSTUM: a box whose front, rear and side faces lean inwards by `taper` metres per metre of
  height, measured from its bottom (a plain box has taper 0, a gable roof leans to a ridge);
- ELLIPSOID: Σ (pᵢ/hᵢ)² ≤ 1;
- CYLINDER: (x/h₀)² + (y/h₁)² ≤ 1, |z| ≤ h₂.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

_TINY = 1e-12


class Shape(IntEnum):
    """Kind of solid."""

    FRUSTUM = 0
    ELLIPSOID = 1
    CYLINDER = 2


@dataclass(frozen=True, slots=True)
class Primitives:
    """P solids at one time.

    Args:
        world_T_local: (P, 4, 4) float64.
        half_m: (P, 3) float32 half extents.
        taper: (P, 3) float32 lean of front, rear and sides of a frustum.
        shape: (P,) int64 of `Shape`.
        material: (P,) int64 of `occflow_ros.data.synthetic.materials.Material`.
        color: (P, 3) float32 linear RGB.
        variant: (P,) float32 in [0, 1), shifts the texture.
        class_id: (P,) int64 of `occflow_ros.data.classes`.
        instance: (P,) int64, 0 for what is part of the street.
        velocity_mps: (P, 3) float64 of the origin of the local frame, world axes.
        yaw_rate_rad_per_s: (P,) float64.
    """

    world_T_local: Tensor
    half_m: Tensor
    taper: Tensor
    shape: Tensor
    material: Tensor
    color: Tensor
    variant: Tensor
    class_id: Tensor
    instance: Tensor
    velocity_mps: Tensor
    yaw_rate_rad_per_s: Tensor

    def __len__(self) -> int:
        return len(self.shape)

    def corners_m(self, margin_m: Tensor | float = 0.0) -> Tensor:
        """Corners (P, 8, 3) float64 in the world of the boxes around the solids.

        `margin_m`, a number or (P, 3), is added to the half extents.
        """
        half = self.half_m.double() + margin_m
        signs = torch.tensor(
            [[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)],
            dtype=torch.float64,
            device=half.device,
        )
        local = signs * half[:, None]  # (P, 8, 3)
        rotation, origin = self.world_T_local[:, :3, :3], self.world_T_local[:, :3, 3]
        return local @ rotation.transpose(1, 2) + origin[:, None]


def span(
    shape: Shape, origin: Sequence[Tensor], direction: Sequence[Tensor], solid: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Where lines o + t·d run inside solids of one shape, all in the solids' own frames.

    Args:
        shape: of all M solids.
        origin: o as three tensors (M,).
        direction: d as three tensors (M,).
        solid: half extents and taper as six tensors (M,).

    Returns:
        t (M,) of entry and exit; a line that misses has entry > exit.
    """
    if shape is Shape.FRUSTUM:
        return _span_frustum(origin, direction, solid)
    (ox, oy, oz), (dx, dy, dz), (hx, hy, hz) = origin, direction, solid[:3]
    if shape is Shape.ELLIPSOID:
        return _span_ball((ox / hx, oy / hy, oz / hz), (dx / hx, dy / hy, dz / hz))
    disc_enter, disc_exit = _span_ball((ox / hx, oy / hy), (dx / hx, dy / hy))
    cap_enter, cap_exit = _span_slab(oz, dz, hz)
    return torch.maximum(disc_enter, cap_enter), torch.minimum(disc_exit, cap_exit)


def _span_ball(origin: Sequence[Tensor], direction: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    length = sum((d * d for d in direction), torch.zeros(())).clamp(min=_TINY)
    nearest = -sum((o * d for o, d in zip(origin, direction)), torch.zeros(())) / length
    miss = sum(((o + nearest * d) ** 2 for o, d in zip(origin, direction)), torch.zeros(()))
    reach = torch.sqrt(((1.0 - miss) / length).clamp(min=0.0))
    reach = torch.where(miss < 1.0, reach, -torch.inf)
    return nearest - reach, nearest + reach


def _span_slab(origin: Tensor, direction: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    inverse = 1.0 / _away_from_zero(direction)
    center, reach = -origin * inverse, (half * inverse).abs()
    return center - reach, center + reach


def _span_frustum(
    origin: Sequence[Tensor], direction: Sequence[Tensor], solid: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    hx, hy, hz, front, rear, side = solid
    enter, leave = _span_slab(oz, dz, hz)
    rise = oz + hz
    for gap, rate in (
        (hx - front * rise - ox, dx + front * dz),
        (hx - rear * rise + ox, -dx + rear * dz),
        (hy - side * rise - oy, dy + side * dz),
        (hy - side * rise + oy, -dy + side * dz),
    ):
        rate = _away_from_zero(rate)
        crossing = gap / rate
        enter = torch.where(rate < 0.0, torch.maximum(enter, crossing), enter)
        leave = torch.where(rate > 0.0, torch.minimum(leave, crossing), leave)
    return enter, leave


def _away_from_zero(value: Tensor) -> Tensor:
    return torch.where(value.abs() < _TINY, _TINY, value)


def contains(
    shape: Shape, point_m: Tensor, half_m: Tensor, taper: Tensor, margin_m: Tensor
) -> Tensor:
    """Whether points lie in solids of one shape or within a margin of their faces.

    Args:
        shape: of all M solids.
        point_m: (M, S, 3) in the solids' own frames.
        half_m: (M, 3).
        taper: (M, 3).
        margin_m: (M, 3) by which faces across x, y and z are moved outwards.

    Returns:
        (M, S) bool.
    """
    if shape is Shape.FRUSTUM:
        return _frustum_contains(point_m, half_m, taper, margin_m)
    unit = (point_m / (half_m + margin_m)[:, None]) ** 2  # (M, S, 3)
    if shape is Shape.ELLIPSOID:
        return unit.sum(dim=-1) <= 1.0
    return (unit[..., :2].sum(dim=-1) <= 1.0) & (unit[..., 2] <= 1.0)


def _frustum_contains(point_m: Tensor, half_m: Tensor, taper: Tensor, margin_m: Tensor) -> Tensor:
    x, y, z = point_m.unbind(-1)  # (M, S)
    lean = torch.sqrt(1.0 + taper**2)
    limit_x = half_m[:, :1] + margin_m[:, :1] * lean[:, :2]  # (M, 2) front, rear
    limit_y = half_m[:, 1:2] + margin_m[:, 1:2] * lean[:, 2:]  # (M, 1)
    limit_z = half_m[:, 2:] + margin_m[:, 2:]
    rise = z + half_m[:, 2:]
    return (
        (z.abs() <= limit_z)
        & (x + taper[:, :1] * rise <= limit_x[:, :1])
        & (taper[:, 1:2] * rise - x <= limit_x[:, 1:])
        & (y.abs() + taper[:, 2:] * rise <= limit_y)
    )


def normals(shape: Tensor, point_m: Tensor, half_m: Tensor, taper: Tensor) -> Tensor:
    """Outward unit normals (M, 3) at surface points (M, 3), all in the solids' own frames."""
    in_ball = point_m / half_m**2
    in_disc = torch.cat((in_ball[:, :2], torch.zeros_like(in_ball[:, :1])), dim=1)
    on_cap = _cap_is_nearer(point_m, half_m)
    cap = torch.zeros_like(point_m)
    cap[:, 2] = torch.sign(point_m[:, 2])
    cylinder = torch.where(on_cap[:, None], cap, in_disc)
    kind = shape[:, None]
    normal = torch.where(
        kind == Shape.FRUSTUM,
        _frustum_normals(point_m, half_m, taper),
        torch.where(kind == Shape.ELLIPSOID, in_ball, cylinder),
    )
    return torch.nn.functional.normalize(normal, dim=1)


def _cap_is_nearer(point_m: Tensor, half_m: Tensor) -> Tensor:
    radial = (1.0 - (point_m[:, :2] / half_m[:, :2]).norm(dim=1)) * half_m[:, :2].amin(dim=1)
    return half_m[:, 2] - point_m[:, 2].abs() < radial


def _frustum_normals(point_m: Tensor, half_m: Tensor, taper: Tensor) -> Tensor:
    (x, y, z), (hx, hy, hz) = point_m.unbind(1), half_m.unbind(1)
    front, rear, side = taper.unbind(1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rise = z + hz
    faces = torch.stack(  # (M, 6, 3)
        [
            torch.stack(face, dim=1)
            for face in (
                (one, zero, front),
                (-one, zero, rear),
                (zero, one, side),
                (zero, -one, side),
                (zero, zero, one),
                (zero, zero, -one),
            )
        ],
        dim=1,
    )
    gaps = torch.stack(  # (M, 6)
        (
            (hx - front * rise - x) * torch.rsqrt(1.0 + front**2),
            (hx - rear * rise + x) * torch.rsqrt(1.0 + rear**2),
            (hy - side * rise - y) * torch.rsqrt(1.0 + side**2),
            (hy - side * rise + y) * torch.rsqrt(1.0 + side**2),
            hz - z,
            hz + z,
        ),
        dim=1,
    )
    nearest = gaps.abs().argmin(dim=1)
    return faces[torch.arange(len(x), device=x.device), nearest]
