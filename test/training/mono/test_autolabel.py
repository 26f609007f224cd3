"""The loop of `occflow autolabel`: predictions are refined, written as labels and trained on."""

import json
import shutil

import numpy as np
import pytest
import training_drives
import yaml
from tiny_network import HW_PX

from occflow_ros.cli import main
from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.data.truth import read_truth, write_truth
from occflow_ros.depth.folder import DepthFolder
from occflow_ros.labels.store import label_path, with_labels

ATTENTION = {"layers": 1, "heads": 2, "points": 2}
GRID = training_drives.GRID
ROWS = ("labels alone", "onboard model", "true labels", "refined")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A drive of three sets, predictions that are true but for one set, depth and settings."""
    folder = tmp_path_factory.mktemp("autolabel")
    one = training_drives.write("nuscenes", folder)
    depth = DepthFolder(folder / "depth")
    for camera_set in one.drive.sets:
        for name, image in camera_set.images.items():
            depth.write(one.drive.name, name, image.stamp_ns, np.full((8, 16), 6.0))
        path = label_path(folder / "predictions", one.drive, camera_set)
        path.parent.mkdir(parents=True)
        truth = read_truth(camera_set.occupancy)
        semantics = truth.semantics if camera_set is not one.drive.sets[1] else wrong(truth)
        everywhere = np.ones(semantics.shape, bool)
        box = truth.lower_m, truth.upper_m
        write_truth(path, OccupancyTruth(semantics, truth.velocity_mps, everywhere, *box))
    settings = {
        "preset": "mono_nano",
        "model": {
            "grid": {"lower_m": GRID.lower_m, "upper_m": GRID.upper_m, "shape": GRID.shape},
            "image_hw_px": HW_PX,
            "backbone": {"depths": [1, 1, 1, 1], "widths": [4, 8, 8, 16]},
            "channels": 8,
            "lifting": ATTENTION,
            "completion": ATTENTION,
            "conditioning": ATTENTION,
            "cross_view": {"heads": 2},
        },
        "train": {"samples_per_step": 1},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(settings))))
    return folder


def wrong(truth):
    """A wall all around, high above the ground."""
    semantics = truth.semantics.copy()
    semantics[..., 1] = NAMES.index("manmade")
    return semantics


def drive_of(made):
    (drive,) = open_drives(made / "drive", Selection())
    return drive


def autolabel(made, out, *options, predictions="predictions"):
    arguments = ("--data", made / "drive", "--input", made / predictions, "--out", out, *options)
    return main(["autolabel", *map(str, arguments)])


def training(made, *options):
    return (
        *("--train-on", made / "drive", "--validate", made / "drive", "--depth", made / "depth"),
        *("--preset", made / "tiny.yaml", "--steps", 1, "--loaders", 0, *options),
    )


def test_labels_are_those_of_the_vote(made, tmp_path, capsys):
    """Of three frames the two that are right win where the third is wrong."""
    assert autolabel(made, tmp_path / "out") == 0
    drive = drive_of(made)
    labelled = with_labels(drive, tmp_path / "out" / "labels")
    label, truth = (read_truth(one.sets[1].occupancy) for one in (labelled, drive))
    known = label.observed & truth.observed
    assert 0 < label.observed.mean() < 1
    predicted = wrong(truth)
    assert (label.semantics == truth.semantics)[known].mean() > 0.9
    assert (predicted == truth.semantics)[known].mean() < 0.9
    assert "labels of 3 sets made, 0 kept" in capsys.readouterr().out


def test_a_second_run_keeps_what_is_there(made, tmp_path, capsys):
    out = tmp_path / "out"
    assert autolabel(made, out) == 0
    files = sorted((out / "labels").rglob("labels.npz"))
    files[0].unlink()
    before = [path.stat().st_mtime_ns for path in files[1:]]
    assert autolabel(made, out) == 0
    assert "labels of 1 sets made, 2 kept" in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in files[1:]] == before
    assert autolabel(made, out, "--label-radius", 1) == 1
    assert "give another --out" in capsys.readouterr().err


def test_the_table_has_all_rows_and_is_not_trained_twice(made, tmp_path, capsys):
    out = tmp_path / "out"
    assert autolabel(made, out, *training(made, "--upper-bound")) == 0
    printed = capsys.readouterr().out
    assert all(row in printed for row in ROWS)
    told = json.loads((out / "autolabel.json").read_text())
    rows = {row["variant"]: row for row in told["tables"]["autolabel"]["rows"]}
    assert list(rows) == ["labels", "onboard", "true", "refined"]
    assert told["worth"]["refined"]["known"] > told["worth"]["onboard"]["known"] > 0
    assert (out / "autolabel.md").read_text().startswith("## Labels by people")
    results = sorted((out / "training").rglob("result.json"))
    before = [path.stat().st_mtime_ns for path in results]
    assert len(results) == len(ROWS)
    assert autolabel(made, out, *training(made, "--upper-bound")) == 0
    assert [path.stat().st_mtime_ns for path in results] == before


def test_labels_of_a_folder_are_trained_on(made, tmp_path):
    """`occflow train --labels` with what `occflow autolabel` left."""
    assert autolabel(made, tmp_path / "out") == 0
    arguments = (
        *("train", "--model", "mono", "--preset", made / "tiny.yaml", "--data", made / "drive"),
        *("--depth", made / "depth", "--workers", 0, "--set", "train.steps=1"),
        *("--labels", tmp_path / "out" / "labels", "--out", tmp_path / "run"),
    )
    assert main([str(argument) for argument in arguments]) == 0
    assert (tmp_path / "run" / "weights.safetensors").is_file()


@pytest.fixture
def spoilt(made):
    """A second folder of predictions, to change."""
    shutil.copytree(made / "predictions", made / "spoilt", dirs_exist_ok=True)
    yield made / "spoilt"
    shutil.rmtree(made / "spoilt")


def test_a_drive_without_predictions_is_named(made, spoilt, tmp_path, capsys):
    name = drive_of(made).name
    (spoilt / name).rename(spoilt / "another")
    assert autolabel(made, tmp_path / "out", predictions="spoilt") == 1
    error = capsys.readouterr().err
    assert "expected predictions" in error
    assert name in error


def test_frames_on_another_grid_are_refused(made, spoilt, tmp_path, capsys):
    path = sorted(spoilt.rglob("labels.npz"))[-1]
    semantics = np.full((4, 4, 4), FREE, np.uint8)
    nothing = np.zeros((4, 4, 4, 2), np.float32)
    write_truth(path, OccupancyTruth(semantics, nothing, np.ones((4, 4, 4), bool)))
    assert autolabel(made, tmp_path / "out", predictions="spoilt") == 1
    assert "got VoxelGrid" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--layout", "semantic_kitti"), "expected classes of semantic_kitti"),
        (("--layout", "openocc"), "expected voxels on"),
        (("--min-agreement", 2), "agreement 0 to 1"),
        (("--train-on", "somewhere"), "--validate: expected it with --train-on"),
        (("--refine-weights", "nowhere"), "nowhere"),
    ],
)
def test_what_does_not_fit_is_named(made, tmp_path, capsys, options, message):
    assert autolabel(made, tmp_path / "out", *options) == 1
    assert message in capsys.readouterr().err


def test_depth_is_needed_to_predict(made, tmp_path, capsys):
    options = ("--data", made / "drive", "--weights", made / "none", "--out", tmp_path / "out")
    assert main(["autolabel", *map(str, options)]) == 1
    assert "--depth: expected the folder" in capsys.readouterr().err
