"""Protocols on the official layouts: perfect, trivial, close and empty predictions."""

import shutil

import numpy as np
import pytest
from evaluation_drives import (
    as_written,
    drive_of,
    empty,
    flat,
    job,
    numbers_of,
    shifted,
    standing,
    write_kitti_predictions,
    write_labels,
)
from tiny_network import tiny_config

from occflow_ros import cli
from occflow_ros.cues.make import make_flow, make_movable
from occflow_ros.cues.truth import TruthFiles, TruthFlow, TruthMask
from occflow_ros.data.semantic_kitti import EMPTY
from occflow_ros.data.semantic_kitti import NAMES as KITTI_NAMES
from occflow_ros.evaluation.run import Cues
from occflow_ros.metrics.semantic_iou import RANGES_M

FIRST_SET = range(1)


@pytest.fixture
def nuscenes(written, tmp_path):
    """Numbers of the first set for changed labels of the data set."""

    def numbers(change, protocol="nuscenes", kind="nuscenes"):
        folder = write_labels(drive_of(written(kind)), tmp_path / "predictions", change)
        asked = job(protocol, written(kind), predictions=folder, sets=FIRST_SET)
        return numbers_of(asked, tmp_path / "out")

    return numbers


@pytest.fixture
def kitti(written, tmp_path):
    """Numbers of the only labelled frame for changed voxels of the data set."""

    def numbers(change, **changes):
        data = written("semantickitti")
        folder = write_kitti_predictions(data, tmp_path / "predictions", change)
        asked = job("semantickitti", data, predictions=folder, **changes)
        return numbers_of(asked, tmp_path / "out")

    return numbers


@pytest.mark.parametrize("layout", ["gts", "openocc_v2"])
def test_the_labels_of_nuscenes_score_the_maximum(written, layout, tmp_path, capsys):
    """Through the command, from either layout alone."""
    other = {"gts": "openocc_v2", "openocc_v2": "gts"}[layout]
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(written("nuscenes"), data, ignore=shutil.ignore_patterns(other))
    arguments = ["evaluate", "--protocol", "nuscenes", "--data", str(data), "--worst", "1"]
    arguments += ["--predictions", str(data / layout), "--out", str(out)]
    assert cli.main(arguments) == 0
    content = as_written(out)
    assert (content["sets"], content["sets_without_prediction"]) == (2, [])
    numbers = content["numbers"]
    for name in ("pooled_ray_iou", "agnostic_ray_iou", "ray_iou", "camera_iou", "camera_miou"):
        assert numbers[name] == 1.0, name
    assert numbers["public_agnostic_ray_iou"] == numbers["public_ray_iou"] == 1.0
    for name in ("agnostic_mave_tp_mps", "agnostic_mave_mps", "mave_tp_mps", "mave_mps"):
        assert numbers[name] == 0.0, name
    assert numbers["occ_score"] == pytest.approx(1.0)
    assert numbers["still_agnostic_mave_tp_mps"] > 1.0
    assert 0.0 < numbers["flat_agnostic_ray_iou"] < 1.0
    assert 0.0 < numbers["flat_camera_iou"] < 1.0
    assert "this prediction " in capsys.readouterr().out
    assert list((out / "worst").glob("01_*.jpg"))


def test_an_empty_prediction_of_nuscenes(nuscenes):
    numbers = nuscenes(empty)
    for name in ("pooled_ray_iou", "agnostic_ray_iou", "ray_iou", "camera_iou", "camera_recall"):
        assert numbers[name] == 0.0, name
    assert numbers["public_agnostic_ray_iou"] < 0.1  # rays end where they leave the grid
    for name in ("agnostic_mave_tp_mps", "mave_mps", "occ_score", "camera_precision"):
        assert np.isnan(numbers[name]), name


def test_a_shifted_prediction_of_nuscenes_lies_between(nuscenes):
    numbers = nuscenes(shifted)
    for name in ("pooled_ray_iou", "agnostic_ray_iou", "ray_iou", "camera_iou", "camera_miou"):
        assert 0.1 < numbers[name] < 0.95, name
    at = [numbers[f"ray_iou_at_{limit_m}m"] for limit_m in (1, 2, 4)]
    assert at == sorted(at)


def test_a_prediction_in_which_everything_stands(nuscenes):
    """Is the trivial answer that stands beside every prediction."""
    numbers = nuscenes(standing)
    assert numbers["agnostic_ray_iou"] == 1.0
    assert numbers["agnostic_mave_tp_mps"] == numbers["still_agnostic_mave_tp_mps"] > 1.0


