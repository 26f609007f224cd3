"""Depth files: what they hold, how a network's image reads them, what damaged ones say."""

import cv2
import numpy as np
import pytest

from occflow_ros.depth.folder import DepthFolder, whole_image
from occflow_ros.errors import DataError, OutputError
from occflow_ros.geometry.camera import ImageFit

PLACE = ("drive", "ring/front", 7)


@pytest.fixture
def folder(tmp_path):
    return DepthFolder(tmp_path)


def test_a_file_holds_metres_times_256_and_0_where_unknown(folder, tmp_path):
    depth_m = np.array([[1.0, 0.001, 255.996, 256.0], [np.nan, np.inf, -1.0, 0.0]], np.float32)
    folder.write(*PLACE, depth_m)
    path = folder.path(*PLACE)
    assert path == tmp_path / "drive" / "ring" / "front" / "7.png"
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert values.dtype == np.uint16
    assert values.tolist() == [[256, 1, 65535, 0], [0, 0, 0, 0]]


def test_depth_comes_back_to_half_a_step(folder):
    depth_m = np.random.default_rng(0).uniform(0.1, 250.0, (8, 12)).astype(np.float32)
    folder.write(*PLACE, depth_m)
    read = folder.read(*PLACE, (80, 120), (80, 120), stride_px=10)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, depth_m, atol=1 / 512)


def test_a_network_image_reads_its_cut_of_the_whole(folder):
    """An image of 16 x 16 that fills 8 x 16: the upper half is cut away, and nothing scaled."""
    folder.write(*PLACE, np.arange(1, 17, dtype=np.float32).reshape(4, 4))
    read = folder.read(*PLACE, (16, 16), (8, 16))
    assert read.tolist() == [[9, 10, 11, 12], [13, 14, 15, 16]]


def test_an_image_wider_than_the_network_loses_both_sides(folder):
    folder.write(*PLACE, np.arange(1, 7, dtype=np.float32).reshape(1, 6))
    assert (
        folder.read(*PLACE, (4, 24), (8, 32)).tolist()
        == [[2] * 2 + [3] * 2 + [4] * 2 + [5] * 2] * 2
    )


@pytest.mark.parametrize("file_hw", [(225, 400), (57, 100), (450, 800)])
def test_any_size_of_a_file_gives_the_depth_at_the_centre_of_each_cell(folder, file_hw):
    """Depth that grows along the image is right to the size of a pixel of the file."""
    source, target = (225, 400), (128, 352)
    v, u = np.mgrid[: file_hw[0], : file_hw[1]] + 0.5
    for values, axis in ((u / file_hw[1], 1), (v / file_hw[0], 0)):
        folder.write(*PLACE, 100.0 * values)
        read = folder.read(*PLACE, source, target)
        fit = ImageFit(source, target)
        count = target[axis] // 4
        first = fit.offset_xy_px[1 - axis]
        expected = 100.0 * (first + 4 * (np.arange(count) + 0.5)) / fit.scaled_hw_px[axis]
        along = read[0] if axis else read[:, 0]
        assert np.abs(along - expected).max() <= 50.0 / file_hw[axis] + 0.01
        assert read.shape == (32, 88)


@pytest.mark.parametrize("source", [(225, 400), (900, 1600), (128, 352), (376, 1241), (200, 300)])
def test_cells_of_the_network_image_come_back_exactly(folder, source):
    cells_m = np.random.default_rng(1).integers(0, 65536, (32, 88)).astype(np.float32) / 256
    fit = ImageFit(source, (128, 352))
    whole_m = whole_image(cells_m, fit)
    assert whole_m.shape == fit.scaled_hw_px
    folder.write(*PLACE, whole_m)
    np.testing.assert_array_equal(folder.read(*PLACE, source, (128, 352)), cells_m)


def test_what_the_network_image_leaves_out_is_unknown():
    whole_m = whole_image(np.ones((2, 4), np.float32), ImageFit((16, 16), (8, 16)))
    assert not whole_m[:8].any()
    assert (whole_m[8:] == 1).all()


def test_cells_must_fill_the_image(folder):
    folder.write(*PLACE, np.ones((4, 4), np.float32))
    with pytest.raises(ValueError, match=r"expected a divisor of \(8, 16\), got 3"):
        folder.read(*PLACE, (16, 16), (8, 16), stride_px=3)


def write_bytes(path, content):
    path.parent.mkdir(parents=True)
    path.write_bytes(content)


def png(values):
    return cv2.imencode(".png", values)[1].tobytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "file is missing"),
        (b"", "expected a whole PNG, got 0 bytes"),
        (png(np.ones((40, 40), np.uint16))[:-9], "expected a whole PNG"),
        (png(np.ones((4, 4), np.uint8)), r"expected KITTI depth, .* 16 bit, got \(4, 4\) uint8"),
        (png(np.ones((4, 4, 3), np.uint16)), r"got \(4, 4, 3\) uint16"),
    ],
)
def test_a_bad_file_is_named_with_the_command_that_makes_it(folder, tmp_path, content, message):
    if content is not None:
        write_bytes(folder.path(*PLACE), content)
    with pytest.raises(DataError, match=message) as error:
        folder.read(*PLACE, (16, 16), (8, 16))
    assert str(folder.path(*PLACE)) in str(error.value)
    assert f"occflow depth --out {tmp_path}" in str(error.value)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_a_drive_is_one_folder(folder, name):
    with pytest.raises(DataError, match="can be that of a folder"):
        folder.path(name, "front", 1)


def test_a_folder_is_of_one_maker(folder, tmp_path):
    folder.claim({"source": "a"})
    folder.claim({"source": "a"})
    with pytest.raises(OutputError, match=r"expected depth made by .*'b'.*, found that by .*'a'"):
        folder.claim({"source": "b"})
    (tmp_path / "source.json").write_text("{")
    with pytest.raises(OutputError, match="source.json: expected what made the files"):
        folder.claim({"source": "a"})
