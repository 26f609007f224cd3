"""Depth that the cameras of a set would see in a prediction, beside the true one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from occflow_ros.cues.images import image_of
from occflow_ros.cues.truth import TruthFiles
from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.data.sensors import read_lidar
from occflow_ros.geometry import se3
from occflow_ros.geometry.camera import pixel_rays, project
from occflow_ros.metrics.depth import MAX_DEPTH_M, DepthErrors, depth_errors
from occflow_ros.rendering.field import volume_field
from occflow_ros.rendering.rays import Rays, camera_rays, clip_to_grid
from occflow_ros.rendering.renderer import render
from occflow_ros.structures import OccupancyFlow

NEAR_M = 0.5
FAR_M = MAX_DEPTH_M
N_SAMPLES = 128
PIXEL_STRIDE = 4

_SAMPLES_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class DepthTruth:
    """Pixels of one camera whose depth is known.

    Args:
        directions: (P, 3) through them, in the optical frame.
        depth_m: (P,) along the optical axis, inf for the sky.
        odom_T_camera: (4, 4) where the camera was when it took the image.
    """

    directions: Tensor
    depth_m: npt.NDArray[np.floating]
    odom_T_camera: se3.Array


@dataclass(frozen=True, slots=True)
class DepthAccuracy:
    """Rendered depth against the truth, beside that of an endless flat ground.

    Args:
        prediction: of the rendered depth.
        flat_ground: of the plane through the ego origin.
    """

    prediction: DepthErrors = DepthErrors()
    flat_ground: DepthErrors = DepthErrors()

    def __add__(self, other: DepthAccuracy) -> DepthAccuracy:
        return DepthAccuracy(
            self.prediction + other.prediction, self.flat_ground + other.flat_ground
        )


def depth_accuracy(
    flow: OccupancyFlow, odom_T_base: se3.Array, truth: DepthTruth, sharpness_per_m: float
) -> DepthAccuracy:
    """Depth of one camera.

    Args:
        flow: the prediction.
        odom_T_base: (4, 4) pose of its ego frame.
        truth: pixels to compare.
        sharpness_per_m: ξ of equation 13.
    """
    base_T_camera = torch.from_numpy(se3.inverse(odom_T_base) @ truth.odom_T_camera)
    rays = camera_rays(truth.directions, base_T_camera, NEAR_M, FAR_M)
    return DepthAccuracy(
        prediction=depth_errors(rendered_depth_m(flow, rays, sharpness_per_m), truth.depth_m),
        flat_ground=depth_errors(flat_ground_depth_m(rays), truth.depth_m),
    )


def rendered_depth_m(
    flow: OccupancyFlow, rays: Rays, sharpness_per_m: float
) -> npt.NDArray[np.float32]:
    """Depth (R,) along the optical axis of what camera rays see.

    As in training, rays end where they leave the grid: what lies beyond it counts as seen there.
    """
    range_m, _ = rendered_ranges(flow, rays, sharpness_per_m, with_flow=False)
    return (_cosine(rays) * range_m).float().numpy()


def rendered_ranges(
    flow: OccupancyFlow, rays: Rays, sharpness_per_m: float, *, with_flow: bool
) -> tuple[Tensor, Tensor | None]:
    """Where rays end, Σ w t, and how what they see there moves.

    A ray that misses the grid ends at the far end.

    Returns:
        range (R,) and, where wanted, displacement over one interval Σ w f (R, 2), on the CPU.
    """
    device = flow.sdf_m.device
    origins_m, directions = rays.origins_m.float().to(device), rays.directions.float().to(device)
    near_m = torch.full_like(directions[:, 0], NEAR_M)
    inside = clip_to_grid(
        Rays(origins_m, directions, near_m, torch.full_like(near_m, FAR_M)), flow.grid
    )
    with torch.inference_mode():
        view = render(
            volume_field(flow.grid, flow.sdf_m.float(), flow.flow_m.float() if with_flow else None),
            inside,
            sharpness_per_m,
            n_samples=N_SAMPLES,
            max_samples_at_once=_SAMPLES_AT_ONCE,
            closed=True,
        )
    range_m = torch.where(inside.is_empty, FAR_M, view.range_m)
    return range_m.cpu(), None if view.flow_m is None else view.flow_m.cpu()


def flat_ground_depth_m(rays: Rays) -> npt.NDArray[np.float32]:
    """Depth (R,) at which camera rays meet the plane z = 0, at the far end where they do not."""
    down = -rays.directions[:, 2]
    range_m = torch.where(down > 0, rays.origins_m[:, 2] / down, FAR_M).clamp(NEAR_M, FAR_M)
    return (_cosine(rays) * range_m).float().numpy()


def exact_depths(drive: Drive, number: int, files: TruthFiles) -> Iterator[DepthTruth]:
    """Exact depth of every 4th row and column of each image of a set.

    Args:
        drive: whose set it is.
        number: of the set in the drive.
        files: with the truth of its images.

    Raises:
        DataError: where a file is missing or damaged.
    """
    for name, camera in drive.cameras.items():
        image = image_of(drive, number, name)
        if image is None:
            continue
        (depth_m,) = files.read(image, "depth_m")
        first = PIXEL_STRIDE // 2
        depth_m = depth_m[first::PIXEL_STRIDE, first::PIXEL_STRIDE]  # (H / 4, W / 4)
        to_coarse = np.diag((1.0 / PIXEL_STRIDE, 1.0 / PIXEL_STRIDE, 1.0))
        to_coarse[:2, 2] = -first / PIXEL_STRIDE
        directions = pixel_rays(torch.from_numpy(to_coarse @ camera.K), *depth_m.shape)
        pose = image.file.odom_T_base @ camera.base_T_camera
        yield DepthTruth(directions.flatten(0, 1), depth_m.ravel(), pose)


def lidar_depths(drive: Drive, camera_set: CameraSet) -> Iterator[DepthTruth]:
    """Depth of the LiDAR points that lie in each image of a set, where it has a sweep.

    Points are moved by what the ego drove between sweep and image; what moves by itself is not.
    Points that the camera cannot see past something nearer are not left out.

    Raises:
        DataError: where the sweep cannot be read.
    """
    if camera_set.lidar is None or drive.base_T_lidar is None:
        return
    odom_T_lidar = camera_set.lidar.odom_T_base @ drive.base_T_lidar
    points_m = read_lidar(camera_set.lidar.path).astype(np.float64)
    points_odom_m = se3.transform_points(odom_T_lidar, points_m)
    for name, file in camera_set.images.items():
        camera = drive.cameras[name]
        odom_T_camera = file.odom_T_base @ camera.base_T_camera
        points = torch.from_numpy(se3.transform_points(se3.inverse(odom_T_camera), points_odom_m))
        pixels, in_front = project(torch.from_numpy(camera.K), points)
        size = pixels.new_tensor((camera.width_px, camera.height_px))
        visible = in_front & ((pixels >= -0.5) & (pixels < size - 0.5)).all(dim=-1)
        yield DepthTruth(points[visible], points[visible, 2].numpy(), odom_T_camera)


def _cosine(rays: Rays) -> Tensor:
    assert rays.axis_cosine is not None
    return rays.axis_cosine
