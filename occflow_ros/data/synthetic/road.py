"""The street: a smooth curve y = f(x) on flat ground and its cross-section.

A place on the street is (s, d): arc length along the centre line and offset to its left, in metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LANE_M = 3.3
BIKE_LANE_END_M = 4.8
KERB_M = 7.0
SIDEWALK_END_M = 10.5
KERB_HEIGHT_M = 0.15
CROSSWALK_HALF_M = 1.8

_TABLE_STEP_M = 0.1
_NEWTON_STEPS = 3


@dataclass(frozen=True, slots=True)
class Road:
    """Centre line f(x) = Σ aᵢ sin(2πx/λᵢ + φᵢ) with f and s zero at x = 0.

    Args:
        amplitudes_m: aᵢ.
        wavelengths_m: λᵢ.
        phases_rad: φᵢ.
        arc_m: (T,) float64 arc length s on a uniform grid of x.
        first_x_m: x of the first entry of `arc_m`.
    """

    amplitudes_m: tuple[float, ...]
    wavelengths_m: tuple[float, ...]
    phases_rad: tuple[float, ...]
    arc_m: Tensor
    first_x_m: float

    def lateral(self, x_m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """f, f′ and f″ at x (...)."""
        f, slope, bend = torch.zeros_like(x_m), torch.zeros_like(x_m), torch.zeros_like(x_m)
        for amplitude, wavelength, phase in zip(
            self.amplitudes_m, self.wavelengths_m, self.phases_rad
        ):
            wave = 2.0 * math.pi / wavelength
            angle = x_m * wave + phase
            sine, cosine = torch.sin(angle), torch.cos(angle)
            f = f + amplitude * (sine - math.sin(phase))
            slope = slope + amplitude * wave * cosine
            bend = bend - amplitude * wave**2 * sine
        return f, slope, bend

    def arc_at(self, x_m: Tensor) -> Tensor:
        """Arc length s at x (...), linear between table entries."""
        arc_m = self.arc_m.to(x_m.dtype)
        place = ((x_m - self.first_x_m) / _TABLE_STEP_M).clamp(0, len(arc_m) - 1.001)
        index = place.long()
        return torch.lerp(arc_m[index], arc_m[index + 1], place - index)

    def x_at(self, arc_m: Tensor) -> Tensor:
        """Inverse of `arc_at`, (...) float64."""
        index = torch.searchsorted(self.arc_m, arc_m.contiguous()).clamp(1, len(self.arc_m) - 1)
        low, high = self.arc_m[index - 1], self.arc_m[index]
        return self.first_x_m + _TABLE_STEP_M * (index - 1 + (arc_m - low) / (high - low))

    def pose_at(self, arc_m: Tensor, offset_m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where (s, d) lies.

        Returns:
            position (..., 2) in the world, yaw (...) of the tangent, curvature (...) to the left.
        """
        x = self.x_at(arc_m)
        f, slope, bend = self.lateral(x)
        yaw = torch.atan(slope)
        normal = torch.stack((-torch.sin(yaw), torch.cos(yaw)), dim=-1)  # (..., 2)
        position = torch.stack((x, f), dim=-1) + offset_m[..., None] * normal
        return position, yaw, bend / (1.0 + slope**2) ** 1.5

    def locate(self, xy_m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Nearest point of the centre line by Newton's method.

        Args:
            xy_m: (..., 2) world.

        Returns:
            s (...), d (...) and yaw (...) of the tangent there.
        """
        x, y = xy_m.unbind(-1)
        foot = x
        for _ in range(_NEWTON_STEPS):
            f, slope, bend = self.lateral(foot)
            residual = (foot - x) + (f - y) * slope
            foot = foot - residual / (1.0 + slope**2 + (f - y) * bend).clamp(min=0.3)
        f, slope, _ = self.lateral(foot)
        yaw = torch.atan(slope)
        offset = (y - f) * torch.cos(yaw) - (x - foot) * torch.sin(yaw)
        return self.arc_at(foot), offset, yaw


def make_road(
    amplitudes_m: tuple[float, ...],
    wavelengths_m: tuple[float, ...],
    phases_rad: tuple[float, ...],
    first_x_m: float,
    last_x_m: float,
) -> Road:
    """A road whose arc length is tabulated between two x (trapezoidal rule, step 0.1 m)."""
    count = int((last_x_m - first_x_m) / _TABLE_STEP_M) + 2
    x_m = first_x_m + _TABLE_STEP_M * torch.arange(count, dtype=torch.float64)
    road = Road(amplitudes_m, wavelengths_m, phases_rad, x_m, first_x_m)
    _, slope, _ = road.lateral(x_m)
    arc_m = torch.cumulative_trapezoid(torch.sqrt(1.0 + slope**2), dx=_TABLE_STEP_M)
    arc_m = torch.cat((arc_m.new_zeros(1), arc_m))
    zero = torch.lerp(
        arc_m[int(-first_x_m / _TABLE_STEP_M)],
        arc_m[int(-first_x_m / _TABLE_STEP_M) + 1],
        (-first_x_m / _TABLE_STEP_M) % 1.0,
    )
    return Road(amplitudes_m, wavelengths_m, phases_rad, arc_m - zero, first_x_m)
