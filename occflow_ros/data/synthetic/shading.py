"""Light: sun with cast shadows, sky light, haze, the sky itself, and the tone curve."""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.data.synthetic.materials import mix, rgb
from occflow_ros.data.synthetic.textures import fractal, noise

_HAZE_LENGTH_M = 420.0
_HORIZON = (0.66, 0.74, 0.84)
_ZENITH = (0.16, 0.33, 0.68)


def shade(
    albedo: Tensor, normals: Tensor, heights_m: Tensor, is_sunlit: Tensor, sun: Tensor
) -> Tensor:
    """Light that diffuse surfaces send out, independent of where it is seen from.

    Args:
        albedo: (N, 3) linear RGB.
        normals: (N, 3) world axes.
        heights_m: (N,) above the ground, which keeps some of the sky out.
        is_sunlit: (N,) bool.
        sun: (3,) unit vector towards the sun.

    Returns:
        (N, 3) linear RGB.
    """
    beam = (normals @ sun.float()).clamp(min=0.0) * is_sunlit
    openness = 0.55 + 0.45 * normals[:, 2]
    openness = openness * (0.8 + 0.2 * (heights_m / 1.5).clamp(0.0, 1.0))
    bounce = (0.5 - 0.5 * normals[:, 2]) * 0.25
    light = beam[:, None] * rgb(albedo, 2.05, 1.88, 1.60)
    light = light + openness[:, None] * rgb(albedo, 0.48, 0.58, 0.74)
    return albedo * (light + bounce[:, None] * rgb(albedo, 0.9, 0.8, 0.65))


def haze(color: Tensor, distance_m: Tensor) -> Tensor:
    """Colours (N, 3) seen through the air over (N,) metres."""
    share = 1.0 - torch.exp(-((distance_m / _HAZE_LENGTH_M) ** 1.5))
    return mix(color, rgb(color, *_HORIZON), share)


def sky(directions: Tensor, sun: Tensor, table: Tensor) -> Tensor:
    """Linear RGB (N, 3) of the sky along unit vectors (N, 3) in world axes.

    A gradient, a glow around the sun, clouds on a high plane, and far hills on the horizon.
    """
    up = directions[:, 2].clamp(min=0.0)
    color = mix(rgb(up, *_HORIZON), rgb(up, *_ZENITH), up**0.55)
    glow = (directions @ sun.float()).clamp(min=0.0) ** 24
    color = mix(color, rgb(up, 1.0, 0.93, 0.80), 0.35 * glow)
    on_plane = directions / directions[:, 2:].clamp(min=0.05) * 2.2
    still = torch.full_like(up, 0.02)
    octaves = ((2.6, 0.55), (1.1, 0.35), (0.5, 0.22), (0.22, 0.12))
    cover = fractal(table, on_plane, still, octaves)
    cover = ((cover - 0.05) * 2.2).clamp(0.0, 1.0) * (up * 6.0 - 0.3).clamp(0.0, 1.0)
    color = mix(color, rgb(up, 0.95, 0.95, 0.96), 0.85 * cover)
    flat = torch.nn.functional.normalize(directions[:, :2], dim=1)
    around = torch.cat((flat * 6.0, torch.zeros_like(flat[:, :1])), dim=1)
    ridge = 0.035 + 0.018 * noise(table, around) + 0.006 * noise(table, around * 5.0)
    behind = ((ridge - directions[:, 2]) / 0.004).clamp(0.0, 1.0)
    return mix(color, rgb(up, 0.36, 0.45, 0.50), behind * 0.9)


def to_pixels(linear: Tensor) -> Tensor:
    """Linear light (..., 3) to uint8 with a soft shoulder and the sRGB-like power 1/2.2."""
    exposed = linear * 1.35
    curved = exposed * (1.0 + exposed / 4.0) / (1.0 + exposed)
    return (curved.clamp(0.0, 1.0) ** (1.0 / 2.2) * 255.0 + 0.5).to(torch.uint8)
