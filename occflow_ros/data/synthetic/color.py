"""Colours of surfaces: base colour, sun with cast shadows, sky light and haze."""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.data.synthetic.ground import GroundSurface, ground_albedo
from occflow_ros.data.synthetic.materials import Surface, albedo
from occflow_ros.data.synthetic.primitives import Primitives
from occflow_ros.data.synthetic.raycast import SKY, sunlit
from occflow_ros.data.synthetic.shading import haze, shade, sky
from occflow_ros.data.synthetic.surfaces import Surfaces
from occflow_ros.data.synthetic.world import World


def colors(
    world: World,
    primitives: Primitives,
    surfaces: Surfaces,
    rays: Tensor,
    depth_m: Tensor,
    focal_px: Tensor,
) -> Tensor:
    """Linear RGB (N, 3) of surfaces seen along rays.

    Args:
        rays: (N, 3) float32 world axes, of length 1 along the optical axis.
        depth_m: (N,) along the optical axis.
        focal_px: focal length, for the width of a pixel on the surface.
    """
    solid, ground, point, normal = (
        surfaces.solid,
        surfaces.ground,
        surfaces.point_m,
        surfaces.normal,
    )
    length = rays.norm(dim=1)
    facing = ((rays * normal).sum(dim=1).abs() / length).clamp(min=0.05)
    width_m = depth_m / focal_px
    color = torch.zeros_like(normal)
    color[solid] = _solid_albedo(world, primitives, surfaces, (width_m / facing.sqrt())[solid])
    color[ground] = _ground_albedo(world, surfaces, rays[ground], width_m[ground], facing[ground])
    seen = torch.cat((solid, ground))
    bright = sunlit(primitives, point[seen], normal[seen], world.sun)
    lit = shade(color[seen], normal[seen], point[seen, 2].float(), bright, world.sun)
    color[seen] = haze(lit, (depth_m * length)[seen])
    above = (surfaces.which == SKY).nonzero().squeeze(1)
    color[above] = sky(point[above].float(), world.sun, world.noise)
    return color


def _solid_albedo(
    world: World, primitives: Primitives, surfaces: Surfaces, footprint_m: Tensor
) -> Tensor:
    which = surfaces.which[surfaces.solid]
    surface = Surface(
        point_m=surfaces.local_m,
        normal=surfaces.local_normal,
        half_m=primitives.half_m[which],
        taper=primitives.taper[which],
        color=primitives.color[which],
        variant=primitives.variant[which],
        footprint_m=footprint_m,
    )
    return albedo(primitives.material[which], surface, world.noise)


def _ground_albedo(
    world: World, surfaces: Surfaces, rays: Tensor, width_m: Tensor, facing: Tensor
) -> Tensor:
    arc, offset, yaw = surfaces.street
    turn = torch.atan2(rays[:, 1], rays[:, 0]) - yaw
    along, across = torch.cos(turn).abs(), torch.sin(turn).abs()
    surface = GroundSurface(
        point_m=surfaces.point_m[surfaces.ground].float(),
        arc_m=arc,
        offset_m=offset,
        along_m=width_m * (along / facing + across),
        across_m=width_m * (across / facing + along),
    )
    return ground_albedo(surface, world.crosswalks_m, world.noise)
