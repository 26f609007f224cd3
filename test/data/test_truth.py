"""Occupancy truth files, ours and those of Occ3D."""

import numpy as np
import pytest

from occflow_ros.data.truth import read_truth, write_truth
from occflow_ros.errors import DataError


def test_truth_comes_back_with_its_box(tmp_path, made):
    truth = made.truth(2)
    write_truth(tmp_path / "labels.npz", truth)
    again = read_truth(tmp_path / "labels.npz")
    assert np.array_equal(again.semantics, truth.semantics)
    assert np.array_equal(again.velocity_mps, truth.velocity_mps)
    assert again.velocity_mps.dtype == np.float32
    assert np.array_equal(again.observed, truth.observed)
    assert again.grid == truth.grid
    assert again.grid.voxel_size_m == (2.0, 2.0, 2.0)


def test_a_file_of_occ3d_has_its_box_and_no_velocities(tmp_path):
    shape = (200, 200, 16)
    semantics, mask = np.full(shape, 17, np.uint8), np.zeros(shape, np.uint8)
    mask[3, 4, 5] = 1
    np.savez(tmp_path / "labels.npz", semantics=semantics, mask_camera=mask, mask_lidar=mask)
    truth = read_truth(tmp_path / "labels.npz")
    assert truth.grid.voxel_size_m == pytest.approx((0.4, 0.4, 0.4))
    assert np.argwhere(truth.observed).tolist() == [[3, 4, 5]]
    assert np.isnan(truth.velocity_mps).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"flow": np.zeros(3)}, r"expected the key semantics, got \['flow'\]"),
        ({"semantics": np.zeros((2, 2), np.uint8)}, r"semantics: expected \(X, Y, Z\) uint8"),
        ({"semantics": np.zeros((2, 2, 2), np.int64)}, r"semantics: expected \(X, Y, Z\) uint8"),
        (
            {"semantics": np.full((2, 2, 2), 18, np.uint8)},
            r"semantics: expected classes 0 to 17, got 18",
        ),
        (
            {"semantics": np.zeros((2, 2, 2), np.uint8), "flow": np.zeros((2, 2, 2, 3))},
            r"velocity_mps: expected \(2, 2, 2, 2\), got \(2, 2, 2, 3\)",
        ),
        (
            {"semantics": np.zeros((2, 2, 2), np.uint8), "mask_camera": np.zeros((2, 2, 1))},
            r"observed: expected \(2, 2, 2\) bool, got \(2, 2, 1\)",
        ),
        (
            {"semantics": np.zeros((2, 2, 2), np.uint8), "lower_m": np.zeros(2)},
            r"lower_m: expected 3 numbers",
        ),
        (
            {"semantics": np.zeros((2, 2, 2), np.uint8), "lower_m": np.full(3, 50.0)},
            r"expected lower_m < upper_m",
        ),
    ],
)
def test_wrong_arrays_are_named(tmp_path, arrays, message):
    np.savez(tmp_path / "labels.npz", **arrays)
    with pytest.raises(DataError, match=rf"labels.npz: {message}"):
        read_truth(tmp_path / "labels.npz")


def test_a_corrupt_file_is_named(tmp_path, made):
    path = tmp_path / "labels.npz"
    with pytest.raises(DataError, match=r"labels.npz: occupancy truth is missing"):
        read_truth(path)
    write_truth(path, made.truth(0))
    data = path.read_bytes()
    for broken in (b"", b"text", data[: len(data) // 2], data.replace(b"semantics", b"semantocs")):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"labels.npz: expected"):
            read_truth(path)
