"""Depth of cameras as our own network's fields render it (equation 14)."""

from __future__ import annotations

import torch
from torch import Tensor

from occflow_ros.depth.folder import STRIDE_PX
from occflow_ros.engine.view import FAR_M, NEAR_M
from occflow_ros.geometry.camera import pixel_rays
from occflow_ros.rendering.field import volume_field
from occflow_ros.rendering.rays import Rays, camera_rays, clip_to_grid
from occflow_ros.rendering.renderer import render
from occflow_ros.structures import CameraRig, Frame, OccupancyFlow

_SAMPLES = 64  # depth is 0.5 % off that of 512 in the mean; with 32 it is 1.2 %
_SAMPLES_AT_ONCE = 2_000_000
_LEAST_OPACITY = 0.5


def render_depths(
    flow: OccupancyFlow, frame: Frame, sharpness_per_m: float, stride_px: int = STRIDE_PX
) -> Tensor:
    """What each camera of a frame sees of the prediction for it.

    Rays end where they leave the grid, as in training, with what is left of their weight.

    Args:
        flow: the prediction.
        frame: its cameras, images of (H, W).
        sharpness_per_m: ξ of equation 13.
        stride_px: pixels of the images along each side of a cell.

    Returns:
        depth_m (N, H / stride, W / stride) float32 along the optical axis at the centres of the
        cells, on the device of the prediction; 0 where the camera is absent, or the ray meets
        nothing: most of its weight leaves the grid, or it misses it.

    Raises:
        ValueError: where cells do not fill the images.
    """
    height, width = frame.images.shape[-2:]
    if height % stride_px or width % stride_px:
        raise ValueError(f"stride_px: expected a divisor of {(height, width)}, got {stride_px}")
    hw_cells = (height // stride_px, width // stride_px)
    with torch.inference_mode():
        rays = _rays_of(frame.rig, hw_cells, stride_px, flow.sdf_m.device)
        seen = render(
            volume_field(flow.grid, flow.sdf_m.float()),
            clip_to_grid(rays, flow.grid),
            sharpness_per_m,
            n_samples=_SAMPLES,
            max_samples_at_once=_SAMPLES_AT_ONCE,
            closed=True,
        )
        assert seen.depth_m is not None  # they are rays of cameras
        depth_m = torch.where(seen.opacity >= _LEAST_OPACITY, seen.depth_m, 0.0)
        present = frame.rig.present.nonzero().squeeze(1)
        depths_m = depth_m.new_zeros(len(frame.rig.names), *hw_cells)
        depths_m[present] = depth_m.unflatten(0, (len(present), *hw_cells))  # (N', h, w)
    return depths_m


def _rays_of(
    rig: CameraRig, hw_cells: tuple[int, int], stride_px: int, device: torch.device
) -> Rays:
    """Through the centres of the cells of those cameras that are present."""
    pixel_to_cell = torch.diag(torch.tensor([1.0 / stride_px, 1.0 / stride_px, 1.0]))
    pixel_to_cell[:2, 2] = 0.5 / stride_px - 0.5
    directions = [
        pixel_rays(K, *hw_cells).flatten(0, 1)  # (h·w, 3)
        for K in pixel_to_cell @ rig.K[rig.present].cpu().float()
    ]
    poses = rig.base_T_camera[rig.present].to(device)
    return camera_rays(torch.stack(directions).to(device), poses, NEAR_M, FAR_M)
