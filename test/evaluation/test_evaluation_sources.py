"""Where predictions come from: a network, the bag of a node, files in either layout."""

import subprocess
import sys

import numpy as np
import pytest
from evaluation_drives import (
    drive_of,
    job,
    numbers_of,
    quietly,
    write_bag,
    write_kitti_predictions,
    write_labels,
)

from occflow_ros import config
from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.data.kitti_odometry import voxel_files
from occflow_ros.data.recorded_predictions import read_predictions
from occflow_ros.data.semantic_kitti import EMPTY, GRID
from occflow_ros.data.semantic_kitti import NAMES as KITTI_NAMES
from occflow_ros.data.semantic_kitti_voxels import read_prediction, read_voxel_truth
from occflow_ros.data.truth import write_truth
from occflow_ros.demo import run as demo_run
from occflow_ros.evaluation.run import Evaluator, evaluate
from occflow_ros.evaluation.sources import BagSource, LabelSource
from occflow_ros.evaluation.subject import Subject
from occflow_ros.labels.store import label_path

VELOCITY_SCALE_MPS = 0.01  # of the message


def assert_same_numbers(from_bag, offline):
    """All of the protocol, but for what the message rounds."""
    assert from_bag.keys() == offline.keys()
    for name, value in offline.items():
        tolerance = VELOCITY_SCALE_MPS if name.endswith("_mps") else 0.0
        tolerance = 0.1 * VELOCITY_SCALE_MPS if name.endswith("occ_score") else tolerance
        assert from_bag[name] == pytest.approx(value, abs=tolerance, rel=0, nan_ok=True), name


def test_messages_of_the_same_predictions_give_the_same_numbers(
    written, tiny_preset, tiny_weights, tmp_path
):
    settings = config.resolve(str(tiny_preset))
    asked = job("nuscenes", written("recording"), config=settings, weights=tiny_weights)
    offline = Evaluator(asked)
    (subject,) = offline.subjects.values()
    scenes = {
        subject.drive.sets[index].images["cam_front"].stamp_ns: prediction.scene
        for index, prediction in offline.source.predictions(subject, subject.sets)
    }
    assert len(scenes) == 4
    assert all(scene.moving.any() for scene in scenes.values())
    bag = write_bag(tmp_path / "bag", scenes)
    from_bag = numbers_of(job("nuscenes", written("recording"), predictions=bag), tmp_path / "bag-")
    assert_same_numbers(from_bag, numbers_of(asked, tmp_path / "offline"))
    assert from_bag["agnostic_mave_tp_mps"] > 10 * VELOCITY_SCALE_MPS


@pytest.mark.skipif(
    not demo_run.has_ros(), reason="rclpy or the built messages are not on the path"
)
def test_the_recorded_bag_of_the_node_gives_the_same_numbers(
    written, tiny_preset, tiny_weights, tmp_path
):
    """Over DDS, as `occflow demo` records it; up to the first set that the node dropped."""
    data, out = written("recording"), tmp_path / "demo"
    command = [sys.executable, "-m", "occflow_ros.cli", "demo", "--preset", str(tiny_preset)]
    command += ["--source", str(data), "--out", str(out), "--rate", "0.1"]
    command += ["--weights", str(tiny_weights)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    spoken = read_predictions(out / "bag")
    stamps_ns = [one.images["cam_front"].stamp_ns for one in drive_of(data).sets]
    sets = range([*(stamp_ns in spoken for stamp_ns in stamps_ns), False].index(False))
    assert sets
    settings = config.resolve(str(tiny_preset))
    offline = job("nuscenes", data, config=settings, weights=tiny_weights, sets=sets)
    from_bag = job("nuscenes", data, predictions=out / "bag", sets=sets)
    numbers = numbers_of(from_bag, tmp_path / "bag")
    assert_same_numbers(numbers, numbers_of(offline, tmp_path / "offline"))
    assert numbers["agnostic_mave_tp_mps"] > 10 * VELOCITY_SCALE_MPS


def test_two_bags_of_one_name_are_told_apart(written, tmp_path):
    (subject,) = Evaluator(job("nuscenes", written("recording"))).subjects.values()
    truth = LabelSource(write_labels(subject.drive, tmp_path / "labels"))
    scenes = {number: one.scene for number, one in truth.predictions(subject, range(1))}
    names = {BagSource(write_bag(tmp_path / run / "bag", scenes)).name for run in "ab"}
    assert len(names) == 2


def test_sets_that_the_node_has_not_processed(written, tmp_path):
    data = written("recording")
    drive = drive_of(data)
    (subject,) = Evaluator(job("nuscenes", data)).subjects.values()
    truth = LabelSource(write_labels(drive, tmp_path / "labels"))
    (_, first), *_ = truth.predictions(subject, subject.sets)
    stamp_ns = drive.sets[2].images["cam_front"].stamp_ns
    bag = write_bag(tmp_path / "bag", {stamp_ns: first.scene})
    found = dict(BagSource(bag).predictions(subject, subject.sets))
    assert [index for index, prediction in found.items() if prediction is not None] == [2]
    image = drive.sets[2].images["cam_front"]
    np.testing.assert_array_equal(found[2].odom_T_base, image.odom_T_base)
    outcome = evaluate(job("nuscenes", data, predictions=bag), tmp_path / "out", 1, quietly)
    assert outcome.missing == [(drive.name, 0), (drive.name, 1), (drive.name, 3)]


def test_numbers_of_classes_are_not_mixed_up(written, tmp_path):
    """Voxels numbered as nuScenes has them give SemanticKITTI's IoU, and no mIoU."""
    data = written("semantickitti")
    drive = drive_of(data)
    truth = read_voxel_truth(voxel_files(data, "08")[0])
    semantics = np.full(GRID.shape, FREE, np.uint8)
    semantics[truth.occupied & truth.counted] = NAMES.index("car")
    still = np.zeros((*GRID.shape, 2), np.float32)
    path = label_path(tmp_path / "labels", drive, drive.sets[0])
    path.parent.mkdir(parents=True)
    everywhere = np.ones(GRID.shape, bool)
    write_truth(path, OccupancyTruth(semantics, still, everywhere, GRID.lower_m, GRID.upper_m))
    asked = job("semantickitti", data, predictions=tmp_path / "labels")
    numbers = numbers_of(asked, tmp_path / "out")
    assert numbers["iou_51.2m"] == numbers["pooled_ray_iou"] == 1.0
    assert np.isnan(numbers["miou_51.2m"])


def test_files_of_semantic_kitti_are_standing_voxels_with_its_classes(written, tmp_path):
    data = written("semantickitti")
    drive = drive_of(data)
    folder = write_kitti_predictions(data, tmp_path)
    source = LabelSource(folder)
    (_, first), (_, second) = source.predictions(Subject(data, drive, range(2)), range(2))
    classes = read_prediction(folder / "sequences" / "08" / "predictions" / "000000.label")
    np.testing.assert_array_equal(first.classes_in(KITTI_NAMES, EMPTY), classes)
    np.testing.assert_array_equal(first.scene.occupied, classes != EMPTY)
    assert first.classes_in(NAMES, FREE) is None
    assert not first.scene.velocity_mps.any()
    assert second is None
