"""Classes of LiDAR points, as SemanticKITTI and nuScenes-lidarseg have them."""

import json

import numpy as np
import pytest

from occflow_ros.data import classes, lidarseg, semantic_kitti
from occflow_ros.data.nuscenes import read_nuscenes
from occflow_ros.data.nuscenes_writer import nuscenes_writer
from occflow_ros.data.point_labels import read_labelled_points, write_kitti_labels
from occflow_ros.data.sensors import write_lidar
from occflow_ros.data.vocabulary import OCC3D, SEMANTIC_KITTI
from occflow_ros.errors import DataError

POINTS = np.array([[1, 0, 0], [2, 0, 0], [3, 0, 0]], np.float32)
IGNORED = semantic_kitti.IGNORED


@pytest.fixture
def sweep(tmp_path):
    path = tmp_path / "000000.bin"
    write_lidar(path, POINTS)
    return path


def names_of(found):
    names = found.vocabulary.names
    return ["none" if number == IGNORED else names[number] for number in found.class_id]


def test_labels_of_semantic_kitti(sweep, tmp_path):
    path = tmp_path / "000000.label"
    (7 << 16 | np.array([252, 40, 52], "<u4")).tofile(path)  # all of instance 7
    found = read_labelled_points(sweep, path)
    assert names_of(found) == ["car", "road", "none"]
    assert found.vocabulary is SEMANTIC_KITTI


def test_written_labels_are_read(sweep, tmp_path):
    write_kitti_labels(tmp_path / "000000.label", np.array([0, 259, 81], np.uint16))
    found = read_labelled_points(sweep, tmp_path / "000000.label")
    assert names_of(found) == ["empty", "other-vehicle", "traffic-sign"]


def test_labels_of_nuscenes(sweep, tmp_path):
    path = tmp_path / f"token{lidarseg.SUFFIX}"
    np.array([16, 24, 31], np.uint8).tofile(path)  # rigid bus, carriageway, the ego itself
    found = read_labelled_points(sweep, path)
    assert names_of(found) == ["bus", "driveable_surface", "none"]
    assert found.vocabulary is OCC3D


def test_the_challenge_has_16_classes_of_32_numbers():
    named = {name for name in lidarseg.CATEGORIES.values() if name is not None}
    assert len(lidarseg.CATEGORIES) == 32
    assert named == set(classes.NAMES) - {"others", "free"}


def test_points_that_are_not_finite_lose_their_labels(tmp_path):
    points = POINTS.copy()
    points[1, 2] = np.nan
    write_lidar(tmp_path / "0.bin", points)
    write_kitti_labels(tmp_path / "0.label", np.array([10, 40, 50], np.uint16))
    found = read_labelled_points(tmp_path / "0.bin", tmp_path / "0.label")
    assert names_of(found) == ["car", "building"]
    np.testing.assert_array_equal(found.points_m, POINTS[[0, 2]])


@pytest.mark.parametrize(
    ("name", "numbers", "message"),
    [
        ("0.label", np.array([10, 10], "<u4"), "each of the 3 points of 000000.bin, got 2"),
        ("0.label", np.array([10, 10, 12], "<u4"), r"expected labels out of .*, got \[12\]"),
        ("0.label", np.array([1, 2], np.uint8), "expected labels of 4 bytes, got 2 bytes"),
        ("0_lidarseg.bin", np.array([0, 1, 32], np.uint8), "expected 0 to 31, got 32"),
    ],
)
def test_labels_that_do_not_fit_are_named(name, numbers, message, sweep, tmp_path):
    numbers.tofile(tmp_path / name)
    with pytest.raises(DataError, match=f"{name}: .*{message}|{name}: {message}"):
        read_labelled_points(sweep, tmp_path / name)


def test_missing_labels_are_named(sweep, tmp_path):
    with pytest.raises(DataError, match="gone.label: point labels are missing"):
        read_labelled_points(sweep, tmp_path / "gone.label")


def test_nuscenes_finds_the_labels_of_its_sweeps(tmp_path, made):
    with nuscenes_writer(tmp_path / "set", "v1.0-mini", made.header()) as writer:
        writer.add_set(made.keyframe(0))
        writer.add_set(made.keyframe(1))
    rows = json.loads((tmp_path / "set" / "v1.0-mini" / "sample_data.json").read_text())
    sweeps = [row for row in rows if row["filename"].endswith(".pcd.bin")]
    first = min(sweeps, key=lambda row: row["timestamp"])
    path = lidarseg.label_path(tmp_path / "set", "v1.0-mini", first["token"])
    path.parent.mkdir(parents=True)
    np.array([17, 17, 0], np.uint8).tofile(path)
    drive = read_nuscenes(tmp_path / "set", "v1.0-mini")
    assert [one.point_labels for one in drive.sets] == [path, None]
