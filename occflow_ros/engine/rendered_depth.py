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
from occflow_ros.engine.prediction import Prediction
from occflow_ros.engine.view import FAR_M, NEAR_M
from occflow_ros.geometry import se3
from occflow_ros.geometry.camera import pixel_rays, project
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.metrics.depth import DepthErrors, depth_errors
from occflow_ros.rendering.rays import Rays, camera_rays

PIXEL_STRIDE = 4


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

    def rays(self, odom_T_base: se3.Array) -> Rays:
        """Rays of the pixels in the ego frame with this pose."""
        base_T_camera = torch.from_numpy(se3.inverse(odom_T_base) @ self.odom_T_camera)
        return camera_rays(self.directions, base_T_camera, NEAR_M, FAR_M)


@dataclass(frozen=True, slots=True)
class DepthAccuracy(Accumulator):
    """Rendered depth against the truth, beside that of an endless flat ground.

    Args:
        prediction: of the rendered depth.
        flat_ground: of the plane through the ego origin.
    """

    prediction: DepthErrors = DepthErrors()
    flat_ground: DepthErrors = DepthErrors()


def depth_accuracy(prediction: Prediction, truth: DepthTruth) -> DepthAccuracy:
    """Depth of one camera."""
    rays = truth.rays(prediction.odom_T_base)
    range_m = prediction.view(rays).range_m
    return DepthAccuracy(
        prediction=depth_errors(depth_along_axis_m(range_m, rays), truth.depth_m),
        flat_ground=depth_errors(flat_ground_depth_m(rays), truth.depth_m),
    )


def flat_ground_depth_m(rays: Rays, ground_z_m: float = 0.0) -> npt.NDArray[np.float32]:
    """Depth (R,) at which camera rays meet the ground, at the far end where they do not."""
    down = -rays.directions[:, 2]
    height_m = rays.origins_m[:, 2] - ground_z_m
    range_m = torch.where(down > 0, height_m / down, FAR_M).clamp(NEAR_M, FAR_M)
    return depth_along_axis_m(range_m, rays)


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


def lidar_depths(drive: Drive, camera_set: CameraSet, block_px: int = 1) -> Iterator[DepthTruth]:
    """Depth of the LiDAR points that lie in each image of a set, where it has a sweep.

    Points are moved by what the ego drove between sweep and image; what moves by itself is not. Of
    the points of a block of pixels the nearest one counts; others that the camera cannot see past
    something nearer are not left out.

    Args:
        drive: whose set it is.
        camera_set: the set.
        block_px: side of the blocks; 2 gives the paper's resolution of 1:2.

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
        size_hw_px = camera.height_px, camera.width_px
        kept = points_in_image(points, torch.from_numpy(camera.K), size_hw_px, block_px)
        yield DepthTruth(points[kept], points[kept, 2].numpy(), odom_T_camera)


def points_in_image(
    points_camera_m: Tensor, K: Tensor, image_hw_px: tuple[int, int], block_px: int
) -> Tensor:
    """Which points lie in an image and are the nearest ones of their blocks of pixels.

    Args:
        points_camera_m: (P, 3) in the optical frame.
        K: (3, 3) intrinsics in pixels.
        image_hw_px: height and width of the image.
        block_px: side of the blocks.

    Returns:
        (M,) indices of the points, in their order.
    """
    pixels, in_front = project(K, points_camera_m)
    height, width = image_hw_px
    inside = ((pixels >= -0.5) & (pixels < pixels.new_tensor((width, height)) - 0.5)).all(dim=-1)
    visible = (in_front & inside).nonzero().squeeze(1)
    return visible[_nearest_of_blocks(pixels[visible], points_camera_m[visible, 2], block_px)]


def _nearest_of_blocks(pixels: Tensor, depth_m: Tensor, block_px: int) -> Tensor:
    """Indices of the nearest of the pixels (P, 2) in each block, in the order they came."""
    by_depth = depth_m.argsort(stable=True)
    blocks = ((pixels[by_depth] + 0.5) / block_px).floor().long().numpy()
    _, first = np.unique(blocks, axis=0, return_index=True)
    return by_depth[torch.from_numpy(first)].sort().values


def depth_along_axis_m(range_m: Tensor, rays: Rays) -> npt.NDArray[np.float32]:
    """Depth (R,) of camera rays that end at these ranges (R,)."""
    assert rays.axis_cosine is not None
    return (rays.axis_cosine * range_m).float().numpy()
