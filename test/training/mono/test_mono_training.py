"""MonoOcc trained from the command line: alone, taught, resumed, compared, and what is refused."""

import json

import numpy as np
import pytest
import training_drives
import yaml
from tiny_network import HW_PX

from occflow_ros.cli import main
from occflow_ros.depth.folder import DepthFolder
from occflow_ros.engine import checkpoint
from occflow_ros.mono_config import MonoConfig
from occflow_ros.training.mono.ablation import MONO_ABLATIONS
from occflow_ros.training.mono.prior import ClassPrior
from occflow_ros.training.study import variants_of

ATTENTION = {"layers": 1, "heads": 2, "points": 2}
GRID = training_drives.GRID


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A drive of three sets, 6 m of depth for each image, and the settings of a tiny network."""
    folder = tmp_path_factory.mktemp("mono")
    one = training_drives.write("nuscenes", folder)
    depth = DepthFolder(folder / "depth")
    for camera_set in one.drive.sets:
        for name, image in camera_set.images.items():
            depth.write(one.drive.name, name, image.stamp_ns, np.full((8, 16), 6.0))
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
        "train": {"steps": 2, "samples_per_step": 1},
    }
    preset = folder / "tiny.yaml"
    preset.write_text(yaml.safe_dump(json.loads(json.dumps(settings))))
    return one.folder, folder / "depth", preset


def train(made, out, *options):
    data, depth, preset = made
    arguments = ("--preset", preset, "--data", data, "--depth", depth, "--workers", 0)
    command = ("train", "--model", "mono", *arguments, "--out", out, *options)
    return main([str(argument) for argument in command])


def weights_of(out):
    return checkpoint.load(out / "weights.safetensors", MonoConfig).weights


def test_a_run_leaves_weights_classes_and_the_prior(made, tmp_path, capsys):
    data = made[0]
    assert train(made, tmp_path / "run", "--validate", data) == 0
    loaded = checkpoint.load(tmp_path / "run" / "weights.safetensors", MonoConfig)
    assert loaded.config.model.classes.names[-1] == "free"
    assert loaded.metadata["step"] == 2
    prior = ClassPrior.load(tmp_path / "run" / "prior.npz")
    assert prior.grid.shape == GRID.shape
    assert "of the prior" in capsys.readouterr().out
    entry = json.loads((tmp_path / "run" / "validation.jsonl").read_text())
    assert entry["step"] == 2
    assert 0.0 <= entry["miou"] <= 1.0
    assert 0.0 < entry["prior_miou"] <= 1.0


def test_a_run_can_be_repeated_and_is_not_overwritten(made, tmp_path, capsys):
    assert train(made, tmp_path / "first") == 0
    assert train(made, tmp_path / "second", "--save-every", 1) == 0
    first, second = (weights_of(tmp_path / name) for name in ("first", "second"))
    assert all((first[name] == second[name]).all() for name in first)
    assert train(made, tmp_path / "first") == 1
    assert "holds a run" in capsys.readouterr().err


def test_a_teacher_of_several_frames_teaches(made, tmp_path):
    teacher = ("--set", "model.frames=2", "--set", "model.cross_view.enabled=true")
    assert train(made, tmp_path / "teacher", *teacher) == 0
    path = tmp_path / "teacher" / "weights.safetensors"
    assert train(made, tmp_path / "taught", "--teacher", path) == 0
    assert train(made, tmp_path / "alone") == 0
    taught, alone = (weights_of(tmp_path / name) for name in ("taught", "alone"))
    assert any((taught[name] != alone[name]).any() for name in taught)
    assert "cross_view.query.weight" not in taught


def test_a_teacher_of_other_classes_is_refused(made, tmp_path, capsys):
    names = ("car", "driveable_surface", "free")
    settings = (f"model.classes.names=[{', '.join(names)}]", "model.classes.empty=free")
    options = [option for setting in settings for option in ("--set", setting)]
    assert train(made, tmp_path / "teacher", *options) == 0
    path = tmp_path / "teacher" / "weights.safetensors"
    assert train(made, tmp_path / "taught", "--teacher", path) == 1
    assert f"got {names}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--depth", "nowhere"), "occflow depth"),
        (("--teacher", "nowhere.safetensors"), "expected a safetensors checkpoint"),
        (("--set", "model.classes.names=[a, b]", "--set", "model.classes.empty=b"), "class"),
        (("--set", "model.frames=0"), "model.frames"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(made, tmp_path, capsys, options, message):
    assert train(made, tmp_path / "run", *options) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_depth_has_to_be_named(made, tmp_path, capsys):
    data, _, preset = made
    command = ("train", "--model", "mono", "--preset", preset, "--data", data)
    assert main([*map(str, command), "--out", str(tmp_path / "run")]) == 1
    assert "--depth: expected the folder that `occflow depth` filled" in capsys.readouterr().err


def test_every_row_of_the_ablation_is_trained_once_teachers_first(made, tmp_path, capsys):
    data, depth, preset = made
    arguments = (
        *("ablate", "--table", "mono", "--preset", preset, "--data", data, "--depth", depth),
        *("--validate", data, "--validate-each", 3, "--steps", 1, "--seeds", 1, "--workers", 0),
        *("--out", tmp_path / "runs", "--set", "model.backbone.widths=null"),
        *("--set", "model.backbone.depths=null"),
    )
    assert main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr().out
    for ablation in MONO_ABLATIONS.values():
        assert ablation.title in printed
        assert all(row in printed for row in ablation.rows)
    names = {path.parent.parent.name for path in (tmp_path / "runs").rglob("result.json")}
    rows = {variant.name for variant in variants_of(tuple(MONO_ABLATIONS.values()))}
    assert names == rows | {"teacher_s", "teacher_l"}
