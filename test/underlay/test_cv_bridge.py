"""Images to messages and back, with colours and bytes worked out by hand."""

import array

import numpy as np
import pytest

pytest.importorskip("cv_bridge", reason="needs the underlay or upstream ROS 2")

from cv_bridge import CvBridge, CvBridgeError
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

BRIDGE = CvBridge()

PIXEL_TYPES = {
    "mono8": ("uint8", 1),
    "mono16": ("uint16", 1),
    "rgb8": ("uint8", 3),
    "bgr8": ("uint8", 3),
    "rgba8": ("uint8", 4),
    "bgra8": ("uint8", 4),
    "rgb16": ("uint16", 3),
    "bgr16": ("uint16", 3),
    "rgba16": ("uint16", 4),
    "bgra16": ("uint16", 4),
    "bayer_rggb8": ("uint8", 1),
    "bayer_bggr8": ("uint8", 1),
    "bayer_gbrg8": ("uint8", 1),
    "bayer_grbg8": ("uint8", 1),
    "bayer_rggb16": ("uint16", 1),
    "yuv422": ("uint8", 2),
    "yuv422_yuy2": ("uint8", 2),
    "8UC1": ("uint8", 1),
    "8UC3": ("uint8", 3),
    "8SC2": ("int8", 2),
    "16UC1": ("uint16", 1),
    "16SC4": ("int16", 4),
    "32SC1": ("int32", 1),
    "32FC1": ("float32", 1),
    "32FC2": ("float32", 2),
    "64FC3": ("float64", 3),
}


def noise(dtype: str, channels: int, height: int = 4, width: int = 6) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    values = np.random.default_rng(0).integers(-100, 100, shape)
    return values.astype(dtype)


def image_msg(
    encoding: str, height: int, width: int, step: int, data: bytes, bigendian: bool = False
) -> Image:
    msg = Image(encoding=encoding, height=height, width=width, step=step, is_bigendian=bigendian)
    msg.data = array.array("B", data)
    return msg


def pixel(bridge_result: np.ndarray) -> list[int]:
    return np.atleast_1d(bridge_result[0, 0]).tolist()


@pytest.mark.parametrize("encoding", PIXEL_TYPES)
def test_every_encoding_round_trips(encoding) -> None:
    dtype, channels = PIXEL_TYPES[encoding]
    image = noise(dtype, channels)
    msg = BRIDGE.cv2_to_imgmsg(image, encoding, header=Header(frame_id="camera"))
    assert (msg.height, msg.width, msg.encoding) == (4, 6, encoding)
    assert msg.step == 6 * channels * np.dtype(dtype).itemsize
    assert msg.header.frame_id == "camera"
    assert bytes(msg.data) == image.tobytes()
    read = BRIDGE.imgmsg_to_cv2(msg)
    assert read.dtype == image.dtype
    np.testing.assert_array_equal(read, image)
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(msg, encoding), image)


@pytest.mark.parametrize(
    ("dtype", "channels", "name"),
    [
        ("uint8", 1, "8UC1"),
        ("uint8", 3, "8UC3"),
        ("uint16", 1, "16UC1"),
        ("float32", 2, "32FC2"),
    ],
)
def test_passthrough_names_the_pixel_type(dtype, channels, name) -> None:
    assert BRIDGE.cv2_to_imgmsg(noise(dtype, channels)).encoding == name


def test_a_crop_is_written_without_its_surroundings() -> None:
    image = noise("uint8", 3, 8, 8)
    msg = BRIDGE.cv2_to_imgmsg(image[2:5, 1:4], "bgr8")
    assert msg.step == 9
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(msg), image[2:5, 1:4])


def test_padding_at_the_end_of_rows_is_skipped() -> None:
    grey = image_msg("mono8", 2, 3, 5, bytes([1, 2, 3, 0, 0, 4, 5, 6, 0, 0]))
    assert BRIDGE.imgmsg_to_cv2(grey).tolist() == [[1, 2, 3], [4, 5, 6]]
    color = image_msg("rgb8", 2, 1, 6, bytes([1, 2, 3, 0, 0, 0, 4, 5, 6, 0, 0, 0]))
    assert BRIDGE.imgmsg_to_cv2(color).tolist() == [[[1, 2, 3]], [[4, 5, 6]]]
    wide = image_msg("16UC1", 2, 1, 4, bytes([1, 0, 9, 9, 0, 1, 9, 9]))
    assert BRIDGE.imgmsg_to_cv2(wide).tolist() == [[1], [256]]


