"""IoU by class: counts by hand, and against loops over voxels written from the definition."""

import json
import math

import numpy as np
import pytest

from occflow_ros.data.classes import FREE
from occflow_ros.data.classes import NAMES as SCENE_NAMES
from occflow_ros.data.kitti_odometry import voxel_files
from occflow_ros.data.semantic_kitti import EMPTY, GRID, IGNORED, classes_of
from occflow_ros.data.semantic_kitti_voxels import (
    VoxelTruth,
    prediction_path,
    read_prediction,
    read_voxel_truth,
    write_bits,
    write_labels,
    write_prediction,
)
from occflow_ros.data.truth import read_lidar_mask, read_truth
from occflow_ros.metrics.semantic_iou import (
    RANGES_M,
    ClassCounts,
    RangeCounts,
    count_classes,
    count_ranges,
    no_counts,
    no_range_counts,
    within_range,
)
from occflow_ros.metrics.voxel_iou import OccupancyCounts
from occflow_ros.structures import VoxelGrid

NAMES = ("free", "car", "road", "tree")
CAR, ROAD = 1, 2


def line(*values):
    return np.array(values, np.uint8).reshape(-1, 1, 1)


def everywhere(values):
    return np.ones(values.shape, bool)


def counted(predicted, true, where=None):
    return count_classes(
        predicted, true, everywhere(true) if where is None else where, NAMES, "free"
    )


def test_counts_by_hand():
    true = line(0, 0, 1, 1, 1, 2, 2)
    predicted = line(0, 1, 1, 1, 2, 2, 0)
    counts = counted(predicted, true)
    assert counts.confusion == ((1, 1, 0, 0), (0, 2, 1, 0), (1, 0, 1, 0), (0, 0, 0, 0))
    assert counts.iou["car"] == pytest.approx(2 / 4)  # TP 2, FP 1, FN 1
    assert counts.iou["road"] == pytest.approx(1 / 3)  # TP 1, FP 1, FN 1
    assert math.isnan(counts.iou["tree"])
    assert "free" not in counts.iou
    assert counts.mean_iou == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert counts.official_mean_iou == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)
    assert counts.completion == OccupancyCounts(4, 1, 1)
    assert counts.completion.iou == pytest.approx(4 / 6)
    assert counts.completion.precision == pytest.approx(4 / 5)
    assert counts.completion.recall == pytest.approx(4 / 5)


def test_perfect_close_and_empty_predictions():
    true = line(0, 1, 1, 2, 3, 3)
    perfect = counted(true, true)
    assert perfect.mean_iou == perfect.official_mean_iou == perfect.completion.iou == 1.0
    close = counted(line(0, 1, 2, 2, 3, 3), true)
    assert perfect.mean_iou > close.mean_iou == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert close.completion.iou == 1.0
    nothing = counted(np.zeros_like(true), true)
    assert nothing.mean_iou == nothing.completion.iou == 0.0
    assert math.isnan(nothing.completion.precision)


def test_a_class_that_is_only_predicted_occurs():
    counts = counted(line(1, 3), line(1, 0))
    assert counts.iou["tree"] == 0.0
    assert counts.mean_iou == 0.5


def test_nothing_has_no_numbers():
    for counts in (no_counts(NAMES, "free"), counted(line(0, 0), line(0, 0))):
        assert math.isnan(counts.mean_iou)
        assert math.isnan(counts.official_mean_iou)
        assert math.isnan(counts.completion.iou)


def test_masked_voxels_do_not_count_whatever_they_hold():
    true, where = line(1, 255, 2), line(1, 0, 1).astype(bool)
    assert counted(line(1, 77, 2), true, where) == counted(line(1, 2), line(1, 2))
    with pytest.raises(ValueError, match=r"true: expected classes 0 to 3 .* got \[255\]"):
        counted(line(1, 2, 2), true)
    with pytest.raises(ValueError, match=r"predicted: expected classes 0 to 3 .* got \[9\]"):
        counted(line(1, 9), line(1, 1))


def test_the_empty_class_may_be_any():
    """Occ3D's is the last one."""
    names = ("car", "road", "free")
    true, predicted = line(0, 1, 2, 2), line(0, 2, 2, 1)
    counts = count_classes(predicted, true, everywhere(true), names, "free")
    assert counts.completion == OccupancyCounts(1, 1, 1)
    assert counts.mean_iou == 0.5


@pytest.fixture
def volumes():
    generator = np.random.default_rng(3)
    true = generator.integers(0, 4, (7, 6, 5), dtype=np.uint8)
    predicted = np.where(generator.uniform(size=true.shape) < 0.6, true, true[::-1])
    return predicted, true, generator.uniform(size=true.shape) < 0.8


def test_loops_over_voxels_agree(volumes):
    predicted, true, where = volumes
    counts = counted(predicted, true, where)
    for number, name in enumerate(NAMES):
        if name != "free":
            assert counts.iou[name] == loop_iou(predicted == number, true == number, where)
    assert counts.completion.iou == loop_iou(predicted != 0, true != 0, where)


def loop_iou(predicted, true, where):
    both = either = 0
    for x in range(true.shape[0]):
        for y in range(true.shape[1]):
            for z in range(true.shape[2]):
                if where[x, y, z]:
                    both += bool(predicted[x, y, z] and true[x, y, z])
                    either += bool(predicted[x, y, z] or true[x, y, z])
    return both / either


def test_parts_add_up_in_any_order(volumes):
    predicted, true, where = volumes
    parts = [counted(predicted[i], true[i], where[i]) for i in range(len(true))]
    assert sum(parts, start=no_counts(NAMES, "free")) == counted(predicted, true, where)
    assert sum(parts[::-1], start=no_counts(NAMES, "free")) == counted(predicted, true, where)


