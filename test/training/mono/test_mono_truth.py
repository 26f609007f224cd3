"""True classes by name, on the grid of the network."""

import os

import kitti_sets
import mono_drives
import numpy as np
import pytest

from occflow_ros.data import kitti_odometry, semantic_kitti
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.data.semantic_kitti_voxels import write_bits, write_labels
from occflow_ros.data.vocabulary import SEMANTIC_KITTI
from occflow_ros.errors import DataError
from occflow_ros.metrics.coarsen import coarsen_classes
from occflow_ros.mono_config import ClassesConfig
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid
from occflow_ros.training.mono.truth import class_truth, labelled_sets

UNKNOWN = UNKNOWN_CLASS_ID
KITTI = ClassesConfig()
CAR, ROAD, EMPTY = (semantic_kitti.NAMES.index(name) for name in ("car", "road", "empty"))
FINE = VoxelGrid(*mono_drives.BOX, (4, 4, 2))
COARSE = VoxelGrid(*mono_drives.BOX, (2, 2, 1))


def found(folder, truth, grid, classes):
    drive = mono_drives.write_drive(folder, [truth])
    return class_truth(mono_drives.InFolder(folder, drive), 0, grid, classes)


def test_classes_are_matched_by_name(tmp_path):
    truth = mono_drives.truth(car=(0, 1, 0), manmade=(3, 3, 1))
    classes = mono_drives.network_classes("nothing", "road", "car", empty="nothing")
    expected = np.zeros((4, 4, 2), np.uint8)  # what is free is nothing
    expected[0, 1, 0] = 2
    expected[3, 3, 1] = UNKNOWN  # the network knows no manmade things
    got = found(tmp_path, truth, FINE, classes)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, expected)


def test_what_no_camera_sees_is_unknown(tmp_path):
    observed = np.ones((4, 4, 2), bool)
    observed[0, 1, 0] = observed[2, 2, 1] = False
    truth = mono_drives.truth(observed=observed, car=[(0, 1, 0), (1, 1, 0)])
    got = found(tmp_path, truth, FINE, mono_drives.network_classes())
    assert np.argwhere(got == UNKNOWN).tolist() == [[0, 1, 0], [2, 2, 1]]
    assert np.argwhere(got == mono_drives.NAMES.index("car")).tolist() == [[1, 1, 0]]


def test_coarse_voxels_hold_the_majority(tmp_path):
    """Movable first; a part of a voxel that is occupied and hidden hides all of it."""
    observed = np.ones((4, 4, 2), bool)
    observed[2, 2, 0] = observed[2, 0, 0] = False
    truth = mono_drives.truth(
        observed=observed,
        manmade=[(0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 2, 0), (1, 3, 1), (2, 2, 0)],
        vegetation=(0, 3, 0),
        car=(1, 1, 0),
    )
    got = found(tmp_path, truth, COARSE, mono_drives.network_classes())
    car, manmade, free = (mono_drives.NAMES.index(n) for n in ("car", "manmade", "free"))
    assert got[..., 0].tolist() == [[car, manmade], [free, UNKNOWN]]


@pytest.mark.parametrize("shape", [(8, 4, 2), (3, 4, 2)])
def test_other_grids_are_refused(shape, tmp_path):
    grid = VoxelGrid(*mono_drives.BOX, shape)
    with pytest.raises(DataError, match="made, set 0: expected true voxels on .*got VoxelGrid"):
        found(tmp_path, mono_drives.truth(), grid, mono_drives.network_classes())


def test_data_without_a_common_class_is_refused(tmp_path):
    classes = mono_drives.network_classes("free", "tree")
    with pytest.raises(DataError, match=r"expected classes out of \['free', 'tree'\], got"):
        found(tmp_path, mono_drives.truth(), FINE, classes)


def test_sets_without_a_file_are_not_labelled(tmp_path):
    drive = mono_drives.write_drive(tmp_path, [None, mono_drives.truth(), None])
    one = mono_drives.InFolder(tmp_path, drive)
    assert labelled_sets(one) == [1]
    with pytest.raises(DataError, match="expected true voxels of set 2 of made"):
        class_truth(one, 2, FINE, mono_drives.network_classes())


def test_coarse_classes_of_another_vocabulary():
    """Empty is 0 there, and a label without a class says that something is there."""
    fine = np.zeros((4, 2, 2), np.uint8)
    fine[0, 0, 0] = fine[0, 0, 1] = ROAD
    fine[1, 1, 1] = CAR
    fine[2, 0, 0] = UNKNOWN
    known = fine != UNKNOWN
    coarse, coarse_known = coarsen_classes(fine, known, (2, 1, 1), SEMANTIC_KITTI)
    assert coarse[0, 0, 0] == CAR
    assert coarse_known.ravel().tolist() == [True, False]


@pytest.fixture(scope="module")
def kitti(tmp_path_factory):
    """All training sequences of SemanticKITTI and one to test on; voxels of frame 0 of each."""
    root, recorded = tmp_path_factory.mktemp("kitti"), kitti_sets.record()
    labels, invalid = (
        np.zeros(semantic_kitti.GRID.shape, np.uint16),
        np.zeros(semantic_kitti.GRID.shape, bool),
    )
    labels[0, 0, :4] = 252, 40, 52, 10  # a moving car, road, of no class, a car
    invalid[0, 0, 3:5] = True
    write_labels(root / "one.label", labels)
    write_bits(root / "one.invalid", invalid)
    write_bits(root / "one.bin", labels > 0)
    for sequence in (*kitti_odometry.TRAINING, "11"):
        kitti_sets.write_odometry(root, recorded, sequence)
        voxels = root / "sequences" / sequence / "voxels"
        voxels.mkdir()
        for suffix in ("bin", "label", "invalid") if sequence != "11" else ("bin",):
            os.link(root / f"one.{suffix}", voxels / f"000000.{suffix}")
    return root


def test_the_official_split_trains_on_its_labelled_frames(kitti):
    drives = list(open_drives(kitti, Selection(split="train")))
    assert tuple(drive.name for drive in drives) == kitti_odometry.TRAINING
    assert all(labelled_sets(mono_drives.InFolder(kitti, one)) == [0] for one in drives)


def test_test_sequences_are_not_labelled(kitti):
    (drive,) = open_drives(kitti, Selection(("11",)))
    assert labelled_sets(mono_drives.InFolder(kitti, drive)) == []


def test_classes_of_semantic_kitti(kitti):
    (drive,) = open_drives(kitti, Selection(("00",)))
    one = mono_drives.InFolder(kitti, drive)
    got = class_truth(one, 0, semantic_kitti.GRID, KITTI)
    assert got[0, 0, :6].tolist() == [CAR, ROAD, UNKNOWN, UNKNOWN, UNKNOWN, EMPTY]
    assert (got == EMPTY).sum() == got.size - 5
    coarse = class_truth(one, 0, semantic_kitti.GRID.coarsen(2), KITTI)
    assert coarse[0, 0, :3].tolist() == [CAR, UNKNOWN, EMPTY]
