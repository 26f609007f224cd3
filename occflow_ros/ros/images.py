"""Camera messages to RGB images and calibration."""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as ImageMessage

from occflow_ros.data.drive import Camera
from occflow_ros.data.sensors import decode_image
from occflow_ros.errors import DataError
from occflow_ros.geometry.camera import Image
from occflow_ros.geometry.rectification import DistortionModel
from occflow_ros.geometry.se3 import Array
from occflow_ros.ros.rejection import Reason, RejectedSetError

_BRIDGE = CvBridge()


def rgb_image(message: ImageMessage | CompressedImage, topic: str) -> Image:
    """The pixels (H, W, 3) uint8 RGB of a raw or compressed image.

    Raises:
        RejectedSetError: names the topic where the encoding has no colour conversion, the data are
            shorter than the size says, or are not a whole JPEG or PNG.
    """
    try:
        if isinstance(message, CompressedImage):
            return decode_image(message.data.tobytes(), topic)
        return _BRIDGE.imgmsg_to_cv2(message, "rgb8")
    except DataError as error:
        raise RejectedSetError(Reason.BAD_IMAGE, str(error)) from None
    except (CvBridgeError, cv2.error, TypeError, ValueError) as error:
        raise RejectedSetError(
            Reason.BAD_IMAGE,
            f"{topic}: expected an image that converts to rgb8, got {message.width}x"
            f"{message.height} px of encoding {message.encoding!r}: {error}",
        ) from None


def camera_of(name: str, info: CameraInfo, base_T_camera: Array, topic: str) -> Camera:
    """The calibrated camera that a CameraInfo describes.

    Raises:
        RejectedSetError: names the topic where the camera is not calibrated (K[0] is 0), its
            distortion model is unknown, or binning or a region of interest is set.
    """
    if info.k[0] == 0.0:
        raise _bad_info(topic, "expected a calibrated camera, got K[0] = 0")
    if info.distortion_model not in ("", *get_args(DistortionModel)):
        expected = ", ".join(get_args(DistortionModel))
        raise _bad_info(
            topic, f"expected a distortion_model of {expected}, got {info.distortion_model!r}"
        )
    if max(info.binning_x, info.binning_y) > 1 or info.roi.width not in (0, info.width):
        raise _bad_info(topic, "expected full images, got binning or a region of interest")
    try:
        return Camera(
            name=name,
            width_px=info.width,
            height_px=info.height,
            K=np.reshape(info.k, (3, 3)).astype(np.float64),
            base_T_camera=base_T_camera,
            distortion=tuple(info.d),
            distortion_model=info.distortion_model or "plumb_bob",
        )
    except ValueError as error:
        raise _bad_info(topic, str(error)) from None


def _bad_info(topic: str, detail: str) -> RejectedSetError:
    return RejectedSetError(Reason.BAD_CAMERA_INFO, f"{topic}: {detail}")
