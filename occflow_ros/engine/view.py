"""What rays see of a prediction: of rendered fields, or of voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from occflow_ros.data.scene import VoxelScene
from occflow_ros.metrics.depth import MAX_DEPTH_M
from occflow_ros.ops.voxel_raycast import cast_rays
from occflow_ros.rendering.field import volume_field
from occflow_ros.rendering.rays import Rays, clip_to_grid
from occflow_ros.rendering.renderer import render
from occflow_ros.structures import OccupancyFlow

NEAR_M = 0.5
FAR_M = MAX_DEPTH_M
N_SAMPLES = 128

_SAMPLES_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """Where R rays end.

    Args:
        range_m: (R,) along each ray, the far end where it meets nothing.
        velocity_mps: (R, 2) of what it sees, over ground along ego x and y.
    """

    range_m: Tensor
    velocity_mps: Tensor


class View(Protocol):
    """Of one prediction, in its ego frame."""

    def __call__(self, rays: Rays) -> Seen:
        """On the CPU."""


def rendered_view(flow: OccupancyFlow, sharpness_per_m: float) -> View:
    """Ranges Σ w t and displacements Σ w f of equation 14.

    As in training, rays end where they leave the grid: what lies beyond it counts as seen there. A
    ray that misses the grid ends at the far end.

    Args:
        flow: the prediction.
        sharpness_per_m: ξ of equation 13.
    """
    field = volume_field(flow.grid, flow.sdf_m.float(), flow.flow_m.float())

    def view(rays: Rays) -> Seen:
        device = flow.sdf_m.device
        origins_m = rays.origins_m.float().to(device)
        directions = rays.directions.float().to(device)
        near_m = torch.full_like(directions[:, 0], NEAR_M)
        inside = clip_to_grid(
            Rays(origins_m, directions, near_m, torch.full_like(near_m, FAR_M)), flow.grid
        )
        with torch.inference_mode():
            seen = render(
                field,
                inside,
                sharpness_per_m,
                n_samples=N_SAMPLES,
                max_samples_at_once=_SAMPLES_AT_ONCE,
                closed=True,
            )
        assert seen.flow_m is not None  # the field has one
        range_m = torch.where(inside.is_empty, FAR_M, seen.range_m)
        return Seen(range_m.cpu(), seen.flow_m.cpu() / flow.interval_s)

    return view


def voxel_view(scene: VoxelScene) -> View:
    """Ranges at which rays enter the first occupied voxel, and its velocity."""

    def view(rays: Rays) -> Seen:
        directions = rays.directions.double()
        directions = directions / directions.norm(dim=1, keepdim=True)
        hits = cast_rays(scene.occupied, scene.grid, rays.origins_m.numpy(), directions.numpy())
        found = torch.from_numpy(hits.index >= 0)
        index = torch.from_numpy(hits.index).clamp(min=0)
        velocity_mps = torch.from_numpy(scene.velocity_mps).flatten(0, 2)[index]  # (R, 2)
        return Seen(
            range_m=torch.from_numpy(hits.distance_m).clamp(NEAR_M, FAR_M).float(),
            velocity_mps=torch.where(found.unsqueeze(1), velocity_mps, 0.0),
        )

    return view
