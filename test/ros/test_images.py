"""Camera messages to RGB: each encoding by hand, padded rows, and an error for each bad message."""

import array

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import CompressedImage, Image

from occflow_ros.ros.images import rgb_image
from occflow_ros.ros.rejection import Reason, RejectedSetError

RED, BLUE = [200, 100, 50], [10, 20, 240]
GREY = [77, 77, 77]
BLACK, WHITE = [0, 0, 0], [255, 255, 255]


def image(encoding, rows, pad=0):
    """A message with these rows of bytes, each followed by `pad` bytes that are no pixels."""
    pixel_bytes = {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "8UC3": 3, "8UC4": 4}
    of_pixel = pixel_bytes.get(encoding.removesuffix("8") if "UC" not in encoding else encoding, 1)
    of_pixel = 2 if encoding.startswith(("uy", "yu")) else of_pixel
    data = b"".join(bytes(row) + b"\xee" * pad for row in rows)
    return Image(
        encoding=encoding,
        height=len(rows),
        width=len(rows[0]) // of_pixel,
        step=len(rows[0]) + pad,
        data=array.array("B", data),
    )


def compressed(suffix, pixels, format_):
    data = cv2.imencode(suffix, pixels)[1].tobytes()
    return CompressedImage(format=format_, data=array.array("B", data))


def mosaic(pattern):
    """A mosaic (8, 8) of a wall in the colour RED."""
    level = dict(zip("rgb", RED))
    tile = np.array([level[color] for color in pattern], np.uint8).reshape(2, 2)
    return np.tile(tile, (4, 4))


def assert_rejected(message, *mentions):
    with pytest.raises(RejectedSetError) as error:
        rgb_image(message, "/left/image_raw")
    assert error.value.reason == Reason.BAD_IMAGE
    for mention in ("/left/image_raw: expected", *mentions):
        assert mention in str(error.value)


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "row", "expected"),
    [
        ("rgb8", [200, 100, 50, 10, 20, 240], [RED, BLUE]),
        ("bgr8", [50, 100, 200, 240, 20, 10], [RED, BLUE]),
        ("8UC3", [50, 100, 200, 240, 20, 10], [RED, BLUE]),
        ("rgba8", [200, 100, 50, 0, 10, 20, 240, 9], [RED, BLUE]),
        ("bgra8", [50, 100, 200, 0, 240, 20, 10, 9], [RED, BLUE]),
        ("8UC4", [50, 100, 200, 0, 240, 20, 10, 9], [RED, BLUE]),
        ("mono8", [77, 255], [GREY, WHITE]),
        ("8UC1", [77, 255], [GREY, WHITE]),
        # ITU-R BT.601: Y 16 is black and 235 white where U = V = 128
        ("yuv422", [128, 16, 128, 235], [BLACK, WHITE]),
        ("uyvy", [128, 16, 128, 235], [BLACK, WHITE]),
        ("yuv422_yuy2", [16, 128, 235, 128], [BLACK, WHITE]),
        ("yuyv", [16, 128, 235, 128], [BLACK, WHITE]),
        # pure red is Y 81, U 90, V 240: V comes last in UYVY as in YUYV
        ("uyvy", [90, 81, 240, 81], [[254, 0, 0]] * 2),
        ("yuyv", [81, 90, 81, 240], [[254, 0, 0]] * 2),
    ],
)
def test_each_encoding_by_hand(encoding, row, expected, pad):
    pixels = rgb_image(image(encoding, [row, row], pad), "/left/image_raw")
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == [expected] * 2


@pytest.mark.parametrize("pad", [0, 3])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_bayer_mosaic_of_one_colour(pattern, pad):
    pixels = rgb_image(image(f"bayer_{pattern}8", mosaic(pattern).tolist(), pad), "/left/image_raw")
    assert pixels.shape == (8, 8, 3)
    assert np.unique(pixels[2:-2, 2:-2].reshape(-1, 3), axis=0).tolist() == [RED]


def test_raw_rgb_is_not_copied():
    message = image("rgb8", [RED + BLUE], pad=2)
    pixels = rgb_image(message, "/left/image_raw")
    message.data[0] = 7
    assert pixels[0, 0, 0] == 7