def test_places_do_not_matter(volumes):
    order = np.random.default_rng(1).permutation(volumes[0].size)
    assert counted(*(values.ravel()[order] for values in volumes)) == counted(*volumes)


def test_counts_of_other_classes_are_not_added():
    with pytest.raises(ValueError, match="names"):
        _ = no_counts(NAMES, "free") + no_counts(("free", "car", "road", "bus"), "free")
    with pytest.raises(ValueError, match="empty: expected one of"):
        no_counts(NAMES, "sky")
    with pytest.raises(ValueError, match="expected 4 rows and columns"):
        ClassCounts(NAMES, "free", ((0,),))
    with pytest.raises(ValueError, match="expected equal shapes"):
        counted(line(1), line(1, 2))


def test_the_boxes_of_the_ranges():
    """64, 128 and 256 voxels ahead, and half as many to each side."""
    for range_m, last in zip(RANGES_M, (64, 128, 256)):
        box = np.argwhere(within_range(GRID, range_m)[..., 0])
        assert box.min(axis=0).tolist() == [0, 128 - last // 2]
        assert box.max(axis=0).tolist() == [last - 1, 127 + last // 2]
        assert len(box) == last * last


def test_what_lies_behind_the_sensor_is_in_no_box():
    around = VoxelGrid((-2.0, -2.0, -1.0), (2.0, 2.0, 1.0), (4, 4, 1))
    box = np.argwhere(within_range(around, 2.0)[..., 0])
    assert box.tolist() == [[2, 1], [2, 2], [3, 1], [3, 2]]


def kitti_frame():
    """A car in each box, one ahead of the other; one that nobody saw, and one of no class."""
    classes, invalid = np.zeros(GRID.shape, np.uint8), np.zeros(GRID.shape, bool)
    for x in (10, 100, 200):
        classes[x : x + 4, 126:130, 8:12] = 1
    classes[30:34, 126:130, 8:12], invalid[30:34, 126:130, 8:12] = 2, True
    classes[40:44, 126:130, 8:12] = IGNORED
    return VoxelTruth(classes, invalid)


def test_ranges_of_semantic_kitti_by_hand():
    truth = kitti_frame()
    predicted = np.where(truth.counted, truth.classes, 5).astype(np.uint8)
    predicted[200:204] = EMPTY
    predicted[100:102, 126:130, 8:12] = 4
    near, middle, far = count_ranges(predicted, truth).by_range
    assert near.iou["car"] == near.mean_iou == near.completion.iou == 1.0
    assert middle.iou["car"] == pytest.approx(96 / 128)
    assert middle.iou["truck"] == 0.0
    assert middle.completion.iou == 1.0
    assert far.iou["car"] == pytest.approx(96 / 192)
    assert far.completion == OccupancyCounts(128, 0, 64)
    assert math.isnan(far.iou["bicycle"])
    assert math.isnan(far.iou["other-vehicle"])
    assert far.official_mean_iou == pytest.approx(0.5 / 19)
    assert int(far.matrix.sum()) == int(truth.counted.sum())
    assert int(near.matrix.sum()) == 64 * 64 * 32 - 2 * 64


def test_counts_survive_json():
    truth = kitti_frame()
    counts = no_range_counts() + count_ranges(np.zeros(GRID.shape, np.uint8), truth)
    assert RangeCounts.from_dict(json.loads(json.dumps(counts.to_dict()))) == counts
    assert counts.by_range[0].iou["car"] == 0.0


def test_perfect_predictions_in_official_files_score_the_maximum(tmp_path):
    folder = tmp_path / "sequences" / "08" / "voxels"
    folder.mkdir(parents=True)
    labels = np.zeros(GRID.shape, np.uint16)
    labels[..., 1] = 40
    labels[20:30, 120:130, 2:5], labels[60:70, 120:130, 2:5] = 252, 99
    write_labels(folder / "000000.label", labels)
    write_bits(folder / "000000.bin", labels > 0)
    write_bits(folder / "000000.invalid", np.zeros(GRID.shape, bool))
    predicted = classes_of(labels)
    predicted[predicted == IGNORED] = 13
    write_prediction(prediction_path(tmp_path, "08", 0), predicted)
    truth = read_voxel_truth(voxel_files(tmp_path, "08")[0])
    counts = count_ranges(read_prediction(prediction_path(tmp_path, "08", 0)), truth)
    for of_range in counts.by_range:
        assert of_range.mean_iou == of_range.completion.iou == 1.0
        assert of_range.official_mean_iou == pytest.approx(2 / 19)


def test_masks_of_occ3d(tmp_path):
    """A camera sees the first two voxels, LiDAR knows the last two."""
    semantics = np.full((200, 200, 16), FREE, np.uint8)
    camera, lidar = np.zeros((2, 200, 200, 16), np.uint8)
    semantics[0, 0, :3], camera[0, 0, :2], lidar[0, 0, 1:3] = 4, 1, 1
    path = tmp_path / "labels.npz"
    np.savez_compressed(path, semantics=semantics, mask_camera=camera, mask_lidar=lidar)
    truth, predicted = read_truth(path), semantics.copy()
    predicted[0, 0, 2] = FREE
    seen = count_classes(predicted, truth.semantics, truth.observed, SCENE_NAMES, "free")
    known = count_classes(predicted, truth.semantics, read_lidar_mask(path), SCENE_NAMES, "free")
    assert (seen.mean_iou, known.mean_iou) == (1.0, 0.5)
    assert known.completion == OccupancyCounts(1, 0, 1)
