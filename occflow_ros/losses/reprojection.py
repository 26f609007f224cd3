"""Where the points of the current frame appear in another image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from occflow_ros.geometry.camera import project
from occflow_ros.losses.shapes import check_shape


def displace(points_m: Tensor, flow_m: Tensor, elapsed: Tensor) -> Tensor:
    """p_i + τ·(f_x, f_y, 0): points where their own motion has carried them.

    The paper moves points forward by one interval, τ = 1. τ = 0 is the static world; a negative τ
    is an earlier time, at constant velocity.

    Args:
        points_m: (R, S, 3) in the ego frame at t.
        flow_m: (R, S, 2) displacement over one interval along ego x and y.
        elapsed: (R,) τ, time from t to the other image of the ray's camera, in intervals.

    Returns:
        (R, S, 3).

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("points_m", points_m, ("R", "S", 3))
    check_shape("flow_m", flow_m, (*points_m.shape[:2], 2))
    check_shape("elapsed", elapsed, points_m.shape[:1])
    horizontal = points_m[..., :2] + elapsed.to(flow_m)[:, None, None] * flow_m
    return torch.cat((horizontal, points_m[..., 2:]), dim=-1)


def expected_points(points_m: Tensor, weights: Tensor) -> Tensor:
    """Σ_i w_i p_i / Σ_i w_i, the point where each ray ends; what it has of opacity is all of it.

    Args:
        points_m: (R, S, 3).
        weights: (R, S) rendering weights.

    Returns:
        (R, 1, 3), one sample per ray; the origin of the frame for a ray without opacity.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("points_m", points_m, (*weights.shape, 3))
    share = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-6)
    return (share.unsqueeze(-1) * points_m).sum(dim=-2, keepdim=True)


def reproject(points_m: Tensor, K: Tensor, base_T_camera: Tensor) -> tuple[Tensor, Tensor]:
    """K·T⁻¹·T_t^{t+1}·p of equations 8 to 10: pixels of points in another image.

    Args:
        points_m: (R, S, 3) in the ego frame at t.
        K: (R, 3, 3) intrinsics of the other image of the ray's camera.
        base_T_camera: (R, 4, 4) its optical frame to the ego frame at t, that is
            (T_t^{t+1})⁻¹·T with the ego motion T_t^{t+1} and the camera's extrinsics T.

    Returns:
        pixels (R, S, 2) and in_front (R, S) bool; pixels of points not in front of the camera are
        finite but have no meaning.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("points_m", points_m, ("R", "S", 3))
    check_shape("K", K, (len(points_m), 3, 3))
    check_shape("base_T_camera", base_T_camera, (len(points_m), 4, 4))
    with torch.autocast(points_m.device.type, enabled=False):
        pose = base_T_camera.to(points_m)
        offset_m = points_m - pose[:, None, :3, 3]  # (R, S, 3)
        return project(K.to(points_m), offset_m @ pose[:, :3, :3])


def inside(pixels: Tensor, image_hw_px: tuple[int, int], margin: float = 0.0) -> Tensor:
    """(...) bool, which pixels (..., 2) lie in the image, or out of it by a share of its size."""
    height, width = image_hw_px
    location = (pixels + 0.5) / pixels.new_tensor((width, height))
    return ((location >= -margin) & (location <= 1.0 + margin)).all(dim=-1)


def sample_images(images: Tensor, camera: Tensor, pixels: Tensor) -> Tensor:
    """⟨I, x⟩: bilinear interpolation between pixel centres.

    Args:
        images: (N, C, H, W), of each camera.
        camera: (R,) int64, the ray's camera.
        pixels: (R, ..., 2); outside the image the nearest pixel counts.

    Returns:
        (R, ..., C).

    Raises:
        ValueError: where the shapes do not belong together.
    """
    check_shape("images", images, ("N", "C", "H", "W"))
    check_shape("pixels", pixels, (*camera.shape, *pixels.shape[1:-1], 2))
    cameras, channels, height, width = images.shape
    # All cameras in one image, one below the other, so that rays need no sorting by camera.
    tower = images.transpose(0, 1).reshape(1, channels, cameras * height, width)
    u, v = pixels.unsqueeze(1).flatten(1, -2).unbind(dim=-1)  # (R, P)
    v = v.clamp(0.0, height - 1.0) + camera.unsqueeze(1) * height
    location = torch.stack(((2 * u + 1) / width, (2 * v + 1) / (cameras * height)), dim=-1) - 1.0
    sampled = grid_sample(
        tower, location.unsqueeze(0), padding_mode="border", align_corners=False
    )  # (1, C, R, P)
    return sampled[0].movedim(0, -1).reshape(*pixels.shape[:-1], channels)
