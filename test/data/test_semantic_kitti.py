"""SemanticKITTI's classes and voxel files, made byte by byte as the official API reads them."""

import numpy as np
import pytest

from occflow_ros.data import classes, semantic_kitti
from occflow_ros.data.kitti_odometry import VoxelFiles, voxel_files
from occflow_ros.data.semantic_kitti import (
    EMPTY,
    GRID,
    IGNORED,
    LABEL_OF_CLASS,
    LABELS,
    NAMES,
    classes_of,
    labels_from_scene,
    labels_of,
)
from occflow_ros.data.semantic_kitti_voxels import (
    VoxelTruth,
    prediction_path,
    read_bits,
    read_labels,
    read_prediction,
    read_voxel_truth,
    write_bits,
    write_labels,
    write_prediction,
)
from occflow_ros.errors import DataError

SHAPE = (256, 256, 32)
COUNT = 256 * 256 * 32


def empty_bits():
    return np.zeros(SHAPE, bool)


def test_the_grid_is_the_official_one():
    assert GRID.shape == SHAPE
    assert GRID.lower_m == (0.0, -25.6, -2.0)
    assert GRID.voxel_size_m == pytest.approx((0.2, 0.2, 0.2))


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (0, "empty"),
        (10, "car"),
        (13, "other-vehicle"),
        (16, "other-vehicle"),
        (60, "road"),
        (81, "traffic-sign"),
        (252, "car"),
        (253, "bicyclist"),
        (254, "person"),
        (255, "motorcyclist"),
        (257, "other-vehicle"),
        (258, "truck"),
    ],
)
def test_labels_merge_to_classes(label, expected):
    assert NAMES[classes_of(np.array([label], np.uint16))[0]] == expected


def test_three_labels_belong_to_no_class():
    ignored = [number for number, label in LABELS.items() if label.class_number == IGNORED]
    assert ignored == [1, 52, 99]
    assert len(LABELS) == 34
    assert len(NAMES) == 20


def test_the_inverse_map_gives_the_classes_back():
    numbers = np.arange(20, dtype=np.uint8)
    assert labels_of(numbers).tolist() == list(LABEL_OF_CLASS)
    assert LABEL_OF_CLASS[:6] == (0, 10, 11, 15, 18, 20)
    assert LABEL_OF_CLASS[-5:] == (70, 71, 72, 80, 81)
    np.testing.assert_array_equal(classes_of(labels_of(numbers)), numbers)
    with pytest.raises(ValueError, match="expected classes 0 to 19, got 255"):
        labels_of(np.array([3, IGNORED], np.uint8))


def test_unknown_labels_are_named():
    with pytest.raises(ValueError, match=r"got \[2, 260\]"):
        classes_of(np.array([10, 260, 2, 2], np.uint16))


def test_a_scene_gets_moving_labels_where_it_moves():
    names = ("car", "car", "bicycle", "pedestrian", "manmade", "traffic_cone", "free")
    semantics = np.array([classes.NAMES.index(name) for name in names], np.uint8)
    moving = np.array([False, True, True, True, False, False, False])
    labels = labels_from_scene(semantics, moving)
    assert labels.tolist() == [10, 252, 253, 254, 50, 99, 0]
    with pytest.raises(ValueError, match=r"expected equal shapes, got \(7,\) and \(6,\)"):
        labels_from_scene(semantics, moving[1:])


def test_every_class_of_a_scene_has_labels():
    assert set(semantic_kitti.STANDING_AND_MOVING) == set(classes.NAMES)
    numbers = np.arange(len(classes.NAMES), dtype=np.uint8)
    for moves in (False, True):
        found = classes_of(labels_from_scene(numbers, np.full(len(numbers), moves)))
        assert (found == EMPTY).tolist() == [name == "free" for name in classes.NAMES]