def test_flat_ground_of_nuscenes(nuscenes):
    """Is the trivial answer that stands beside every prediction."""
    numbers = nuscenes(flat)
    for name in ("agnostic_ray_iou", "pooled_ray_iou", "camera_iou"):
        assert numbers[name] == numbers[f"flat_{name}"] > 0.0, name


def test_the_voxels_of_semantic_kitti_score_the_maximum(written, tmp_path, capsys):
    """Through the command."""
    data, out = written("semantickitti"), tmp_path / "out"
    folder = write_kitti_predictions(data, tmp_path / "predictions")
    arguments = ["evaluate", "--protocol", "semantickitti", "--data", str(data), "--split", "val"]
    arguments += ["--predictions", str(folder), "--out", str(out), "--worst", "0"]
    assert cli.main(arguments) == 0
    numbers = as_written(out)["numbers"]
    for range_m in RANGES_M:
        for name in ("iou", "precision", "recall", "occurring_miou"):
            assert numbers[f"{name}_{range_m}m"] == 1.0, name
    present = numbers["miou_51.2m"] * (len(KITTI_NAMES) - 1)
    assert present == pytest.approx(round(present)) and present < len(KITTI_NAMES) - 1
    assert numbers["pooled_ray_iou"] == 1.0
    assert "Voxels by range" in capsys.readouterr().out


def test_an_empty_prediction_of_semantic_kitti(kitti):
    numbers = kitti(np.zeros_like)
    for name in ("iou_12.8m", "iou_51.2m", "recall_25.6m", "miou_51.2m", "pooled_ray_iou"):
        assert numbers[name] == 0.0, name
    assert np.isnan(numbers["precision_51.2m"])


def test_a_shifted_prediction_of_semantic_kitti_lies_between(kitti):
    numbers = kitti(lambda classes: np.roll(classes, 1, axis=1))
    for range_m in RANGES_M:
        assert 0.1 < numbers[f"iou_{range_m}m"] < 0.95
        assert 0.0 < numbers[f"occurring_miou_{range_m}m"] < 0.95
    assert 0.1 < numbers["pooled_ray_iou"] < 1.0


def test_flat_ground_of_semantic_kitti(kitti):
    """The road lies 1.73 m below the Velodyne, in the second layer of 0.2 m from -2 m on."""
    settings = tiny_config()
    heads = settings.model.heads.model_copy(update={"ground_z_m": -1.73})
    model = settings.model.model_copy(update={"heads": heads})

    def road(classes):
        ground = np.full_like(classes, EMPTY)
        ground[..., 1] = KITTI_NAMES.index("road")
        return ground

    numbers = kitti(road, config=settings.model_copy(update={"model": model}))
    for name in ("pooled_ray_iou", *(f"iou_{range_m}m" for range_m in RANGES_M)):
        assert numbers[name] == numbers[f"flat_{name}"] > 0.0, name


@pytest.mark.parametrize("kind", ["nuscenes", "recording"])
def test_the_exact_truth_of_a_synthetic_drive_scores_the_maximum(nuscenes, kind):
    numbers = nuscenes(lambda truth: truth, "synthetic", kind)
    for name in ("iou", "precision", "recall", "ray_iou", "object_ray_iou"):
        assert numbers[name] == 1.0, name
    assert 0.0 < numbers["flat_ground_ray_iou"] < 1.0


def test_a_network_meets_every_protocol(written, tmp_path):
    """Which numbers are known; a tiny grid sees none of the objects far away."""
    recording, odometry = written("recording"), written("semantickitti")
    drive, cues = drive_of(odometry), tmp_path / "cues"
    files = TruthFiles(odometry, drive)
    make_flow(drive, TruthFlow(files), cues)
    make_movable(drive, TruthMask(files), cues)
    of_images = Cues(cues, "truth", "truth")
    for name, asked in {
        "agnostic_ray_iou": job("nuscenes", recording, sets=FIRST_SET),
        "iou_51.2m": job("semantickitti", odometry),
        "epe_px": job("kitti-flow", odometry, cues=of_images, sets=FIRST_SET),
        "abs_rel": job("depth", recording, sets=FIRST_SET),
        "depth_abs_rel": job("synthetic", recording, sets=FIRST_SET),
    }.items():
        assert np.isfinite(numbers_of(asked, tmp_path / asked.protocol)[name]), name
