"""Base colour and class of the ground: asphalt with markings, kerb, paved sidewalk, grass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.data.classes import NAMES
from occflow_ros.data.synthetic import road as street
from occflow_ros.data.synthetic.materials import mix, rgb
from occflow_ros.data.synthetic.textures import band, fractal, stripes

_LINE_HALF_M = 0.07
_FLAT_M = 1e-3


@dataclass(frozen=True, slots=True)
class GroundSurface:
    """M points of the ground.

    Args:
        point_m: (M, 3) world.
        arc_m: (M,) s along the street.
        offset_m: (M,) d to the left of its centre line.
        along_m: (M,) width of a pixel along s.
        across_m: (M,) width of a pixel along d.
    """

    point_m: Tensor
    arc_m: Tensor
    offset_m: Tensor
    along_m: Tensor
    across_m: Tensor

    @property
    def footprint_m(self) -> Tensor:
        """(M,) geometric mean of both widths."""
        return torch.sqrt(self.along_m * self.across_m)


def is_carriageway(height_m: Tensor) -> Tensor:
    """Whether points of the ground lie on the carriageway rather than on or above the kerb."""
    return height_m < _FLAT_M


def ground_class(height_m: Tensor, offset_m: Tensor) -> Tensor:
    """Class (...) int64 of the ground at height z (...) and offset d (...); a kerb is sidewalk."""
    paved = offset_m.abs() < street.SIDEWALK_END_M
    raised = torch.where(paved, NAMES.index("sidewalk"), NAMES.index("terrain"))
    return torch.where(is_carriageway(height_m), NAMES.index("driveable_surface"), raised)


def ground_normals(height_m: Tensor, offset_m: Tensor, yaw_rad: Tensor) -> Tensor:
    """Unit normals (M, 3) of the ground: up, or out of the kerb's face.

    Args:
        height_m: (M,) z.
        offset_m: (M,) d.
        yaw_rad: (M,) of the tangent of the street.
    """
    side = -torch.sign(offset_m)
    across = torch.stack(
        (-torch.sin(yaw_rad), torch.cos(yaw_rad), torch.zeros_like(yaw_rad)), dim=1
    )
    up = torch.zeros_like(across)
    up[:, 2] = 1.0
    on_face = (height_m > _FLAT_M) & (height_m < street.KERB_HEIGHT_M - _FLAT_M)
    return torch.where(on_face[:, None], side[:, None] * across, up)


def ground_albedo(surface: GroundSurface, crosswalks_m: Tensor, table: Tensor) -> Tensor:
    """Linear RGB (M, 3); `crosswalks_m` (C,) are their places along s."""
    color = torch.zeros((len(surface.arc_m), 3), device=surface.arc_m.device)
    is_road = is_carriageway(surface.point_m[:, 2])
    is_walk = ~is_road & (surface.offset_m.abs() < street.SIDEWALK_END_M)
    for mask, paint in ((is_road, _asphalt), (is_walk, _sidewalk), (~is_road & ~is_walk, _grass)):
        chosen = mask.nonzero().squeeze(1)
        if len(chosen):
            part = GroundSurface(
                surface.point_m[chosen],
                surface.arc_m[chosen],
                surface.offset_m[chosen],
                surface.along_m[chosen],
                surface.across_m[chosen],
            )
            color[chosen] = paint(part, crosswalks_m, table)
    return color


def _asphalt(s: GroundSurface, crosswalks_m: Tensor, table: Tensor) -> Tensor:
    octaves = ((9.0, 0.14), (2.2, 0.16), (0.6, 0.12), (0.17, 0.20), (0.05, 0.22))
    street_xyz = torch.stack((s.arc_m * 0.35, s.offset_m, torch.zeros_like(s.arc_m)), dim=1)
    tone = 1.0 + fractal(table, s.point_m, s.footprint_m, octaves)
    tone = tone + fractal(table, street_xyz, s.footprint_m, ((1.1, 0.18),))
    color = rgb(tone, 0.105, 0.105, 0.112) * tone[:, None]
    patched = fractal(table, s.point_m + 77.0, s.footprint_m, ((7.0, 1.0),))
    color = mix(color, color * 0.62, (patched * 12.0 - 5.5).clamp(0.0, 1.0))
    worn = 0.88 + fractal(table, s.point_m, s.footprint_m, ((0.35, 0.2), (0.09, 0.25)))
    white = rgb(tone, 0.72, 0.72, 0.70)
    return mix(color, white, _markings(s, crosswalks_m) * worn.clamp(0.35, 1.0))


def _markings(s: GroundSurface, crosswalks_m: Tensor) -> Tensor:
    distance = s.offset_m.abs()
    center = band(s.offset_m, 0.0, _LINE_HALF_M, s.across_m)
    center = center * stripes(s.arc_m, 9.0, 0.5, s.along_m)
    bike = band(distance, street.LANE_M, _LINE_HALF_M, s.across_m)
    bike = bike * stripes(s.arc_m, 2.0, 0.5, s.along_m)
    parking = band(distance, street.BIKE_LANE_END_M, _LINE_HALF_M, s.across_m)
    lines = torch.maximum(torch.maximum(center, bike), parking)
    for arc_m in crosswalks_m.tolist():
        gap = (s.arc_m - arc_m).abs()
        zebra = stripes(s.offset_m, 1.0, 0.5, s.across_m)
        zebra = zebra * band(distance, 0.0, 6.3, s.across_m)
        stop = band(gap, street.CROSSWALK_HALF_M + 1.2, 0.2, s.along_m)
        stop = stop * band(distance, 0.5 * street.LANE_M, 0.5 * street.LANE_M, s.across_m)
        near = band(gap, 0.0, street.CROSSWALK_HALF_M, s.along_m)
        crossing = torch.maximum(zebra * near, stop)
        lines = torch.where(gap < street.CROSSWALK_HALF_M + 2.5, crossing, lines)
    return lines


def _sidewalk(s: GroundSurface, crosswalks_m: Tensor, table: Tensor) -> Tensor:
    octaves = ((5.0, 0.10), (1.3, 0.12), (0.35, 0.10), (0.1, 0.14))
    tone = 1.0 + fractal(table, s.point_m, s.footprint_m, octaves)
    row = torch.floor(s.arc_m / 0.6)
    slab = torch.stack((row, torch.floor(s.offset_m / 0.6), row * 0.3), dim=1)
    slab_tone = fractal(table, slab * 0.73, s.footprint_m / 0.6, ((1.0, 0.16),))
    color = rgb(tone, 0.36, 0.34, 0.31) * (tone + slab_tone)[:, None]
    joints = torch.maximum(
        stripes(s.arc_m, 0.6, 0.05, s.along_m), stripes(s.offset_m, 0.6, 0.05, s.across_m)
    )
    color = mix(color, color * 0.4, joints)
    stone = band(s.offset_m.abs(), street.KERB_M, 0.28, s.across_m)
    ends = stripes(s.arc_m, 1.0, 0.03, s.along_m)
    kerb = rgb(tone, 0.50, 0.49, 0.47) * (tone - 0.6 * ends)[:, None]
    return mix(color, kerb, stone)


def _grass(s: GroundSurface, crosswalks_m: Tensor, table: Tensor) -> Tensor:
    octaves = ((8.0, 0.22), (2.0, 0.22), (0.5, 0.22), (0.14, 0.28), (0.05, 0.25))
    tone = (1.0 + fractal(table, s.point_m, s.footprint_m, octaves)).clamp(min=0.2)
    dry = fractal(table, s.point_m + 19.0, s.footprint_m, ((6.0, 0.5), (1.2, 0.3)))
    color = mix(rgb(tone, 0.10, 0.17, 0.04), rgb(tone, 0.24, 0.21, 0.09), dry.clamp(0.0, 1.0))
    return color * tone[:, None]
