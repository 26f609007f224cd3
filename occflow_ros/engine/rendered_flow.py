"""Scene flow that the cameras of a set would see in a prediction, beside the exact one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from occflow_ros.cues.images import CameraImage, image_of
from occflow_ros.cues.truth import TruthFiles
from occflow_ros.data.classes import MOVABLE
from occflow_ros.data.drive import Drive
from occflow_ros.engine.prediction import Prediction
from occflow_ros.engine.rendered_depth import PIXEL_STRIDE
from occflow_ros.engine.view import FAR_M, NEAR_M
from occflow_ros.geometry import se3
from occflow_ros.geometry.camera import ImageFit, project
from occflow_ros.metrics.scene_flow import (
    Mask,
    PixelScenes,
    SceneFlowErrors,
    scene_flow_errors,
)
from occflow_ros.rendering.rays import Rays, camera_rays

MOVING_PX = 1.0
"""Exact optical flow of what moves differs by more from that of a world that stands still."""


@dataclass(frozen=True, slots=True)
class SceneFlowTruth:
    """Pixels of one camera whose depth and optical flow to its next image are known.

    Args:
        pixels: (P, 2) float64 (u, v) in the image as the network takes it, between its pixels.
        K: (3, 3) intrinsics of both images at this size.
        odom_T_camera: (4, 4) where the camera was when it took the image.
        odom_T_next: (4, 4) where it was when it took the next one.
        elapsed_s: time between them.
        scenes: depth, inf for the sky, and flow.
        flow_known: (P,) bool, what the pixel shows is visible in the next image.
        movable: (P,) bool, of a class that can move: the foreground.
    """

    pixels: Tensor
    K: Tensor
    odom_T_camera: se3.Array
    odom_T_next: se3.Array
    elapsed_s: float
    scenes: PixelScenes
    flow_known: Mask
    movable: Mask

    @property
    def moving(self) -> Mask:
        """(P,) bool, movable pixels whose flow is not that of a world that stands still."""
        finite_m = np.where(np.isfinite(self.scenes.depth_m), self.scenes.depth_m, FAR_M)
        depth_m = torch.from_numpy(finite_m.astype(np.float64))
        points_m = _directions(self.pixels, self.K) * depth_m.unsqueeze(1)  # (P, 3)
        still_px = self.optical_flow_px(points_m, self.odom_T_camera)
        away_px = np.linalg.norm(still_px - self.scenes.flow_px, axis=-1)
        return self.movable & self.flow_known & (away_px > MOVING_PX)

    def rays(self, odom_T_base: se3.Array) -> Rays:
        """Rays of the pixels in the ego frame with this pose."""
        base_T_camera = torch.from_numpy(se3.inverse(odom_T_base) @ self.odom_T_camera)
        return camera_rays(_directions(self.pixels, self.K), base_T_camera, NEAR_M, FAR_M)

    def optical_flow_px(self, points_m: Tensor, odom_T_src: se3.Array) -> npt.NDArray[np.float64]:
        """Flow (P, 2) of the pixels to where points (P, 3) of a frame are in the next image.

        Where they are not in front of the camera, it has no meaning but is finite.
        """
        next_T_src = torch.from_numpy(se3.inverse(self.odom_T_next) @ odom_T_src)
        there_m = points_m @ next_T_src[:3, :3].T + next_T_src[:3, 3]
        there_px, _ = project(self.K, there_m)
        return (there_px - self.pixels).numpy()


def scene_flow_truths(
    drive: Drive, number: int, files: TruthFiles, image_hw_px: tuple[int, int] | None
) -> Iterator[SceneFlowTruth]:
    """Every 4th row and column of each image of a set that has a next one.

    Args:
        drive: whose set it is.
        number: of the set in the drive.
        files: with the truth of its images.
        image_hw_px: size of the network's images; what it does not see is not compared. None:
            flow is measured in the images as they are.

    Raises:
        DataError: where a file is missing or damaged.
    """
    for name in drive.cameras:
        image, following = image_of(drive, number, name), image_of(drive, number + 1, name)
        if image is not None and following is not None:
            size_hw_px = image_hw_px or image.size_hw_px
            yield _truth(image, following, files, ImageFit(image.size_hw_px, size_hw_px))


def scene_flow_accuracy(prediction: Prediction, truth: SceneFlowTruth) -> SceneFlowErrors:
    """Of one camera: where rays end and how that moves, and what it looks like (equation 9).

    What a ray ends at moves at constant velocity until the next image is taken, and appears there.

    Args:
        prediction: of the set.
        truth: pixels to compare.
    """
    rays = truth.rays(prediction.odom_T_base)
    assert rays.axis_cosine is not None
    seen = prediction.view(rays)
    range_m = seen.range_m
    points_m = rays.points_m(range_m.double().unsqueeze(1)).squeeze(1)  # (P, 3)
    points_m[:, :2] += seen.velocity_mps.double() * truth.elapsed_s
    return scene_flow_errors(
        PixelScenes(
            (rays.axis_cosine * range_m).numpy(),
            truth.optical_flow_px(points_m, prediction.odom_T_base),
        ),
        truth.scenes,
        fx_px=float(truth.K[0, 0]),
        flow_known=truth.flow_known,
        foreground=truth.movable,
        moving=truth.moving,
    )


def _truth(
    image: CameraImage, following: CameraImage, files: TruthFiles, fit: ImageFit
) -> SceneFlowTruth:
    depth_m, flow_px, visible, semantic = (
        _every_fourth(array)
        for array in files.read(image, "depth_m", "flow_forward_px", "visible_forward", "semantic")
    )
    camera = image.camera
    to_network = fit.intrinsics(np.eye(3))
    pixels = _every_fourth(_pixel_grid(image.size_hw_px)) @ to_network[:2, :2] + to_network[:2, 2]
    seen = ((pixels >= -0.5) & (pixels < np.flip(fit.target_hw_px) - 0.5)).all(axis=1)  # (P,)
    return SceneFlowTruth(
        pixels=torch.from_numpy(pixels[seen]),
        K=torch.from_numpy(fit.intrinsics(camera.K)),
        odom_T_camera=image.file.odom_T_base @ camera.base_T_camera,
        odom_T_next=following.file.odom_T_base @ camera.base_T_camera,
        elapsed_s=1e-9 * (following.file.stamp_ns - image.file.stamp_ns),
        scenes=PixelScenes(depth_m[seen], flow_px[seen] @ to_network[:2, :2]),
        flow_known=visible[seen],
        movable=np.isin(semantic[seen], MOVABLE),
    )


def _directions(pixels: Tensor, K: Tensor) -> Tensor:
    """(P, 3) in the optical frame with z = 1."""
    homogeneous = torch.cat((pixels, torch.ones_like(pixels[:, :1])), dim=1)  # (P, 3)
    return homogeneous @ torch.linalg.inv(K).T


def _pixel_grid(hw_px: tuple[int, int]) -> npt.NDArray[np.float64]:
    """(H, W, 2) (u, v)."""
    v, u = np.mgrid[: hw_px[0], : hw_px[1]].astype(np.float64)
    return np.stack((u, v), axis=-1)


def _every_fourth(image: npt.NDArray) -> npt.NDArray:
    """(H, W, ...) to (P, ...)."""
    first = PIXEL_STRIDE // 2
    coarse = image[first::PIXEL_STRIDE, first::PIXEL_STRIDE]  # (H / 4, W / 4, ...)
    return coarse.reshape(-1, *coarse.shape[2:])  # (P, ...)
