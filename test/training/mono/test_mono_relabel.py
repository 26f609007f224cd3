"""Drives to learn from with labels of another folder, in each layout; and what Table 6 counts."""

from dataclasses import replace

import mono_drives
import numpy as np
import pytest

from occflow_ros.data import openocc, semantic_kitti
from occflow_ros.data.drive import OCC3D_GRID, OccupancyTruth
from occflow_ros.data.semantic_kitti_voxels import write_bits, write_labels
from occflow_ros.data.truth import read_truth, write_truth
from occflow_ros.errors import DataError
from occflow_ros.labels.store import label_path
from occflow_ros.training.mono.autolabel import LabelWorth, label_worth
from occflow_ros.training.mono.dataset import MonoDrive
from occflow_ros.training.mono.relabel import label_digest, relabelled
from occflow_ros.training.mono.truth import labelled_sets, read_voxel_classes


@pytest.fixture
def one(tmp_path):
    """Two labelled sets, and a file that says what the points of the first are."""
    truth = mono_drives.truth(car=(0, 1, 0))
    drive = mono_drives.write_drive(tmp_path / "made", [truth, truth])
    first = replace(drive.sets[0], point_labels=tmp_path / "points.label")
    return MonoDrive(tmp_path / "made", replace(drive, sets=(first, drive.sets[1])), range(2))


def write(path, truth, writer=write_truth):
    path.parent.mkdir(parents=True)
    writer(path, truth)


def test_labels_of_a_folder_take_the_place_of_all_that_people_said(one, tmp_path):
    other = mono_drives.truth(bus=(1, 1, 1))
    write(label_path(tmp_path / "pseudo", one.drive, one.drive.sets[1]), other)
    (found,) = relabelled([one], tmp_path / "pseudo")
    assert labelled_sets(found) == [1]
    np.testing.assert_array_equal(read_voxel_classes(found, 1).class_id, other.semantics)
    assert found.drive.sets[0].point_labels is None
    assert labelled_sets(one) == [0, 1]


def test_openocc_in_its_folder_is_found(one, tmp_path):
    shape = OCC3D_GRID.shape
    observed = np.zeros(shape, bool)
    observed[3] = True
    semantics = np.full(shape, mono_drives.NAMES.index("free"), np.uint8)
    truth = OccupancyTruth(semantics, np.zeros((*shape, 2), np.float32), observed)
    path = label_path(tmp_path / "pseudo" / openocc.FOLDER, one.drive, one.drive.sets[0])
    write(path, truth, lambda file, what: openocc.write_openocc(file, what, with_observed=True))
    (found,) = relabelled([one], tmp_path / "pseudo")
    np.testing.assert_array_equal(read_voxel_classes(found, 0).known, observed)


def test_voxel_files_of_semantic_kitti_are_found(one, tmp_path):
    folder = tmp_path / "pseudo" / "sequences" / "made" / "voxels"
    folder.mkdir(parents=True)
    invalid = np.zeros(semantic_kitti.GRID.shape, bool)
    invalid[:, 0] = True
    write_bits(folder / "000001.bin", ~invalid)
    write_bits(folder / "000001.invalid", invalid)
    write_labels(folder / "000001.label", np.full(invalid.shape, 40, np.uint16))
    (found,) = relabelled([one], tmp_path / "pseudo")
    assert labelled_sets(found) == [1]
    classes = read_voxel_classes(found, 1)
    assert (classes.class_id == semantic_kitti.NAMES.index("road")).all()
    np.testing.assert_array_equal(classes.known, ~invalid)


def test_drives_without_labels_there_keep_their_own(one, tmp_path):
    other = replace(one, drive=replace(one.drive, name="other"))
    write(label_path(tmp_path / "pseudo", one.drive, one.drive.sets[0]), mono_drives.truth())
    changed, kept = relabelled([one, other], tmp_path / "pseudo")
    assert changed is not one
    assert kept is other


def test_a_folder_without_labels_of_any_is_refused(one, tmp_path):
    with pytest.raises(DataError, match="expected labels of one of made, found none"):
        relabelled([one], tmp_path / "nowhere")


def test_other_labels_in_the_same_place_are_told_apart(one):
    before = label_digest([one])
    assert label_digest([one]) == before
    write_truth(one.drive.sets[0].occupancy, mono_drives.truth(bus=(0, 1, 0)))
    assert label_digest([one]) != before


def test_worth_is_that_of_what_both_know(one, tmp_path):
    """The car is said to be a bus, in the one set that has labels; elsewhere all is right."""
    config = mono_drives.config()
    own = read_truth(one.drive.sets[0].occupancy)
    path = label_path(tmp_path / "pseudo", one.drive, one.drive.sets[0])
    write(path, mono_drives.truth(bus=(0, 1, 0), manmade=(2, 2, 0)))
    write_truth(one.drive.sets[0].occupancy, mono_drives.truth(car=(0, 1, 0), manmade=(2, 2, 0)))
    pseudo = relabelled([one], tmp_path / "pseudo")
    worth = label_worth(pseudo, [one], config)
    assert worth == LabelWorth(pytest.approx(1 / 3), pytest.approx(1.0), pytest.approx(0.5))
    observed = own.semantics != mono_drives.NAMES.index("car")
    hidden = mono_drives.truth(bus=(0, 1, 0), manmade=(2, 2, 0), observed=observed)
    write_truth(path, hidden)
    assert label_worth(pseudo, [one], config).miou == 1.0


def test_worth_of_labels_nobody_can_judge_is_unknown(one):
    sets = tuple(replace(at, occupancy=None) for at in one.drive.sets)
    unlabelled = replace(one, drive=replace(one.drive, sets=sets))
    assert np.isnan(label_worth([one], [unlabelled], mono_drives.config()).miou)
