"""What an image encoding's name says: pixel type, colour family."""

import re
from typing import NamedTuple

import numpy as np

PASSTHROUGH = "passthrough"

DTYPE_OF_DEPTH: dict[str, np.dtype] = {
    "8U": np.dtype(np.uint8),
    "8S": np.dtype(np.int8),
    "16U": np.dtype(np.uint16),
    "16S": np.dtype(np.int16),
    "32S": np.dtype(np.int32),
    "32F": np.dtype(np.float32),
    "64F": np.dtype(np.float64),
}
DEPTH_OF_DTYPE = {dtype.name: depth for depth, dtype in DTYPE_OF_DEPTH.items()}

CHANNELS_OF_COLOR = {
    "mono": 1,
    "rgb": 3,
    "bgr": 3,
    "rgba": 4,
    "bgra": 4,
    "bayer_rggb": 1,
    "bayer_bggr": 1,
    "bayer_gbrg": 1,
    "bayer_grbg": 1,
}
YUV_ENCODINGS = ("yuv422", "yuv422_yuy2")
COLOR_NAME = re.compile(rf"({'|'.join(CHANNELS_OF_COLOR)})(8|16)")
MATRIX_NAME = re.compile(rf"({'|'.join(DTYPE_OF_DEPTH)})(?:C([0-9]+))?")


class CvBridgeError(TypeError):
    """An image or a message cannot be converted."""


class Encoding(NamedTuple):
    """Pixel layout of an encoding; `color` is None for plain matrices such as 32FC1."""

    name: str
    dtype: np.dtype
    channels: int
    color: str | None

    @property
    def pixel_bytes(self) -> int:
        return self.dtype.itemsize * self.channels


def parse(name: str) -> Encoding:
    """Read an encoding's name.

    Raises:
        CvBridgeError: the name is not one of sensor_msgs/image_encodings that OpenCV can hold.
    """
    if name in YUV_ENCODINGS:
        return Encoding(name, np.dtype(np.uint8), 2, name)
    if match := COLOR_NAME.fullmatch(name):
        color, bits = match.groups()
        return Encoding(name, np.dtype(f"uint{bits}"), CHANNELS_OF_COLOR[color], color)
    if match := MATRIX_NAME.fullmatch(name):
        depth, channels = match.groups()
        return Encoding(name, DTYPE_OF_DEPTH[depth], int(channels or 1), None)
    raise CvBridgeError(f"Unrecognized image encoding [{name}]")


def matrix_name(dtype: np.dtype, channels: int) -> str:
    """The plain name of a pixel type, such as 8UC3.

    Raises:
        CvBridgeError: OpenCV has no such pixel type.
    """
    if dtype.name not in DEPTH_OF_DTYPE:
        raise CvBridgeError(f"expected one of {', '.join(DEPTH_OF_DTYPE)}, got {dtype.name}")
    return f"{DEPTH_OF_DTYPE[dtype.name]}C{channels}"