def test_big_endian_messages_read_as_numbers() -> None:
    msg = image_msg("mono16", 1, 2, 4, bytes([1, 2, 0, 255]), bigendian=True)
    assert BRIDGE.imgmsg_to_cv2(msg).tolist() == [[258, 255]]
    msg.is_bigendian = False
    assert BRIDGE.imgmsg_to_cv2(msg).tolist() == [[513, 65280]]


def test_big_endian_arrays_say_so() -> None:
    image = np.array([[1, -2], [300000, 4]], ">i4")
    msg = BRIDGE.cv2_to_imgmsg(image)
    assert msg.is_bigendian
    assert bytes(msg.data[:4]) == bytes([0, 0, 0, 1])
    assert BRIDGE.imgmsg_to_cv2(msg).tolist() == image.tolist()


@pytest.mark.parametrize(
    ("source", "target", "before", "after"),
    [
        ("rgb8", "bgr8", [10, 20, 30], [30, 20, 10]),
        ("bgr8", "rgb8", [10, 20, 30], [30, 20, 10]),
        ("bgr8", "rgba8", [10, 20, 30], [30, 20, 10, 255]),
        ("bgra8", "rgb8", [10, 20, 30, 40], [30, 20, 10]),
        ("rgba8", "bgra8", [10, 20, 30, 40], [30, 20, 10, 40]),
        ("rgb16", "bgr16", [1000, 2000, 3000], [3000, 2000, 1000]),
        ("mono8", "bgr8", [77], [77, 77, 77]),
        # Y = 0.299 R + 0.587 G + 0.114 B
        ("bgr8", "mono8", [255, 0, 0], [29]),
        ("bgr8", "mono8", [0, 255, 0], [150]),
        ("rgb8", "mono8", [255, 0, 0], [76]),
        # full scale to full scale: 65535 / 255 = 257
        ("mono8", "mono16", [2], [514]),
        ("mono16", "mono8", [514], [2]),
        ("mono16", "mono8", [65535], [255]),
        ("rgb8", "bgr16", [1, 2, 255], [65535, 514, 257]),
        ("mono16", "bgr8", [514], [2, 2, 2]),
        # plain matrices keep their values
        ("bgr8", "32FC3", [10, 20, 30], [10.0, 20.0, 30.0]),
        ("mono8", "8UC1", [9], [9]),
        ("32FC1", "16UC1", [2.6], [3]),
        ("32FC1", "8UC1", [300.0], [255]),
        ("16SC1", "8UC1", [-5], [0]),
    ],
)
def test_conversion_by_hand(source, target, before, after) -> None:
    dtype, _ = BRIDGE.encoding_to_dtype_with_channels(source)
    image = np.broadcast_to(np.array(before, dtype), (2, 4, len(before)))
    msg = BRIDGE.cv2_to_imgmsg(image if len(before) > 1 else image[..., 0], source)
    converted = BRIDGE.imgmsg_to_cv2(msg, target)
    assert converted.shape == ((2, 4) if len(after) == 1 else (2, 4, len(after)))
    assert converted.dtype == BRIDGE.encoding_to_dtype_with_channels(target)[0]
    assert pixel(converted) == after


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_mosaic_of_one_colour(pattern, bits) -> None:
    level = {"r": 200, "g": 100, "b": 50}
    tile = np.array([level[c] for c in pattern], f"uint{bits}").reshape(2, 2)
    msg = BRIDGE.cv2_to_imgmsg(np.tile(tile, (4, 4)), f"bayer_{pattern}{bits}")
    inner = (slice(2, -2), slice(2, -2))
    assert np.unique(
        BRIDGE.imgmsg_to_cv2(msg, f"rgb{bits}")[inner].reshape(-1, 3), axis=0
    ).tolist() == [[200, 100, 50]]
    assert np.unique(
        BRIDGE.imgmsg_to_cv2(msg, f"bgr{bits}")[inner].reshape(-1, 3), axis=0
    ).tolist() == [[50, 100, 200]]


@pytest.mark.parametrize(
    ("encoding", "u_y_v_y"),
    [
        ("yuv422", (0, 1, 2, 3)),
        ("yuv422_yuy2", (1, 0, 3, 2)),
    ],
)
def test_yuv_pairs_black_and_white(encoding, u_y_v_y) -> None:
    """In ITU-R BT.601 Y = 16 is black and Y = 235 white, where U = V = 128."""
    uyvy = np.array([128, 16, 128, 235], np.uint8)[list(u_y_v_y)]
    msg = image_msg(encoding, 2, 2, 4, uyvy.tobytes() * 2)
    assert BRIDGE.imgmsg_to_cv2(msg, "bgr8").tolist() == [[[0, 0, 0], [255, 255, 255]]] * 2
    assert BRIDGE.imgmsg_to_cv2(msg, "mono8").tolist() == [[16, 235]] * 2


