"""Where rays meet surfaces: points, normals, and the coordinates in which textures live."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.data.classes import FREE
from occflow_ros.data.synthetic.ground import ground_class, ground_normals
from occflow_ros.data.synthetic.primitives import Primitives, normals
from occflow_ros.data.synthetic.raycast import GROUND, SKY, Hits
from occflow_ros.data.synthetic.road import Road


@dataclass(frozen=True, slots=True)
class Surfaces:
    """The surface points of N rays, S of them on solids and G on the ground.

    Args:
        which: (N,) int64 index of the solid, GROUND or SKY.
        point_m: (N, 3) float64 world; unit direction where the sky is.
        normal: (N, 3) float32 outward unit normal in world axes, zero for the sky.
        solid: (S,) int64 rays that meet solids.
        local_m: (S, 3) float32 their points in the frames of the solids.
        local_normal: (S, 3) float32 their normals in the frames of the solids.
        ground: (G,) int64 rays that meet the ground.
        street: s, d and yaw of the street at their points, (G,) float32 each.
    """

    which: Tensor
    point_m: Tensor
    normal: Tensor
    solid: Tensor
    local_m: Tensor
    local_normal: Tensor
    ground: Tensor
    street: tuple[Tensor, Tensor, Tensor]


def surfaces_of(
    primitives: Primitives, road: Road, origin_m: Tensor, rays: Tensor, hits: Hits
) -> Surfaces:
    """Surfaces where rays (N, 3) float64 from one point (3,) have their hits."""
    which = hits.primitive
    sky, solid, ground = (
        mask.nonzero().squeeze(1) for mask in (which == SKY, which >= 0, which == GROUND)
    )
    point = origin_m + hits.distance.double()[:, None] * rays
    point[sky] = torch.nn.functional.normalize(rays[sky], dim=1)
    normal = torch.zeros_like(point, dtype=torch.float32)
    index = which[solid]
    local = local_points(primitives, index, point[solid]).float()
    facing = normals(
        primitives.shape[index], local, primitives.half_m[index], primitives.taper[index]
    )
    rotation = primitives.world_T_local[:, :3, :3].float()[index]
    normal[solid] = torch.einsum("mij,mj->mi", rotation, facing)
    on_ground = point[ground].float()
    street = road.locate(on_ground[:, :2])
    normal[ground] = ground_normals(on_ground[:, 2], street[1], street[2])
    return Surfaces(which, point, normal, solid, local, facing, ground, street)


def local_points(primitives: Primitives, which: Tensor, point_m: Tensor) -> Tensor:
    """World points (M, 3) float64 in the frames of solids `which` (M,)."""
    pose = primitives.world_T_local[which]
    return torch.einsum("mji,mj->mi", pose[:, :3, :3], point_m - pose[:, :3, 3])


def semantics(primitives: Primitives, surfaces: Surfaces) -> Tensor:
    """Class (N,) int64 of every surface point, FREE for the sky."""
    classes = per_solid(primitives.class_id, surfaces.which, FREE)
    height = surfaces.point_m[surfaces.ground, 2]
    classes[surfaces.ground] = ground_class(height, surfaces.street[1])
    return classes


def per_solid(values: Tensor, which: Tensor, otherwise: int) -> Tensor:
    """Value (N,) of the solid that each ray meets, `otherwise` on ground and sky."""
    return torch.where(which >= 0, values[which.clamp(min=0)], otherwise)
