"""A LiDAR sweep of the world, taken as a whole at one instant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from occflow_ros.data.classes import FREE
from occflow_ros.data.scene import MOVING_MPS
from occflow_ros.data.synthetic.candidates import azimuth_rectangles, rectangle_pairs
from occflow_ros.data.synthetic.ground import ground_class
from occflow_ros.data.synthetic.raycast import GROUND, first_hits
from occflow_ros.data.synthetic.rig import Rig
from occflow_ros.data.synthetic.surfaces import per_solid
from occflow_ros.data.synthetic.world import World

RANGE_M = 80.0
_NEAR_M = 0.5


@dataclass(frozen=True, slots=True)
class LidarSweep:
    """Points of one sweep, and what they lie on.

    Args:
        points_m: (N, 3) float32 in the LiDAR frame, one firing of all beams after the other from
            low to high.
        class_id: (N,) uint8 of `occflow_ros.data.classes`.
        moving: (N,) bool, on something faster than `MOVING_MPS`.
    """

    points_m: npt.NDArray[np.float32]
    class_id: npt.NDArray[np.uint8]
    moving: npt.NDArray[np.bool_]


def lidar_sweep(world: World, time_s: float, rig: Rig) -> LidarSweep:
    """Exact first returns within `RANGE_M`, without noise and without motion during the turn."""
    pose = torch.from_numpy(world.odom_T_base(time_s) @ rig.base_T_lidar).to(world.device)
    primitives = world.primitives_at(time_s)
    beams = len(rig.elevations_rad)
    rays = _rays(rig).to(world.device)  # (F·B, 3)
    lower, upper = azimuth_rectangles(primitives, torch.linalg.inv(pose), rig.firings, beams)

    def pairs(chosen: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for which, ray in rectangle_pairs(lower, torch.where(chosen[:, None], upper, lower), beams):
            yield which, torch.remainder(ray, len(rays))

    directions = (rays @ pose[:3, :3].T).float()
    hits = first_hits(primitives, world.road, pose[:3, 3], directions, pairs, _NEAR_M)
    returned = hits.distance < RANGE_M
    distance, solid = hits.distance[returned], hits.primitive[returned]
    points = rays[returned].float() * distance[:, None]
    class_id = per_solid(primitives.class_id, solid, FREE)
    ground = solid == GROUND
    on_ground_m = pose[:3, 3].float() + directions[returned][ground] * distance[ground, None]
    offset_m = world.road.locate(on_ground_m[:, :2])[1]
    class_id[ground] = ground_class(on_ground_m[:, 2], offset_m)
    speed_mps = per_solid(primitives.velocity_mps.norm(dim=1), solid, 0)
    return LidarSweep(
        points_m=points.cpu().numpy(),
        class_id=class_id.to(torch.uint8).cpu().numpy(),
        moving=(speed_mps > MOVING_MPS).cpu().numpy(),
    )


def _rays(rig: Rig) -> Tensor:
    """Unit vectors (F·B, 3) float64 in the LiDAR frame, firing by firing."""
    azimuth = 2.0 * torch.pi * torch.arange(rig.firings, dtype=torch.float64) / rig.firings
    elevation = torch.from_numpy(rig.elevations_rad)
    azimuth, elevation = torch.meshgrid(azimuth, elevation, indexing="ij")  # (F, B)
    level = torch.cos(elevation)
    rays = torch.stack(
        (level * torch.cos(azimuth), level * torch.sin(azimuth), torch.sin(elevation)), dim=-1
    )
    return rays.reshape(-1, 3)