@pytest.mark.parametrize(
    ("encoding", "image"),
    [
        ("rgba8", noise("uint8", 3)),
        ("bgr8", noise("uint8", 1)),
        ("mono16", noise("uint8", 1)),
        ("32FC1", noise("float64", 1)),
        ("nonsense", noise("uint8", 3)),
    ],
)
def test_an_image_of_another_type_than_its_encoding_is_refused(encoding, image) -> None:
    with pytest.raises(CvBridgeError):
        BRIDGE.cv2_to_imgmsg(image, encoding)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("8UC3", "bgr8"),
        ("32FC1", "mono8"),
        ("bgr8", "8UC1"),
        ("8UC3", "8UC1"),
        ("bgr8", "bayer_rggb8"),
        ("rgb8", "yuv422"),
        ("bgr8", "nonsense"),
    ],
)
def test_conversions_without_a_meaning_are_refused(source, target) -> None:
    dtype, channels = PIXEL_TYPES[source]
    msg = BRIDGE.cv2_to_imgmsg(noise(dtype, channels), source)
    with pytest.raises(CvBridgeError):
        BRIDGE.imgmsg_to_cv2(msg, target)


def test_broken_messages_are_refused() -> None:
    with pytest.raises(CvBridgeError):
        BRIDGE.imgmsg_to_cv2(image_msg("nonsense", 1, 1, 1, b"x"))
    with pytest.raises(TypeError):  # of which CvBridgeError is one
        BRIDGE.imgmsg_to_cv2(image_msg("rgb8", 4, 4, 12, bytes(47)))
    with pytest.raises(TypeError):
        BRIDGE.cv2_to_imgmsg([[1, 2], [3, 4]])
    assert issubclass(CvBridgeError, TypeError)


@pytest.mark.parametrize(
    ("dtype", "channels"),
    [
        ("uint8", 1),
        ("uint8", 3),
        ("uint8", 4),
        ("uint16", 1),
        ("uint16", 3),
    ],
)
def test_png_is_lossless(dtype, channels) -> None:
    image = noise(dtype, channels)
    msg = BRIDGE.cv2_to_compressed_imgmsg(image, "png")
    assert msg.format == "png"
    assert bytes(msg.data[:8]) == b"\x89PNG\r\n\x1a\n"
    read = BRIDGE.compressed_imgmsg_to_cv2(msg)
    assert read.dtype == image.dtype
    np.testing.assert_array_equal(read, image)


def test_jpeg_is_the_default_and_close() -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    image = np.stack(
        [np.tile(ramp, (48, 1)), np.full((48, 64), 90, np.uint8), np.tile(ramp[::-1], (48, 1))],
        axis=-1,
    )  # (H, W, bgr)
    msg = BRIDGE.cv2_to_compressed_imgmsg(image)
    assert msg.format == "jpg"
    assert bytes(msg.data[:2]) == b"\xff\xd8"
    read = BRIDGE.compressed_imgmsg_to_cv2(msg)
    assert np.abs(read.astype(int) - image).max() <= 6


def test_compressed_images_decode_as_bgr() -> None:
    image = np.full((4, 4, 3), (10, 20, 30), np.uint8)
    msg = BRIDGE.cv2_to_compressed_imgmsg(image, "png")
    assert pixel(BRIDGE.compressed_imgmsg_to_cv2(msg, "bgr8")) == [10, 20, 30]
    assert pixel(BRIDGE.compressed_imgmsg_to_cv2(msg, "rgb8")) == [30, 20, 10]
    assert BRIDGE.compressed_imgmsg_to_cv2(msg, "mono8").shape == (4, 4)


def test_what_is_no_compressed_image_is_refused() -> None:
    msg = CompressedImage(format="jpeg")
    msg.data = array.array("B", b"no picture")
    with pytest.raises(CvBridgeError):
        BRIDGE.compressed_imgmsg_to_cv2(msg, "rgb8")
    with pytest.raises(TypeError):
        BRIDGE.cv2_to_compressed_imgmsg([[1, 2]])


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels"),
    [
        ("bgr8", "uint8", 3),
        ("mono16", "uint16", 1),
        ("yuv422", "uint8", 2),
        ("32FC1", "float32", 1),
        ("64FC4", "float64", 4),
        ("16S", "int16", 1),
    ],
)
def test_pixel_type_of_an_encoding(encoding, dtype, channels) -> None:
    assert tuple(BRIDGE.encoding_to_dtype_with_channels(encoding)) == (dtype, channels)
    assert BRIDGE.dtype_with_channels_to_cvtype2(np.dtype(dtype), channels)[:-1].endswith("C")
