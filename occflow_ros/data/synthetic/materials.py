"""Base colours of solids, evaluated in their own coordinates so that they stay on the surface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from occflow_ros.data.synthetic.textures import band, fractal, noise, stripes


class Material(IntEnum):
    """What a solid is made of."""

    PLAIN = 0
    CAR_BODY = 1
    CAR_CABIN = 2
    WHEEL = 3
    FACADE = 4
    ROOF = 5
    BARK = 6
    LEAVES = 7
    CARGO = 8
    SIGN = 9
    SPOKES = 10


@dataclass(frozen=True, slots=True)
class Surface:
    """M surface points of solids, in the solids' own frames.

    Args:
        point_m: (M, 3).
        normal: (M, 3) outward unit normal.
        half_m: (M, 3) half extents of the solid.
        taper: (M, 3) of the solid.
        color: (M, 3) linear RGB of the solid.
        variant: (M,) in [0, 1), differs between solids.
        footprint_m: (M,) width of a pixel on the surface.
    """

    point_m: Tensor
    normal: Tensor
    half_m: Tensor
    taper: Tensor
    color: Tensor
    variant: Tensor
    footprint_m: Tensor

    def select(self, index: Tensor) -> Surface:
        """The points at `index`."""
        return Surface(
            self.point_m[index],
            self.normal[index],
            self.half_m[index],
            self.taper[index],
            self.color[index],
            self.variant[index],
            self.footprint_m[index],
        )

    @property
    def shifted_m(self) -> Tensor:
        """(M, 3) points moved by the variant, so that equal solids differ in texture."""
        return self.point_m + self.variant[:, None] * 37.0


def albedo(material: Tensor, surface: Surface, table: Tensor) -> Tensor:
    """Linear RGB (M, 3) of surface points of materials (M,), with noise from `table`."""
    color = torch.zeros_like(surface.color)
    for kind, paint in _PAINTS.items():
        chosen = (material == kind).nonzero().squeeze(1)
        if len(chosen):
            color[chosen] = paint(surface.select(chosen), table)
    return color


def mix(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """`first` (M, 3) or (3,) where `share` (M,) is 0, `second` where it is 1."""
    return first + (second - first) * share[:, None]


def rgb(like: Tensor, *values: float) -> Tensor:
    """A colour (3,) on the device of `like`."""
    return torch.tensor(values, dtype=torch.float32, device=like.device)


def _grain(s: Surface, table: Tensor, *octaves: tuple[float, float]) -> Tensor:
    return (1.0 + fractal(table, s.shifted_m, s.footprint_m, octaves))[:, None]


def _plain(s: Surface, table: Tensor) -> Tensor:
    return s.color * _grain(s, table, (0.3, 0.12), (0.09, 0.12))


def _car_body(s: Surface, table: Tensor) -> Tensor:
    x, y, z = s.point_m.unbind(1)
    hx, hy, hz = s.half_m.unbind(1)
    width = s.footprint_m
    color = s.color * _grain(s, table, (0.8, 0.05), (0.2, 0.04))
    on_end = (s.normal[:, 0].abs() > 0.7).float()
    ahead = (s.normal[:, 0] > 0).float()
    corner = band(y.abs(), 0.78 * hy, 0.17 * hy, width)
    lamp = on_end * corner * band(z, 0.30 * hz, 0.25 * hz, width)
    color = mix(color, rgb(x, 0.95, 0.93, 0.85), lamp * ahead)
    color = mix(color, rgb(x, 0.55, 0.01, 0.01), lamp * (1.0 - ahead))
    grille = on_end * ahead * band(y, 0.0, 0.5 * hy, width) * band(z, -0.1 * hz, 0.25 * hz, width)
    color = mix(color, rgb(x, 0.02, 0.02, 0.02), grille)
    plate = on_end * band(y, 0.0, 0.28, width) * band(z, -0.45 * hz, 0.06, width)
    color = mix(color, rgb(x, 0.80, 0.80, 0.70), plate)
    on_side = (s.normal[:, 1].abs() > 0.7).float()
    seams = band((x / hx).abs(), 0.30, 0.006, width / hx) + band(x / hx, 0.0, 0.006, width / hx)
    color = mix(color, color * 0.25, on_side * seams.clamp(max=1.0))
    skirt = (1.0 - on_end * 0.4) * band(z, -hz, 0.28 * hz, width)
    return mix(color, rgb(x, 0.03, 0.03, 0.035), skirt * (s.normal[:, 2] < 0.5).float())


def _car_cabin(s: Surface, table: Tensor) -> Tensor:
    x, y, z = s.point_m.unbind(1)
    hx, hy, hz = s.half_m.unbind(1)
    width = s.footprint_m
    paint = s.color * _grain(s, table, (0.8, 0.05), (0.2, 0.04))
    sheen = 0.5 + 0.5 * noise(table, s.shifted_m * 2.0)
    glass = mix(rgb(x, 0.02, 0.025, 0.03), rgb(x, 0.16, 0.20, 0.25), sheen * (z / hz * 0.4 + 0.6))
    pane = band(z, -0.06 * hz, 0.76 * hz, width)
    rise = z + hz
    side_middle = 0.5 * rise * (s.taper[:, 1] - s.taper[:, 0])
    side_half = hx - 0.5 * rise * (s.taper[:, 0] + s.taper[:, 1])
    along = (x - side_middle) / side_half
    side_pane = band(along, -0.45, 0.36, width / side_half) + band(
        along, 0.42, 0.42, width / side_half
    )
    end_half = hy - s.taper[:, 2] * rise
    end_pane = band(y / end_half, 0.0, 0.88, width / end_half)
    on_side = s.normal[:, 1].abs() > 0.7
    window = torch.where(on_side, side_pane.clamp(max=1.0), end_pane) * pane
    return mix(paint, glass, window * (s.normal[:, 2] < 0.9).float())


def _wheel(s: Surface, table: Tensor) -> Tensor:
    radius = s.point_m[:, :2].norm(dim=1) / s.half_m[:, 0]
    rim = band(radius, 0.30, 0.30, s.footprint_m / s.half_m[:, 0])
    angle = torch.atan2(s.point_m[:, 1], s.point_m[:, 0]) * (5.0 / (2.0 * torch.pi))
    spoke = stripes(angle, 1.0, 0.55, s.footprint_m / (s.half_m[:, 0] * radius.clamp(min=0.1)))
    metal = mix(rgb(radius, 0.05, 0.05, 0.05), rgb(radius, 0.45, 0.45, 0.47), spoke)
    rubber = rgb(radius, 0.025, 0.025, 0.027) * _grain(s, table, (0.08, 0.3))
    return mix(rubber, metal, rim * (s.normal[:, 2].abs() > 0.7).float())


def _spokes(s: Surface, table: Tensor) -> Tensor:
    radius = s.point_m[:, :2].norm(dim=1) / s.half_m[:, 0]
    tyre = band(radius, 0.97, 0.10, s.footprint_m / s.half_m[:, 0])
    angle = torch.atan2(s.point_m[:, 1], s.point_m[:, 0]) * (12.0 / (2.0 * torch.pi))
    spoke = stripes(angle, 1.0, 0.3, s.footprint_m * 2.0 / (s.half_m[:, 0] * radius.clamp(min=0.1)))
    disc = mix(rgb(radius, 0.18, 0.18, 0.18), rgb(radius, 0.5, 0.5, 0.5), spoke)
    return mix(disc, rgb(radius, 0.02, 0.02, 0.02), tyre)


def _facade(s: Surface, table: Tensor) -> Tensor:
    x, y, z = s.point_m.unbind(1)
    width = s.footprint_m
    on_end = s.normal[:, 0].abs() > 0.7
    along = torch.where(on_end, y, x)
    half = torch.where(on_end, s.half_m[:, 1], s.half_m[:, 0])
    height = z + s.half_m[:, 2]
    floor_m = 2.9 + 0.5 * s.variant
    bays = torch.round(2.0 * half / (2.4 + 1.2 * torch.frac(s.variant * 7.0))).clamp(min=1.0)
    bay_m = 2.0 * half / bays
    wall = s.color * _grain(s, table, (6.0, 0.10), (1.5, 0.12), (0.4, 0.14), (0.12, 0.12))
    wall = _bricks(s, wall, along, height)
    column = torch.frac((along + half) / bay_m) - 0.5
    row = torch.frac(height / floor_m) - 0.52
    cell = torch.stack(
        (torch.floor((along + half) / bay_m), torch.floor(height / floor_m), s.variant * 30.0),
        dim=1,
    )
    mood = noise(table, cell * 1.37 + s.normal * 3.0)
    across, up = width / bay_m, width / floor_m
    frame = band(column, 0.0, 0.29, across) * band(row, 0.0, 0.30, up)
    pane = band(column.abs(), 0.125, 0.11, across) * band(row, 0.0, 0.265, up)
    sill = band(column, 0.0, 0.33, across) * band(row, -0.325, 0.022, up)
    is_shop = height < floor_m
    door = band(column, 0.0, 0.22, across) * band(height, 1.1, 1.1, width)
    trim = rgb(x, 0.75, 0.73, 0.68).expand(len(x), 3)
    sky_tint = (0.5 + 0.5 * mood) * (0.5 + row)
    glass = mix(rgb(x, 0.03, 0.04, 0.05), rgb(x, 0.22, 0.28, 0.36), sky_tint.clamp(0.0, 1.0))
    curtain = band(column.abs(), 0.20, 0.05, across) * (mood > 0.1).float()
    glass = mix(glass, rgb(x, 0.55, 0.50, 0.42), 0.8 * curtain)
    windows = mix(mix(mix(wall, trim, frame), glass, pane), trim * 0.9, sill)
    timber = mix(rgb(x, 0.16, 0.07, 0.03), rgb(x, 0.05, 0.12, 0.16), (mood > 0).float())
    ground = torch.where((mood > 0.25)[:, None], mix(wall, timber, door), windows)
    color = torch.where(is_shop[:, None], ground, windows)
    plinth = band(height, 0.0, 0.45, width)
    cornice = band(height, 2.0 * s.half_m[:, 2], 0.35, width)
    color = mix(mix(color, rgb(x, 0.20, 0.19, 0.18), plinth), trim * 0.8, cornice)
    flat = rgb(x, 0.25, 0.24, 0.23) * _grain(s, table, (1.0, 0.3))
    return torch.where((s.normal[:, 2] > 0.7)[:, None], flat, color)


def _bricks(s: Surface, wall: Tensor, along: Tensor, height: Tensor) -> Tensor:
    course = torch.floor(height / 0.16)
    bed = stripes(height, 0.16, 0.12, s.footprint_m)
    head = stripes(along + 0.2 * torch.remainder(course, 2.0), 0.4, 0.06, s.footprint_m)
    joint = torch.maximum(bed, head)
    is_brick = (torch.frac(s.variant * 13.0) < 0.55).float()
    return mix(wall, wall * 0.55 + 0.18, joint * is_brick)


def _roof(s: Surface, table: Tensor) -> Tensor:
    color = s.color * _grain(s, table, (3.0, 0.15), (0.5, 0.2), (0.15, 0.15))
    rows = stripes(s.point_m[:, 2], 0.22, 0.25, s.footprint_m)
    gable = (s.normal[:, 0].abs() > 0.7).float()
    tiles = mix(color, color * 0.45, rows * (1.0 - gable))
    return mix(tiles, rgb(rows, 0.55, 0.50, 0.42) * _grain(s, table, (0.4, 0.2)), gable)


def _bark(s: Surface, table: Tensor) -> Tensor:
    squeezed = s.shifted_m * s.shifted_m.new_tensor((1.0, 1.0, 0.25))
    octaves = ((0.25, 0.3), (0.07, 0.35))
    return s.color * (1.0 + fractal(table, squeezed, s.footprint_m, octaves))[:, None]


def _leaves(s: Surface, table: Tensor) -> Tensor:
    octaves = ((1.1, 0.20), (0.40, 0.45), (0.19, 0.75), (0.08, 0.55))
    clump = fractal(table, s.shifted_m, s.footprint_m, octaves)
    depth = 0.72 + 0.28 * s.normal[:, 2]
    color = s.color * ((1.0 + 0.8 * clump).clamp(min=0.12) * depth)[:, None]
    return mix(color, color * rgb(clump, 1.35, 1.15, 0.5), clump.clamp(0.0, 1.0))


def _cargo(s: Surface, table: Tensor) -> Tensor:
    x, _, z = s.point_m.unbind(1)
    panel = s.color * _grain(s, table, (1.2, 0.10), (0.3, 0.08))
    on_side = (s.normal[:, 1].abs() > 0.7).float()
    ribs = stripes(x, 0.5, 0.12, s.footprint_m)
    panel = mix(panel, panel * 0.6, on_side * ribs)
    stripe = band(z, 0.15, 0.28, s.footprint_m) * on_side
    logo = stripes(x + 0.6 * z, 1.6, 0.7, s.footprint_m)
    return mix(panel, 0.5 * (1.0 - s.color) * rgb(x, 0.9, 0.3, 0.2) + 0.05, stripe * logo)


def _sign(s: Surface, table: Tensor) -> Tensor:
    radius = s.point_m[:, :2].norm(dim=1) / s.half_m[:, 0]
    face = mix(s.color, rgb(radius, 0.85, 0.85, 0.85), band(radius, 0.0, 0.68, s.footprint_m))
    return mix(face, s.color * 0.1, band(radius, 0.0, 0.25, s.footprint_m)) * _grain(
        s, table, (0.2, 0.1)
    )


_PAINTS: dict[Material, Callable[[Surface, Tensor], Tensor]] = {
    Material.PLAIN: _plain,
    Material.CAR_BODY: _car_body,
    Material.CAR_CABIN: _car_cabin,
    Material.WHEEL: _wheel,
    Material.FACADE: _facade,
    Material.ROOF: _roof,
    Material.BARK: _bark,
    Material.LEAVES: _leaves,
    Material.CARGO: _cargo,
    Material.SIGN: _sign,
    Material.SPOKES: _spokes,
}
