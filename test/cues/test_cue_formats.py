"""Files of flow, disparity and masks as other tools write them."""

import struct

import cv2
import numpy as np
import pytest

from occflow_ros.cues.cue import FlowCue, flow_cue
from occflow_ros.cues.formats import (
    read_disparity,
    read_flow,
    read_labels,
    write_disparity,
    write_flow,
)
from occflow_ros.errors import DataError


@pytest.fixture
def cue():
    """Steps of 1/64 px, which every format keeps exactly."""
    generator = np.random.default_rng(0)
    flow_px = generator.integers(-32768, 32768, (5, 7, 2)) / np.float32(64)
    return flow_cue(flow_px, generator.uniform(size=(5, 7)) < 0.7)


@pytest.mark.parametrize("suffix", [".png", ".flo", ".npy"])
def test_what_is_written_is_read(suffix, cue, tmp_path):
    path = tmp_path / f"flow{suffix}"
    write_flow(path, cue)
    read = read_flow(path)
    np.testing.assert_array_equal(read.valid, cue.valid)
    np.testing.assert_array_equal(read.flow_px, cue.flow_px)
    assert 0 < cue.valid.sum() < cue.valid.size
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_kitti_by_hand(tmp_path):
    """u = (R - 2^15) / 64, v = (G - 2^15) / 64, valid = B."""
    pixels = [(32768 + 64, 32768 - 32, 1), (0, 0, 0), (0, 65535, 1)]
    image = np.array([pixels], np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    read = read_flow(tmp_path / "a.png")
    assert read.valid.tolist() == [[True, False, True]]
    assert read.flow_px.tolist() == [[[1.0, -0.5], [0.0, 0.0], [-512.0, 511.984375]]]


def test_flo_by_hand(tmp_path):
    data = struct.pack("<fii4f", 202021.25, 2, 1, 1.5, -2.0, 1e10, 1e10)
    (tmp_path / "a.flo").write_bytes(data)
    read = read_flow(tmp_path / "a.flo")
    assert read.valid.tolist() == [[True, False]]
    assert read.flow_px.tolist() == [[[1.5, -2.0], [0.0, 0.0]]]


def test_npy_by_hand(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[[1.5, -2.0], [np.nan, 0.0]]], np.float64))
    assert read_flow(tmp_path / "a.npy").valid.tolist() == [[True, False]]


def test_kitti_cannot_hold_long_flow(tmp_path):
    cue = FlowCue(np.full((1, 1, 2), 600, np.float32), np.ones((1, 1), bool))
    with pytest.raises(ValueError, match="expected less than 512 px, got 600 px"):
        write_flow(tmp_path / "a.png", cue)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".png", ".flo", ".npy"])
def test_cut_files_are_named(suffix, cue, tmp_path):
    path = tmp_path / f"flow{suffix}"
    with pytest.raises(DataError, match=f"flow{suffix}: file is missing"):
        read_flow(path)
    write_flow(path, cue)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=f"flow{suffix}: expected"):
        read_flow(path)


def test_other_content_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(DataError, match=r"3 channels with 16 bit, got \(2, 2, 3\) uint8"):
        read_flow(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"expected a mask or class map \(H, W\)"):
        read_labels(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", np.zeros((2, 2, 3)))
    with pytest.raises(DataError, match=r"expected flow \(H, W, 2\) of floats, got \(2, 2, 3\)"):
        read_flow(tmp_path / "a.npy")


def test_labels(tmp_path):
    labels = np.array([[0, 11], [255, 3]], np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), labels)
    np.save(tmp_path / "a.npy", labels > 3)
    assert read_labels(tmp_path / "a.png").tolist() == labels.tolist()
    assert read_labels(tmp_path / "a.npy").tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    ("flow_px", "valid", "message"),
    [
        (np.zeros((2, 3, 2), np.float32), np.zeros((2, 3)), r"valid: expected \(H, W\) bool"),
        (np.zeros((2, 3, 2)), np.zeros((2, 3), bool), r"expected \(2, 3, 2\) float32"),
        (np.full((1, 1, 2), np.nan, np.float32), np.ones((1, 1), bool), "expected finite"),
    ],
)
def test_a_cue_checks_itself(flow_px, valid, message):
    with pytest.raises(ValueError, match=message):
        FlowCue(flow_px, valid)


def test_kitti_disparity_by_hand(tmp_path):
    """disparity = value / 256, and 0 where it is unknown."""
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[256, 0, 128], [65535, 1, 25600]], np.uint16))
    read = read_disparity(tmp_path / "a.png")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(
        read, np.array([[1.0, np.nan, 0.5], [255.99609375, 0.00390625, 100.0]], np.float32)
    )


def test_disparity_comes_back(tmp_path):
    generator = np.random.default_rng(0)
    disparity_px = generator.integers(1, 65536, (5, 7)) / np.float32(256)
    disparity_px[generator.uniform(size=(5, 7)) < 0.3] = np.nan
    write_disparity(tmp_path / "a.png", disparity_px)
    np.testing.assert_array_equal(read_disparity(tmp_path / "a.png"), disparity_px)
    assert 0 < np.isnan(disparity_px).sum() < disparity_px.size


def test_disparity_is_rounded_and_stays_known(tmp_path):
    write_disparity(tmp_path / "a.png", np.array([[0.0, 0.001, 1.0 + 0.6 / 256, np.nan]]))
    read = read_disparity(tmp_path / "a.png")
    np.testing.assert_array_equal(read, [[1 / 256, 1 / 256, 257 / 256, np.nan]])


@pytest.mark.parametrize("value", [-1.0, 256.0, np.inf])
def test_kitti_cannot_hold_other_disparity(value, tmp_path):
    with pytest.raises(ValueError, match="expected 0 to less than 256 px"):
        write_disparity(tmp_path / "a.png", np.array([[1.0, value]]))
    assert list(tmp_path.iterdir()) == []


def test_other_files_of_disparity_are_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.png: file is missing"):
        read_disparity(tmp_path / "a.png")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match=r"1 channel with 16 bit, got \(2, 2\) uint8"):
        read_disparity(tmp_path / "a.png")
    write_disparity(tmp_path / "a.png", np.ones((9, 9)))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.png: expected a whole PNG"):
        read_disparity(tmp_path / "a.png")