@pytest.mark.parametrize(
    ("suffix", "format_"),
    [
        (".png", "png"),
        (".png", "rgb8; png compressed bgr8"),
        (".jpg", "jpeg"),
        (".jpg", "jpg"),
        (".jpg", "rgb8; jpeg compressed bgr8"),
        (".jpg", "bayer_rggb8; jpeg compressed bgr8"),
        (".jpg", ""),
    ],
)
def test_compressed_images_come_in_rgb(suffix, format_):
    message = compressed(suffix, np.full((16, 16, 3), RED[::-1], np.uint8), format_)
    pixels = rgb_image(message, "/left/image_raw")
    assert np.abs(pixels.astype(int) - RED).max() <= (0 if suffix == ".png" else 2)


def test_a_compressed_grey_image_is_grey():
    message = compressed(".jpg", np.full((16, 16), 77, np.uint8), "mono8; jpeg compressed ")
    assert np.unique(rgb_image(message, "/left/image_raw")).tolist() == [77]


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_compressed_mosaic_is_named_by_its_format(pattern):
    message = compressed(".png", mosaic(pattern), f"bayer_{pattern}8; png compressed ")
    pixels = rgb_image(message, "/left/image_raw")
    assert np.unique(pixels[2:-2, 2:-2].reshape(-1, 3), axis=0).tolist() == [RED]


@pytest.mark.parametrize("encoding", ["hologram8", "", "32FC1", "mono16", "rgb16", "bayer_rggb16"])
def test_an_encoding_without_8_bit_colours_is_named(encoding):
    message = image("rgb8", [RED + BLUE])
    message.encoding = encoding
    assert_rejected(message, "encoding of rgb8, bgr8", f"got {encoding!r}")


@pytest.mark.parametrize(
    ("changes", "got"),
    [
        ({"height": 3}, "got step 6 and 12 bytes"),
        ({"height": 0}, "got step 6 and 12 bytes"),
        ({"width": 3}, "got step 6 and 12 bytes"),
        ({"step": 5}, "got step 5 and 12 bytes"),
        ({"step": 7}, "got step 7 and 12 bytes"),
        ({"step": 0}, "got step 0 and 12 bytes"),
        ({"data": array.array("B", bytes(11))}, "got step 6 and 11 bytes"),
    ],
)
def test_bytes_that_do_not_fit_the_size_are_named(changes, got):
    message = image("rgb8", [RED + BLUE] * 2)
    for field, value in changes.items():
        setattr(message, field, value)
    assert_rejected(message, "rows of at least", "of rgb8", got)


def test_a_width_that_the_encoding_cannot_have_is_named():
    assert_rejected(image("uyvy", [[128, 16]]), "a size that uyvy can have", "got 1x1 px")


@pytest.mark.parametrize(
    ("data", "mention"),
    [
        (b"", "JPEG or PNG image, got 0 bytes"),
        (b"GIF89a", "JPEG or PNG image, got 6 bytes"),
        (b"\xff\xd8\xff\xd9", "a whole image, got a corrupt one of 4 bytes"),
    ],
)
def test_what_is_no_compressed_image_is_named(data, mention):
    message = CompressedImage(format="jpeg", data=array.array("B", data))
    assert_rejected(message, mention)


@pytest.mark.parametrize("format_", ["jpeg", "bayer_rggb8; jpeg compressed "])
@pytest.mark.parametrize("kept", [0.1, 0.6, 0.98])
def test_a_jpeg_cut_short_is_named(kept, format_):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    message = compressed(".jpg", noise, format_)
    message.data = message.data[: int(kept * len(message.data))]
    assert_rejected(message, "a whole image, got a corrupt one")


def test_a_png_of_16_bit_is_named():
    assert_rejected(compressed(".png", np.zeros((4, 4), np.uint16), "16UC1; png"), "PNG of 16 bit")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_garbage_never_does_more_than_reject(suffix, capfd):
    rng = np.random.default_rng(0)
    whole = cv2.imencode(suffix, rng.integers(0, 256, (32, 32, 3), np.uint8))[1]
    for _ in range(200):
        data = whole.copy()
        data[rng.integers(2, len(data), 8)] = rng.integers(0, 256, 8)
        message = CompressedImage(format="jpeg", data=array.array("B", data.tobytes()))
        try:
            assert rgb_image(message, "/left/image_raw").shape[2] == 3
        except RejectedSetError as error:
            assert error.reason == Reason.BAD_IMAGE
