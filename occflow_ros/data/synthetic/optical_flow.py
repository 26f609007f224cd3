"""Exact optical flow between two renderings of one camera."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.data.synthetic.raycast import SKY
from occflow_ros.data.synthetic.render import Rendering
from occflow_ros.data.synthetic.surfaces import local_points
from occflow_ros.data.synthetic.world import World

_DEPTH_TOLERANCE = 0.03


@dataclass(frozen=True, slots=True)
class OpticalFlow:
    """Where the surface point of each pixel appears in another image.

    Args:
        flow_px: (H, W, 2) float32 displacement (u, v); NaN where the point is behind the camera.
        visible: (H, W) bool, the point is inside the other image and not hidden there.
    """

    flow_px: Tensor
    visible: Tensor


def optical_flow(world: World, source: Rendering, target: Rendering) -> OpticalFlow:
    """Move every surface point with its solid from one instant to the other and project it.

    The sky counts as infinitely far. A point is visible where the nearest pixel of the target
    shows the same solid (or the ground, or the sky) at its depth, to 3 %.
    """
    moved = moved_points(world, source, target.time_s)  # (N, 3)
    camera_T_odom = torch.linalg.inv(target.odom_T_camera)
    which = source.primitive.flatten()
    offset = torch.where((which == SKY)[:, None], 0.0, camera_T_odom[:3, 3])
    camera = moved @ camera_T_odom[:3, :3].T + offset
    depth = camera[:, 2]
    in_front = depth > 1e-3
    pixel = (camera @ target.K.T)[:, :2] / depth.clamp(min=1e-3)[:, None]
    height, width = source.depth_m.shape
    u, v = pixel.round().unbind(1)
    inside = in_front & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    index = torch.where(inside, v * width + u, 0.0).long()
    other_depth = target.depth_m.flatten()[index].double()
    same = target.primitive.flatten()[index] == which
    at_depth = ((other_depth - depth).abs() < _DEPTH_TOLERANCE * depth) | (which == SKY)
    grid = torch.stack(
        torch.meshgrid(
            torch.arange(width, device=world.device),
            torch.arange(height, device=world.device),
            indexing="xy",
        ),
        dim=-1,
    )  # (H, W, 2)
    flow = torch.where(in_front[:, None], pixel, torch.nan).reshape(height, width, 2) - grid
    visible = (inside & same & at_depth).reshape(height, width)
    return OpticalFlow(flow_px=flow.float(), visible=visible)


def moved_points(world: World, source: Rendering, time_s: float) -> Tensor:
    """Surface points of a rendering (N, 3) float64 in `odom`, where they are at another time."""
    which = source.primitive.flatten()
    point = source.point_m.reshape(-1, 3)
    solid = (which >= 0).nonzero().squeeze(1)
    local = local_points(world.primitives_at(source.time_s), which[solid], point[solid])
    pose = world.primitives_at(time_s).world_T_local[which[solid]]
    moved = point.clone()
    moved[solid] = torch.einsum("mij,mj->mi", pose[:, :3, :3], local) + pose[:, :3, 3]
    return moved