def test_bits_by_hand(tmp_path):
    """The first voxel is the highest bit of the first byte, z runs fastest, then y, then x."""
    data = bytearray(COUNT // 8)
    data[0] = 0b10000001  # voxels (0, 0, 0) and (0, 0, 7)
    data[1] = 0b01000000  # voxel (0, 0, 9)
    data[4] = 0b00100000  # the 34th bit, so voxel (0, 1, 2)
    data[256 * 32 // 8] = 0b00010000  # voxel (1, 0, 3)
    data[-1] = 0b00000001  # the last voxel
    path = tmp_path / "000000.invalid"
    path.write_bytes(data)
    voxels = read_bits(path)
    assert np.argwhere(voxels).tolist() == [
        [0, 0, 0],
        [0, 0, 7],
        [0, 0, 9],
        [0, 1, 2],
        [1, 0, 3],
        [255, 255, 31],
    ]
    write_bits(tmp_path / "again.bin", voxels)
    assert (tmp_path / "again.bin").read_bytes() == bytes(data)


def test_labels_by_hand(tmp_path):
    data = bytearray(2 * COUNT)
    data[0:2] = b"\x0a\x00"  # 10, a car
    data[2 * 33 : 2 * 33 + 2] = b"\xfc\x00"  # 252, a moving car at (0, 1, 1)
    data[-2:] = b"\x03\x01"  # 259, a moving other vehicle
    path = tmp_path / "000000.label"
    path.write_bytes(data)
    labels = read_labels(path)
    assert labels.dtype == np.uint16
    assert (labels[0, 0, 0], labels[0, 1, 1], labels[255, 255, 31]) == (10, 252, 259)
    assert (labels > 0).sum() == 3
    write_labels(tmp_path / "again.label", labels)
    assert (tmp_path / "again.label").read_bytes() == bytes(data)


def test_truth_of_a_frame(tmp_path):
    folder = tmp_path / "sequences" / "08" / "voxels"
    folder.mkdir(parents=True)
    labels, invalid = np.zeros(SHAPE, np.uint16), empty_bits()
    labels[1, 2, 3], labels[4, 5, 6], labels[7, 8, 9] = 252, 99, 40
    invalid[7, 8] = True
    write_labels(folder / "000005.label", labels)
    write_bits(folder / "000005.invalid", invalid)
    write_bits(folder / "000005.bin", empty_bits())
    files = voxel_files(tmp_path, "08")
    truth = read_voxel_truth(files[5])
    assert truth.classes[1, 2, 3] == NAMES.index("car")
    assert truth.classes[4, 5, 6] == IGNORED
    assert truth.occupied.sum() == 3
    assert np.count_nonzero(~truth.counted) == 32 + 1
    assert not read_bits(files[5].occupied).any()
    assert files[5].occluded is None


def test_predictions_lie_where_the_benchmark_looks(tmp_path):
    path = prediction_path(tmp_path, "08", 25)
    assert path == tmp_path / "sequences" / "08" / "predictions" / "000025.label"
    predicted = np.zeros(SHAPE, np.uint8)
    predicted[..., 3] = NAMES.index("terrain")
    write_prediction(path, predicted)
    assert path.stat().st_size == 2 * COUNT
    assert np.unique(read_labels(path)).tolist() == [0, 72]
    np.testing.assert_array_equal(read_prediction(path), predicted)


def test_predictions_without_class_are_refused(tmp_path):
    labels = np.zeros(SHAPE, np.uint16)
    labels[0, 0, :2] = 52
    write_labels(tmp_path / "a.label", labels)
    with pytest.raises(
        DataError, match=r"a.label: expected labels of the 19 classes or 0, got \[52"
    ):
        read_prediction(tmp_path / "a.label")


def test_damaged_files_are_named(tmp_path):
    bits, labels = tmp_path / "a.bin", tmp_path / "a.label"
    with pytest.raises(DataError, match="a.bin: file is missing"):
        read_bits(bits)
    bits.write_bytes(bytes(100))
    with pytest.raises(DataError, match="expected 262144 bytes for 256x256x32 voxels, got 100"):
        read_bits(bits)
    labels.write_bytes(bytes(COUNT))
    with pytest.raises(DataError, match="expected 4194304 bytes for .* voxels, got 2097152"):
        read_labels(labels)
    wrong = np.zeros(SHAPE, np.uint16)
    wrong[3, 4, 5] = 300
    write_labels(labels, wrong)
    with pytest.raises(DataError, match=r"a.label: expected labels out of .* got \[300\]"):
        read_prediction(labels)


def test_test_sequences_have_no_truth(tmp_path):
    files = VoxelFiles(tmp_path / "000000.bin", None, None, None)
    with pytest.raises(DataError, match="000000.label: file is missing; the test sequences"):
        read_voxel_truth(files)


def test_other_shapes_and_types_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"voxels: expected \(256, 256, 32\) bool, got \(2,\) bool"
    ):
        write_bits(tmp_path / "a.bin", np.zeros(2, bool))
    with pytest.raises(ValueError, match=r"labels: expected .* uint16, got .* uint8"):
        write_labels(tmp_path / "a.label", np.zeros(SHAPE, np.uint8))
    with pytest.raises(ValueError, match="classes: expected 0 to 19 or 255, got 20"):
        VoxelTruth(np.full(SHAPE, 20, np.uint8), empty_bits())
    assert list(tmp_path.iterdir()) == []
