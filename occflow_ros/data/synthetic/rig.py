"""Rigs with the layout of nuScenes, six cameras and a 32-beam LiDAR, and of KITTI, two and 64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from occflow_ros.data.drive import Camera
from occflow_ros.geometry.se3 import Array, from_rotation_translation

CHANNELS = (
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_RIGHT",
    "CAM_BACK",
    "CAM_BACK_LEFT",
    "CAM_FRONT_LEFT",
)

_YAW_DEG = (0.0, -55.0, -110.0, 180.0, 110.0, 55.0)
_POSITION_M = (
    (1.70, 0.00, 1.51),
    (1.55, -0.49, 1.50),
    (1.02, -0.48, 1.56),
    (0.03, 0.00, 1.58),
    (1.04, 0.48, 1.59),
    (1.52, 0.49, 1.51),
)
_FOCAL_PX = (1266.0, 1266.0, 1266.0, 809.0, 1266.0, 1266.0)
_REFERENCE_WIDTH_PX = 1600
_TURN_S = 0.1
_KITTI_FOCAL_PX = 718.856
_KITTI_REFERENCE_WIDTH_PX = 1241
_KITTI_POSITIONS_M = {"cam2": (1.03, 0.06, 1.65), "cam3": (1.03, -0.47, 1.65)}
_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True, slots=True)
class Rig:
    """Cameras and LiDAR on the ego.

    Args:
        cameras: in the order of the network's camera axis; named as in recordings (`cam_front`).
        offsets_s: when each camera fires, relative to the reference time of the set.
        base_T_lidar: (4, 4).
        elevations_rad: (B,) of the LiDAR's beams, from low to high.
        firings: of all beams in one turn.
    """

    cameras: tuple[Camera, ...]
    offsets_s: tuple[float, ...]
    base_T_lidar: Array
    elevations_rad: Array
    firings: int

    def __post_init__(self) -> None:
        if len(self.cameras) != len(self.offsets_s):
            raise ValueError(f"offsets_s: expected {len(self.cameras)}, got {len(self.offsets_s)}")


def camera_name(channel: str) -> str:
    """Name in a recording of a nuScenes channel: CAM_FRONT is cam_front."""
    return channel.lower()


def nuscenes_rig(height_px: int, width_px: int) -> Rig:
    """Six cameras with nuScenes-like positions, headings and fields of view.

    The cameras fire one after the other as a line that turns clockwise at 10 Hz sweeps over them,
    the front camera at the reference time itself, the back camera 50 ms later. The focal length
    follows the image's width.
    """
    cameras = tuple(
        Camera(
            name=camera_name(channel),
            width_px=width_px,
            height_px=height_px,
            K=_intrinsics(focal, _REFERENCE_WIDTH_PX, height_px, width_px),
            base_T_camera=from_rotation_translation(_yaw(yaw) @ _OPTICAL, position),
        )
        for channel, yaw, position, focal in zip(CHANNELS, _YAW_DEG, _POSITION_M, _FOCAL_PX)
    )
    return Rig(
        cameras=cameras,
        offsets_s=tuple(-(-180.0 if yaw == 180.0 else yaw) / 360.0 * _TURN_S for yaw in _YAW_DEG),
        base_T_lidar=from_rotation_translation(_yaw(-90.0), (0.94, 0.0, 1.84)),
        elevations_rad=np.radians(np.linspace(-30.67, 10.67, 32)),
        firings=1084,
    )


def kitti_rig(height_px: int, width_px: int) -> Rig:
    """The colour cameras of KITTI, level and 0.53 m apart, and its LiDAR 1.73 m above the road.

    Everything fires at the reference time. The focal length follows the image's width.
    """
    K = _intrinsics(_KITTI_FOCAL_PX, _KITTI_REFERENCE_WIDTH_PX, height_px, width_px)
    cameras = tuple(
        Camera(name, width_px, height_px, K, from_rotation_translation(_OPTICAL, position_m))
        for name, position_m in _KITTI_POSITIONS_M.items()
    )
    return Rig(
        cameras=cameras,
        offsets_s=(0.0,) * len(cameras),
        base_T_lidar=from_rotation_translation(np.eye(3), (0.76, 0.0, 1.73)),
        elevations_rad=np.radians(np.linspace(-24.8, 2.0, 64)),
        firings=1800,
    )


def _intrinsics(focal_px: float, reference_width_px: int, height_px: int, width_px: int) -> Array:
    focal = focal_px * width_px / reference_width_px
    return np.array(
        [[focal, 0.0, 0.5 * (width_px - 1)], [0.0, focal, 0.5 * (height_px - 1)], [0.0, 0.0, 1.0]]
    )


def _yaw(degrees: float) -> Array:
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
