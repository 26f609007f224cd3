"""A LiDAR sweep of the world, taken as a whole at one instant."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from occflow_ros.data.synthetic.candidates import azimuth_rectangles, rectangle_pairs
from occflow_ros.data.synthetic.raycast import first_hits
from occflow_ros.data.synthetic.rig import Rig
from occflow_ros.data.synthetic.world import World

RANGE_M = 80.0
_NEAR_M = 0.5


def lidar_sweep(world: World, time_s: float, rig: Rig) -> npt.NDArray[np.float32]:
    """Exact first returns within `RANGE_M`, without noise and without motion during the turn.

    Returns:
        (N, 3) float32 in the LiDAR frame, one firing of all beams after the other from low to high.
    """
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
    points = rays[returned].float() * hits.distance[returned, None]
    return points.cpu().numpy()


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
