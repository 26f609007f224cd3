"""How objects move: closed forms in time along the street, so any instant can be rendered."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.data.synthetic.road import Road

SURGE_RAD_PER_S = 2.0 * math.pi / 12.0


@dataclass(frozen=True, slots=True)
class Motion:
    """Laws of K objects in street coordinates.

    s(t) = s₀ + v·t + a·(1 − cos ωt) and d(t) = d₀ + w·t, held between two limits.

    Args:
        arc_m: (K,) s₀.
        speed_mps: (K,) v.
        surge_m: (K,) a.
        offset_m: (K,) d₀.
        lateral_mps: (K,) w.
        offset_limits_m: (K, 2) smallest and largest d.
        yaw_rad: (K,) heading against the tangent of the street.
        height_m: (K,) z of the object's frame.
    """

    arc_m: Tensor
    speed_mps: Tensor
    surge_m: Tensor
    offset_m: Tensor
    lateral_mps: Tensor
    offset_limits_m: Tensor
    yaw_rad: Tensor
    height_m: Tensor

    def street_at(self, time_s: float | Tensor) -> tuple[Tensor, Tensor]:
        """s (..., K) and d (..., K) at times (..., 1) or one time."""
        time = torch.as_tensor(time_s, dtype=torch.float64, device=self.arc_m.device)
        arc = self.arc_m + self.speed_mps * time
        arc = arc + self.surge_m * (1.0 - torch.cos(SURGE_RAD_PER_S * time))
        low, high = self.offset_limits_m.unbind(-1)
        free = self.offset_m + self.lateral_mps * time
        return arc, torch.minimum(torch.maximum(free, low), high)


@dataclass(frozen=True, slots=True)
class ObjectStates:
    """K objects at one time.

    Args:
        world_T_object: (K, 4, 4) float64.
        velocity_mps: (K, 3) float64 of the object's origin, world axes.
        yaw_rate_rad_per_s: (K,) float64.
    """

    world_T_object: Tensor
    velocity_mps: Tensor
    yaw_rate_rad_per_s: Tensor


def states_at(motion: Motion, road: Road, time_s: float) -> ObjectStates:
    """Poses and their exact time derivatives.

    With curvature κ, tangent T and normal N the velocity is ṡ·(1 − κd)·T + ḋ·N, the yaw rate κ·ṡ.
    """
    arc, offset = motion.street_at(time_s)
    position, tangent_yaw, curvature = road.pose_at(arc, offset)
    arc_rate = motion.speed_mps + motion.surge_m * SURGE_RAD_PER_S * math.sin(
        SURGE_RAD_PER_S * time_s
    )
    low, high = motion.offset_limits_m.unbind(-1)
    offset_rate = torch.where((offset > low) & (offset < high), motion.lateral_mps, 0.0)
    cosine, sine = torch.cos(tangent_yaw), torch.sin(tangent_yaw)
    forward = arc_rate * (1.0 - curvature * offset)
    velocity = torch.stack(
        (
            forward * cosine - offset_rate * sine,
            forward * sine + offset_rate * cosine,
            torch.zeros_like(sine),
        ),
        dim=-1,
    )
    return ObjectStates(
        world_T_object=planar_pose(position, motion.height_m, tangent_yaw + motion.yaw_rad),
        velocity_mps=velocity,
        yaw_rate_rad_per_s=curvature * arc_rate,
    )


def planar_pose(xy_m: Tensor, z_m: Tensor, yaw_rad: Tensor) -> Tensor:
    """Transforms (..., 4, 4) of upright frames from xy (..., 2), z (...) and yaw (...)."""
    pose = torch.zeros((*yaw_rad.shape, 4, 4), dtype=yaw_rad.dtype, device=yaw_rad.device)
    cosine, sine = torch.cos(yaw_rad), torch.sin(yaw_rad)
    pose[..., 0, 0], pose[..., 0, 1] = cosine, -sine
    pose[..., 1, 0], pose[..., 1, 1] = sine, cosine
    pose[..., 2, 2] = pose[..., 3, 3] = 1.0
    pose[..., :2, 3], pose[..., 2, 3] = xy_m, z_m
    return pose
