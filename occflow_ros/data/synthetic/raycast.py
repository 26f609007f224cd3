"""The first surface that rays from one point meet, and whether points see the sun."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.data.synthetic import road as street
from occflow_ros.data.synthetic.candidates import rectangle_pairs
from occflow_ros.data.synthetic.primitives import Primitives, Shape, span
from occflow_ros.data.synthetic.road import Road

GROUND = -1
SKY = -2
FAR_M = 600.0

PairSource = Callable[[Tensor], Iterator[tuple[Tensor, Tensor]]]
_NO_HIT = torch.iinfo(torch.int64).max
_SHADOW_CELL_M = 0.75
_SHADOW_RANGE_M = 90.0
_SHADOW_LIFT_M = 0.015


@dataclass(frozen=True, slots=True)
class Hits:
    """First surface on each of N rays o + t·d.

    Args:
        distance: (N,) float32 t, inf for the sky.
        primitive: (N,) int64 index of the solid, GROUND or SKY.
    """

    distance: Tensor
    primitive: Tensor


def first_hits(
    primitives: Primitives,
    road: Road,
    origin_m: Tensor,
    directions: Tensor,
    pairs: PairSource,
    near: float,
) -> Hits:
    """Cast rays from one point.

    Args:
        origin_m: (3,) float64 world.
        directions: (N, 3) float32 world axes, of any length.
        pairs: from the (P,) mask of solids to chunks of (solid, ray) candidates, (M,) each.
        near: smallest t that counts.
    """
    solids = _solid_hits(primitives, origin_m, directions, pairs, near)
    ground = ground_distance(road, origin_m, directions)
    is_ground = ground < solids.distance
    return Hits(
        distance=torch.where(is_ground, ground, solids.distance),
        primitive=torch.where(is_ground, GROUND, solids.primitive),
    )


def _solid_hits(
    primitives: Primitives, origin_m: Tensor, directions: Tensor, pairs: PairSource, near: float
) -> Hits:
    rotation = primitives.world_T_local[:, :3, :3]
    offset = origin_m - primitives.world_T_local[:, :3, 3]
    local_origin = torch.einsum("pji,pj->ip", rotation, offset).float()  # (3, P)
    to_local = rotation.permute(2, 1, 0).float().contiguous()  # (3 local, 3 world, P)
    solid = torch.cat((primitives.half_m, primitives.taper), dim=1).T.contiguous()  # (6, P)
    axes = directions.T.contiguous()  # (3, N)
    best = torch.full((len(directions),), _NO_HIT, device=directions.device)
    for shape in Shape:
        for which, ray in pairs(primitives.shape == shape):
            world = [axis[ray] for axis in axes]
            enter, leave = span(
                shape,
                [row[which] for row in local_origin],
                [_dot([part[which] for part in row], world) for row in to_local],
                [row[which] for row in solid],
            )
            hit = ((enter < leave) & (enter > near)).nonzero().squeeze(1)
            key = (enter[hit].view(torch.int32).long() << 32) | which[hit]
            best.scatter_reduce_(0, ray[hit], key, "amin")
    found = best != _NO_HIT
    distance = (best >> 32).int().view(torch.float32)
    return Hits(
        distance=torch.where(found, distance, torch.inf),
        primitive=torch.where(found, best & 0xFFFFFFFF, SKY),
    )


def _dot(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]


def ground_distance(road: Road, origin_m: Tensor, directions: Tensor) -> Tensor:
    """Where rays (N, 3) meet carriageway, kerb or sidewalk: t (N,), inf where they do not.

    The sidewalk lies `KERB_HEIGHT_M` above the carriageway. A ray that passes over the kerb's
    edge and would come down beyond it meets the kerb's face, found by linear interpolation of the
    offset d between both levels.
    """
    fall = directions[:, 2].clamp(max=-1e-6)
    low = float(origin_m[2]) / -fall
    high = (float(origin_m[2]) - street.KERB_HEIGHT_M) / -fall
    reach = (
        ((directions[:, 2] < -1e-6) & (low * directions.norm(dim=1) < FAR_M)).nonzero().squeeze(1)
    )
    distance = torch.full_like(low, torch.inf)
    low, high, direction = low[reach], high[reach], directions[reach, :2]
    origin = origin_m[:2].float()
    offset_high = road.locate(origin + high[:, None] * direction)[1].abs()
    offset_low = road.locate(origin + low[:, None] * direction)[1].abs()
    share = (street.KERB_M - offset_high) / (offset_low - offset_high).clamp(min=1e-6)
    on_face = torch.lerp(high, low, share.clamp(0.0, 1.0))
    below = torch.where(offset_low > street.KERB_M, on_face, low)
    distance[reach] = torch.where(offset_high > street.KERB_M, high, below)
    return distance


def sunlit(primitives: Primitives, points_m: Tensor, normals: Tensor, sun: Tensor) -> Tensor:
    """Whether points see the sun; far from the middle of the points nothing casts a shadow.

    Args:
        points_m: (N, 3) float64 world.
        normals: (N, 3) float32 world axes.
        sun: (3,) float64 unit vector towards the sun.

    Returns:
        (N,) bool.
    """
    lit = (normals @ sun.float()) > 0.0
    raised = points_m + _SHADOW_LIFT_M * normals.double()
    plane = torch.linalg.qr(sun[:, None], mode="complete").Q[:, 1:]  # (3, 2) across the light
    middle = raised.mean(dim=0)
    place = (raised - middle) @ plane  # (N, 2)
    cells = int(2 * _SHADOW_RANGE_M / _SHADOW_CELL_M)
    near = (lit & (place.abs() < _SHADOW_RANGE_M).all(dim=1)).nonzero().squeeze(1)
    cell = ((place[near] + _SHADOW_RANGE_M) / _SHADOW_CELL_M).long()
    cell = cell[:, 0] * cells + cell[:, 1]
    which, candidate = _sun_pairs(primitives, middle, plane, cells, cell)
    blocked = torch.zeros(len(near), dtype=torch.bool, device=near.device)
    if len(which):
        hit = _blocked(primitives, which, raised[near][candidate], sun)
        blocked[candidate[hit]] = True
    lit[near[blocked]] = False
    return lit


def _sun_pairs(
    primitives: Primitives, middle: Tensor, plane: Tensor, cells: int, point_cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Candidates (solid, point), (M,) each, through the cells that both lie in."""
    corners = ((primitives.corners_m() - middle) @ plane + _SHADOW_RANGE_M) / _SHADOW_CELL_M
    lower = corners.amin(dim=1).floor().clamp(0, cells).long()  # (P, 2)
    upper = (corners.amax(dim=1).floor() + 1).clamp(0, cells).long()
    chunks = list(rectangle_pairs(lower, upper, cells))
    if not chunks:
        empty = torch.zeros(0, dtype=torch.int64, device=point_cell.device)
        return empty, empty
    which, cell = (torch.cat(parts) for parts in zip(*chunks))
    order = torch.argsort(cell, stable=True)
    which = which[order]
    count = torch.bincount(cell, minlength=cells * cells)
    first = torch.cumsum(count, 0) - count
    per_point = count[point_cell]
    point = torch.repeat_interleave(torch.arange(len(point_cell), device=cell.device), per_point)
    begin = first[point_cell] - (torch.cumsum(per_point, 0) - per_point)
    entry = torch.arange(len(point), device=cell.device) + torch.repeat_interleave(begin, per_point)
    return which[entry], point


def _blocked(primitives: Primitives, which: Tensor, points_m: Tensor, sun: Tensor) -> Tensor:
    rotation = primitives.world_T_local[:, :3, :3]
    towards_sun = torch.einsum("pji,j->ip", rotation, sun).float()  # (3, P)
    to_local = rotation.permute(2, 1, 0).float().contiguous()  # (3, 3, P)
    solid = torch.cat((primitives.half_m, primitives.taper), dim=1).T.contiguous()
    offset = (points_m - primitives.world_T_local[which, :3, 3]).float().unbind(1)
    hit = torch.zeros(len(which), dtype=torch.bool, device=which.device)
    shapes = primitives.shape[which]
    for shape in Shape:
        part = (shapes == shape).nonzero().squeeze(1)
        solid_index = which[part]
        enter, leave = span(
            shape,
            [_dot([c[solid_index] for c in row], [o[part] for o in offset]) for row in to_local],
            [row[solid_index] for row in towards_sun],
            [row[solid_index] for row in solid],
        )
        hit[part] = (leave > 0.0) & (enter.clamp(min=0.0) < leave)
    return hit
