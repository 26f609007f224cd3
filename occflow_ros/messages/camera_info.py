"""Cameras from `sensor_msgs/CameraInfo`, of whatever library the message is."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np

from occflow_ros.data.drive import Camera
from occflow_ros.geometry.rectification import DistortionModel
from occflow_ros.geometry.se3 import Array


def camera_of(name: str, info: Any, base_T_camera: Array) -> Camera:
    """The calibrated camera that a CameraInfo describes.

    Raises:
        ValueError: where the camera is not calibrated (K[0] is 0), its distortion model is unknown,
            or binning or a region of interest is set.
    """
    if info.k[0] == 0.0:
        raise ValueError("expected a calibrated camera, got K[0] = 0")
    if info.distortion_model not in ("", *get_args(DistortionModel)):
        expected = ", ".join(get_args(DistortionModel))
        raise ValueError(
            f"expected a distortion_model of {expected}, got {info.distortion_model!r}"
        )
    if max(info.binning_x, info.binning_y) > 1 or info.roi.width not in (0, info.width):
        raise ValueError("expected full images, got binning or a region of interest")
    return Camera(
        name=name,
        width_px=int(info.width),
        height_px=int(info.height),
        K=np.reshape(info.k, (3, 3)).astype(np.float64),
        base_T_camera=base_T_camera,
        distortion=tuple(float(value) for value in info.d),
        distortion_model=info.distortion_model or "plumb_bob",
    )
