"""Labels of OpenOcc, whose class numbers are not those of Occ3D."""

from dataclasses import replace

import numpy as np
import pytest

from occflow_ros.data.classes import FREE, NAMES, OPENOCC_NAMES
from occflow_ros.data.drive import OCC3D_GRID, OccupancyTruth
from occflow_ros.data.nuscenes import read_nuscenes
from occflow_ros.data.nuscenes_writer import nuscenes_writer
from occflow_ros.data.openocc import fits_openocc, from_openocc, write_openocc
from occflow_ros.data.truth import read_truth, write_truth
from occflow_ros.errors import DataError

CAR, ROAD, OTHERS = (NAMES.index(name) for name in ("car", "driveable_surface", "others"))


def scene():
    """A road, and a car on it that drives ahead and to the left."""
    semantics = np.full(OCC3D_GRID.shape, FREE, np.uint8)
    velocity_mps = np.zeros((*OCC3D_GRID.shape, 2), np.float32)
    semantics[..., 2] = ROAD
    semantics[120:130, 98:103, 3:6] = CAR
    velocity_mps[120:130, 98:103, 3:6] = (8.0, 0.5)
    observed = semantics == ROAD
    return OccupancyTruth(semantics, velocity_mps, observed)


def test_official_numbers_by_hand(tmp_path):
    """0 car, 1 truck, 2 trailer, 3 bus, … 9 barrier, 10 driveable surface, … 16 free."""
    semantics = np.full((200, 200, 16), 16, np.uint8)
    semantics[1, 2, :6] = (0, 1, 3, 9, 10, 15)
    flow = np.zeros((200, 200, 16, 2), np.float16)
    flow[1, 2, 0] = (7.5, -2.0)
    np.savez_compressed(tmp_path / "labels.npz", semantics=semantics, flow=flow)
    truth = read_truth(tmp_path / "labels.npz")
    assert [NAMES[number] for number in truth.semantics[1, 2, :7]] == [
        "car",
        "truck",
        "bus",
        "barrier",
        "driveable_surface",
        "vegetation",
        "free",
    ]
    assert truth.velocity_mps[1, 2, 0].tolist() == [7.5, -2.0]
    assert truth.observed.all()
    assert truth.grid == OCC3D_GRID


def test_unknown_velocities_stay_unknown(tmp_path):
    semantics = np.full((200, 200, 16), 16, np.uint8)
    flow = np.zeros((200, 200, 16, 2), np.float32)
    semantics[5, 5, 5], flow[5, 5, 5] = 7, np.nan
    np.savez_compressed(tmp_path / "labels.npz", semantics=semantics, flow=flow)
    velocity_mps = read_truth(tmp_path / "labels.npz").velocity_mps
    assert np.argwhere(np.isnan(velocity_mps[..., 0])).tolist() == [[5, 5, 5]]


def test_what_is_written_is_official(tmp_path):
    truth = scene()
    write_openocc(tmp_path / "labels.npz", truth)
    with np.load(tmp_path / "labels.npz") as file:
        assert sorted(file.files) == ["flow", "semantics"]
        assert file["semantics"].dtype == np.uint8
        assert np.unique(file["semantics"]).tolist() == [0, 10, 16]
        assert file["flow"].dtype == np.float16
    again = read_truth(tmp_path / "labels.npz")
    np.testing.assert_array_equal(again.semantics, truth.semantics)
    np.testing.assert_array_equal(again.velocity_mps, truth.velocity_mps)


def test_the_order_holds_every_class_but_others():
    numbers = from_openocc(np.arange(len(OPENOCC_NAMES)))
    assert sorted(numbers.tolist()) == [n for n in range(len(NAMES)) if n != OTHERS]


def test_files_with_masks_keep_the_numbers_of_occ3d(tmp_path):
    truth = scene()
    write_truth(tmp_path / "labels.npz", truth)
    np.testing.assert_array_equal(read_truth(tmp_path / "labels.npz").semantics, truth.semantics)


def test_what_openocc_cannot_say_is_refused(tmp_path, made):
    truth = scene()
    truth.semantics[0, 0, 0] = OTHERS
    for unfit in (truth, made.truth(0)):
        assert not fits_openocc(unfit)
        with pytest.raises(ValueError, match="without the class others, got one on"):
            write_openocc(tmp_path / "labels.npz", unfit)
    assert list(tmp_path.iterdir()) == []


def test_other_numbers_are_named(tmp_path):
    shape = (4, 4, 4)
    arrays = {"semantics": np.full(shape, 17, np.uint8), "flow": np.zeros((*shape, 2))}
    np.savez(tmp_path / "labels.npz", **arrays)
    with pytest.raises(DataError, match="OpenOcc's classes 0 to 16, .* got 17 to 17"):
        read_truth(tmp_path / "labels.npz")


def test_a_written_scene_has_both_layouts(tmp_path, made):
    with nuscenes_writer(tmp_path / "set", "v1.0-own", made.header()) as writer:
        writer.add_set(replace(made.keyframe(0), occupancy=scene()))
    drive = read_nuscenes(tmp_path / "set", "v1.0-own")
    token, occupancy = drive.sets[0].token, drive.sets[0].occupancy
    assert occupancy == tmp_path / "set" / "gts" / "scene-0001" / token / "labels.npz"
    openocc = tmp_path / "set" / "openocc_v2" / "scene-0001" / token / "labels.npz"
    np.testing.assert_array_equal(read_truth(openocc).semantics, scene().semantics)
    occupancy.unlink()
    assert read_nuscenes(tmp_path / "set", "v1.0-own").sets[0].occupancy == openocc


def test_other_grids_have_one_layout(tmp_path, made):
    with nuscenes_writer(tmp_path / "set", "v1.0-own", made.header()) as writer:
        writer.add_set(made.keyframe(0))
    assert not (tmp_path / "set" / "openocc_v2").exists()
