"""What cannot be evaluated says what was expected and what came; the command in one line."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from evaluation_drives import (
    GRID,
    drive_of,
    job,
    quietly,
    write_bag,
    write_kitti_predictions,
    write_labels,
)

from occflow_ros import cli
from occflow_ros.data.scene import VoxelScene
from occflow_ros.errors import DataError
from occflow_ros.evaluation.protocols import PROTOCOLS
from occflow_ros.evaluation.run import Cues, evaluate
from occflow_ros.evaluation.sources import open_predictions
from occflow_ros.evaluation.subject import Subject
from occflow_ros.labels.store import label_path
from occflow_ros.structures import VoxelGrid


@pytest.fixture
def fails(tmp_path):
    """Evaluates and gives the message; what could not be evaluated leaves the folder free."""

    def message(asked, out="out"):
        with pytest.raises(DataError) as caught:
            evaluate(asked, tmp_path / out, 1, quietly)
        return str(caught.value)

    return message


def one_voxel():
    occupied = np.zeros(GRID.shape, bool)
    occupied[3, 4, 5] = True
    return VoxelScene(GRID, occupied, np.zeros((*GRID.shape, 2), np.float32))


def test_data_without_the_truth_of_the_protocol(fails, written, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(written("nuscenes"), data, ignore=shutil.ignore_patterns("gts", "openocc_v2"))
    for protocol, expected in {
        "nuscenes": "expected occupancy labels in gts or openocc_v2",
        "synthetic": "expected exact occupancy",
        "semantickitti": "expected .label files",
        "kitti-flow": "expected optical flow, got none",
    }.items():
        message = fails(job(protocol, data))
        assert expected in message
        assert "synthetic-0001" in message


def test_drives_without_lidar(written):
    drive = drive_of(written("recording"))
    blind = replace(drive, sets=tuple(replace(one, lidar=None) for one in drive.sets))
    has_cues = SimpleNamespace(has_flow=True)
    subject = Subject(written("recording"), blind, range(4), cues=has_cues)
    for protocol in ("depth", "kitti-flow"):
        with pytest.raises(DataError, match=f"{drive.name}: expected LiDAR sweeps, found none"):
            PROTOCOLS[protocol].compared(subject)


def test_cues_that_nobody_made(fails, written, tmp_path):
    cues = Cues(tmp_path / "nowhere", "dis", None)
    message = fails(job("kitti-flow", written("recording"), cues=cues))
    assert "nowhere" in message and "occflow cues" in message


def test_exact_occupancy_of_another_box(fails, written):
    """Of 80 m, for a network that sees 16 m."""
    message = fails(job("synthetic", written("nuscenes")))
    assert "labels.npz: expected occupancy over the box of the prediction" in message
    assert "upper_m=(8.0, 8.0, 3.0)" in message


def test_fewer_sets_than_are_skipped(fails, written):
    message = fails(job("synthetic", written("recording"), every=5))
    assert "expected drives with 5 sets to compare" in message and "got at most 4" in message


def test_damaged_label_files_are_named(fails, written, tmp_path):
    drive = drive_of(written("recording"))
    folder = write_labels(drive, tmp_path / "predictions")
    path = label_path(folder, drive, drive.sets[2])
    path.write_bytes(path.read_bytes()[:200])
    message = fails(job("nuscenes", written("recording"), predictions=folder))
    assert message.startswith(f"{path}: expected an npz")
    message = fails(job("nuscenes", written("recording"), labels=folder, sets=range(2, 3)), "out2")
    assert message.startswith(f"{path}: expected an npz")


def test_damaged_predictions_of_semantic_kitti_are_named(fails, written, tmp_path):
    folder = write_kitti_predictions(written("semantickitti"), tmp_path / "predictions")
    path = folder / "sequences" / "08" / "predictions" / "000000.label"
    path.write_bytes(path.read_bytes()[:1000])
    message = fails(job("semantickitti", written("semantickitti"), predictions=folder))
    assert message == f"{path}: expected 4194304 bytes for 256x256x32 voxels, got 1000"


def test_labels_of_another_drive(fails, written, tmp_path):
    drive = drive_of(written("recording"))
    folder = write_labels(replace(drive, name="another"), tmp_path / "predictions")
    message = fails(job("nuscenes", written("recording"), predictions=folder))
    assert (
        f"{folder}: expected predictions of 4 sets, the first one that of {drive.name}" in message
    )
    assert str(drive.sets[0].stamp_ns) in message and message.endswith("found none")
    message = fails(job("nuscenes", written("recording"), labels=folder))
    assert f"{folder}: expected labels of {drive.name}" in message


def test_the_bag_of_another_drive(fails, written, tmp_path):
    bag = write_bag(tmp_path / "bag", {1_000_000_000: one_voxel()})
    message = fails(job("nuscenes", written("recording"), predictions=bag))
    assert f"{bag}, 1 predictions: expected predictions of 4 sets" in message


@pytest.mark.parametrize("kind", ["missing", "empty", "without predictions", "cut", "off the grid"])
def test_folders_that_hold_no_predictions(tmp_path, kind):
    folder = tmp_path / "predictions"
    if kind == "empty":
        folder.mkdir()
    if kind == "without predictions":
        write_bag(folder, {})
    if kind == "cut":
        write_bag(folder, {1: one_voxel()})
        (recorded,) = folder.glob("*.mcap")
        recorded.write_bytes(recorded.read_bytes()[:500])
    if kind == "off the grid":
        small = VoxelGrid(GRID.lower_m, GRID.upper_m, (1, 1, 1))
        scene = one_voxel()
        claimed = SimpleNamespace(
            grid=small, occupied=scene.occupied, velocity_mps=scene.velocity_mps
        )
        write_bag(folder, {1: claimed})
    with pytest.raises(DataError, match=f"{folder}: expected"):
        open_predictions(folder)


@pytest.mark.parametrize(
    ("more", "mention"),
    [
        (["--protocol", "kitti-flow"], "expected optical flow, got none"),
        (["--protocol", "semantickitti"], "expected .label files"),
        (["--protocol", "nuscenes", "--data", "/nowhere"], "/nowhere"),
        (["--protocol", "nuscenes", "--predictions", "/nowhere"], "/nowhere: expected a rosbag2"),
        (["--protocol", "nuscenes", "--labels", "/nowhere"], "/nowhere: expected labels of"),
        (["--protocol", "depth", "--weights", "/nowhere/w.safetensors"], "/nowhere/w.safetensors"),
        (["--protocol", "depth", "--each", "9", "--weights", "untrained"], "got at most 4"),
    ],
)
def test_the_command_says_so_in_one_line(written, tiny_preset, tmp_path, capsys, more, mention):
    arguments = ["evaluate", "--data", str(written("recording")), "--out", str(tmp_path / "out")]
    untrained = [] if {"--weights", "--predictions"} & set(more) else ["--weights", "untrained"]
    assert cli.main([*arguments, "--preset", str(tiny_preset), *untrained, *more]) == 1
    error = capsys.readouterr().err
    assert error.startswith("occflow: error: ") and error.count("\n") == 1
    assert mention in error
