"""Conversion of images from one encoding to another."""

import cv2
import numpy as np

from cv_bridge.encodings import CvBridgeError, Encoding, parse

# OpenCV names a Bayer pattern by the second row's second and third pixel.
_CV_NAME = {
    "mono": "GRAY",
    "rgb": "RGB",
    "bgr": "BGR",
    "rgba": "RGBA",
    "bgra": "BGRA",
    "bayer_rggb": "BayerBG",
    "bayer_bggr": "BayerRG",
    "bayer_gbrg": "BayerGR",
    "bayer_grbg": "BayerGB",
}
_YUV_SUFFIX = {"yuv422": "UYVY", "yuv422_yuy2": "YUY2"}


def convert(image: np.ndarray, source_name: str, target_name: str) -> np.ndarray:
    """Convert an image; colours by OpenCV, 8 to 16 bit by the ratio of their full scales.

    Args:
        image: (H, W) or (H, W, C), of the source encoding's pixel type.

    Raises:
        CvBridgeError: there is no conversion between the two encodings.
    """
    if source_name == target_name:
        return image
    source, target = parse(source_name), parse(target_name)
    _check_convertible(source, target)
    if source.color and target.color and source.color != target.color:
        image = _convert_color(image, source.color, target.color)
    return _rescale(image, target.dtype)


def _check_convertible(source: Encoding, target: Encoding) -> None:
    """A plain matrix has no colours: it takes and gives only its own number of channels."""
    if source.color and target.color:
        return
    if target.color:
        raise CvBridgeError(
            f"[{source.name}] is not a color format, but [{target.name}] is. "
            "The conversion does not make sense"
        )
    if source.channels != target.channels:
        raise CvBridgeError(
            f"[{source.name}] and [{target.name}] do not have the same number of channels: "
            f"{source.channels} and {target.channels}"
        )


def _convert_color(image: np.ndarray, source: str, target: str) -> np.ndarray:
    target_cv = _CV_NAME.get(target)
    if source in _YUV_SUFFIX:
        code = f"COLOR_YUV2{target_cv}_{_YUV_SUFFIX[source]}"
    else:
        code = f"COLOR_{_CV_NAME[source]}2{target_cv}"
    if not hasattr(cv2, code):
        raise CvBridgeError(f"Unsupported conversion from [{source}] to [{target}]")
    try:
        return cv2.cvtColor(image, getattr(cv2, code))
    except cv2.error as error:
        raise CvBridgeError(f"[{source}] to [{target}]: {error}") from error


def _rescale(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Change the pixel type: 255 becomes 65535 and back, any other pair keeps its values."""
    bits = (image.dtype.itemsize * 8, dtype.itemsize * 8)
    if image.dtype == dtype:
        return image
    scale = {(8, 16): 257.0, (16, 8): 1.0 / 257.0}.get(bits, 1.0)
    values = image * np.float64(scale)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)
