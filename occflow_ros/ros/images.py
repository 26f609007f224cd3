"""Camera messages to RGB images and calibration."""

from __future__ import annotations

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as ImageMessage

from occflow_ros.data.drive import Camera
from occflow_ros.data.sensors import decode_image, decode_mosaic
from occflow_ros.errors import DataError
from occflow_ros.geometry.camera import Image
from occflow_ros.geometry.se3 import Array
from occflow_ros.messages import camera_info
from occflow_ros.ros.rejection import Reason, RejectedSetError

_UYVY, _YUYV = cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUYV

_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "8UC3": (3, cv2.COLOR_BGR2RGB),  # OpenCV's order, as RViz shows it
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "8UC4": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "uyvy": (2, _UYVY),
    "yuv422": (2, _UYVY),
    "yuyv": (2, _YUYV),
    "yuv422_yuy2": (2, _YUYV),
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2RGB),
}
"""Bytes of a pixel and OpenCV's conversion to RGB, by encoding."""


def rgb_image(message: ImageMessage | CompressedImage, topic: str) -> Image:
    """The pixels (H, W, 3) uint8 RGB of a raw or compressed image.

    Those of a raw rgb8 image share the message's memory. A compressed image is a JPEG or PNG; one
    that image_transport made of a Bayer mosaic holds the mosaic and says so in its format.

    Raises:
        RejectedSetError: names the topic where the encoding has no 8-bit colours, the data are
            shorter than the size says, or are not a whole JPEG or PNG.
    """
    try:
        if isinstance(message, CompressedImage):
            return _decoded(message, topic)
        return _converted(message, topic)
    except (DataError, cv2.error, MemoryError) as error:
        raise RejectedSetError(Reason.BAD_IMAGE, str(error)) from None


def camera_of(name: str, info: CameraInfo, base_T_camera: Array, topic: str) -> Camera:
    """The calibrated camera that a CameraInfo describes.

    Raises:
        RejectedSetError: names the topic where the camera is not calibrated (K[0] is 0), its
            distortion model is unknown, or binning or a region of interest is set.
    """
    try:
        return camera_info.camera_of(name, info, base_T_camera)
    except ValueError as error:
        raise _bad_info(topic, str(error)) from None


def _bad_info(topic: str, detail: str) -> RejectedSetError:
    return RejectedSetError(Reason.BAD_CAMERA_INFO, f"{topic}: {detail}")


def _decoded(message: CompressedImage, topic: str) -> Image:
    data = bytes(message.data)
    pixel_bytes, to_rgb = _ENCODINGS.get(message.format.partition(";")[0].strip(), (0, None))
    if pixel_bytes != 1 or to_rgb == cv2.COLOR_GRAY2RGB:
        return decode_image(data, topic)
    return decode_mosaic(data, to_rgb, topic)


def _converted(message: ImageMessage, topic: str) -> Image:
    if message.encoding not in _ENCODINGS:
        raise DataError(
            f"{topic}: expected an encoding of {', '.join(_ENCODINGS)}, got {message.encoding!r}"
        )
    pixel_bytes, to_rgb = _ENCODINGS[message.encoding]
    pixels = _pixels(message, pixel_bytes, topic)
    try:
        return pixels if to_rgb is None else cv2.cvtColor(pixels, to_rgb)  # type: ignore[return-value]
    except cv2.error:
        raise DataError(
            f"{topic}: expected a size that {message.encoding} can have,"
            f" got {message.width}x{message.height} px"
        ) from None


def _pixels(message: ImageMessage, pixel_bytes: int, topic: str) -> Image:
    """A view of the message's bytes, (H, W, C) or (H, W), without the padding of its rows."""
    height, width, step = message.height, message.width, message.step
    row_bytes, num_bytes = width * pixel_bytes, len(message.data)
    if min(height, width) < 1 or step < row_bytes or num_bytes < height * step:
        raise DataError(
            f"{topic}: expected {height} rows of at least {row_bytes} bytes for {width}x{height} px"
            f" of {message.encoding}, got step {step} and {num_bytes} bytes"
        )
    if pixel_bytes == 1:
        return np.ndarray((height, width), np.uint8, message.data, strides=(step, 1))
    strides = (step, pixel_bytes, 1)
    return np.ndarray((height, width, pixel_bytes), np.uint8, message.data, strides=strides)
