"""The bridge between image messages and numpy arrays."""

import array
import sys

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from cv_bridge import encodings
from cv_bridge.color import convert
from cv_bridge.encodings import PASSTHROUGH, CvBridgeError


class CvBridge:
    """Converts `sensor_msgs` images to and from OpenCV's arrays.

    An image of one channel is (H, W), of C channels (H, W, C), in the order the encoding names.
    """

    def encoding_to_cvtype2(self, encoding: str) -> int:
        """OpenCV's number of an encoding's pixel type.

        Raises:
            CvBridgeError: the encoding is unknown.
        """
        parsed = encodings.parse(encoding)
        depth = getattr(cv2, f"CV_{encodings.DEPTH_OF_DTYPE[parsed.dtype.name]}")
        return cv2.CV_MAKETYPE(depth, parsed.channels)

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        """Name of the numpy type and number of channels of an encoding.

        Raises:
            CvBridgeError: the encoding is unknown.
        """
        parsed = encodings.parse(encoding)
        return parsed.dtype.name, parsed.channels

    def dtype_with_channels_to_cvtype2(self, dtype: np.dtype, n_channels: int) -> str:
        """Plain encoding of a numpy type, such as 8UC3."""
        return encodings.matrix_name(dtype, n_channels)

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = PASSTHROUGH) -> np.ndarray:
        """Read an image message, converted to an encoding unless that is "passthrough".

        Where nothing is to be converted the array shares the message's memory.

        Raises:
            CvBridgeError: an encoding is unknown, there is no conversion between the two, or
                the data are smaller than the size says.
        """
        image = _image_of(img_msg)
        if desired_encoding == PASSTHROUGH:
            return image
        return convert(image, img_msg.encoding, desired_encoding)

    def cv2_to_imgmsg(
        self, cvim: np.ndarray, encoding: str = PASSTHROUGH, header: Header | None = None
    ) -> Image:
        """Write an image message; "passthrough" names the pixel type, such as 8UC3.

        Raises:
            TypeError: cvim is not an array.
            CvBridgeError: the array's pixel type is not the encoding's.
        """
        _check_array(cvim)
        channels = 1 if cvim.ndim < 3 else cvim.shape[2]
        pixel_type = encodings.matrix_name(cvim.dtype, channels)
        if encoding != PASSTHROUGH:
            _check_pixel_type(encoding, pixel_type)
        msg = Image(
            height=cvim.shape[0],
            width=cvim.shape[1],
            encoding=pixel_type if encoding == PASSTHROUGH else encoding,
            is_bigendian=int(_is_bigendian(cvim.dtype)),
            step=cvim.shape[1] * channels * cvim.dtype.itemsize,
        )
        if header is not None:
            msg.header = header
        msg.data = _bytes_of(cvim)
        return msg

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = PASSTHROUGH
    ) -> np.ndarray:
        """Decode a compressed image, converted to an encoding unless that is "passthrough".

        Colour images decode as BGR or BGRA, whatever the file format.

        Raises:
            CvBridgeError: the data are not an image, or there is no conversion.
        """
        data = np.frombuffer(cmprs_img_msg.data, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
        if image is None:
            raise CvBridgeError(
                f"expected a compressed image, got {data.size} bytes that do not decode "
                f'(format "{cmprs_img_msg.format}")'
            )
        if desired_encoding == PASSTHROUGH:
            return image
        return convert(image, _decoded_encoding(image), desired_encoding)

    def cv2_to_compressed_imgmsg(
        self, cvim: np.ndarray, dst_format: str = "jpg"
    ) -> CompressedImage:
        """Encode an image (BGR order) in a file format that OpenCV writes: jpg, png, ...

        Raises:
            TypeError: cvim is not an array.
            CvBridgeError: OpenCV cannot write this image in this format.
        """
        _check_array(cvim)
        try:
            _, encoded = cv2.imencode(f".{dst_format}", cvim)
        except cv2.error as error:
            raise CvBridgeError(f"{cvim.dtype} {cvim.shape} as {dst_format}: {error}") from error
        msg = CompressedImage(format=dst_format)
        msg.data = _bytes_of(encoded)
        return msg


def _image_of(msg: Image) -> np.ndarray:
    """The pixels of a message in native byte order, without the padding of its rows."""
    encoding = encodings.parse(msg.encoding)
    row_bytes = msg.width * encoding.pixel_bytes
    if msg.step < row_bytes or len(msg.data) < msg.height * msg.step:
        raise CvBridgeError(
            f"expected rows of at least {row_bytes} bytes ({msg.width} px, {msg.encoding}), "
            f"{msg.height} of them; got step {msg.step} and {len(msg.data)} bytes"
        )
    rows = np.frombuffer(msg.data, np.uint8, msg.height * msg.step)
    rows = rows.reshape(msg.height, msg.step)[:, :row_bytes]  # (H, W * C * itemsize)
    stored = encoding.dtype.newbyteorder(">" if msg.is_bigendian else "<")
    image = np.ascontiguousarray(rows).view(stored).astype(encoding.dtype, copy=False)
    if encoding.channels == 1:
        return image  # (H, W)
    return image.reshape(msg.height, msg.width, encoding.channels)  # (H, W, C)


def _check_array(cvim: object) -> None:
    if not isinstance(cvim, (np.ndarray, np.generic)):
        raise TypeError(f"expected a numpy array, got {type(cvim).__name__}")


def _check_pixel_type(encoding: str, pixel_type: str) -> None:
    parsed = encodings.parse(encoding)
    if encodings.matrix_name(parsed.dtype, parsed.channels) != pixel_type:
        raise CvBridgeError(
            f"encoding specified as {encoding}, but image has incompatible type {pixel_type}"
        )


def _is_bigendian(dtype: np.dtype) -> bool:
    return dtype.byteorder == ">" or (dtype.byteorder == "=" and sys.byteorder == "big")


def _bytes_of(pixels: np.ndarray) -> array.array:
    """An `array.array`, which message fields take over as it is; any other type is slow."""
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8))
    return data


def _decoded_encoding(image: np.ndarray) -> str:
    """What OpenCV decodes: grey, BGR or BGRA, of 8 or 16 bit."""
    channels = 1 if image.ndim == 2 else image.shape[2]
    bits = image.dtype.itemsize * 8
    return {1: "mono", 3: "bgr", 4: "bgra"}[channels] + str(bits)
