"""`occflow train` from the command line: what it leaves behind and what it refuses."""

import pytest
from tiny_samples import tiny_train

from occflow_ros import cli
from occflow_ros.config import Config, dump
from occflow_ros.engine import checkpoint
from occflow_ros.models.build import build_network


@pytest.fixture
def train(written, tmp_path):
    """Run the command on a small recording; returns its exit status."""
    data = written("recording")
    file = tmp_path / "tiny.yaml"
    rays = {"camera_grid_hw": (4, 4), "samples": 8}
    settings = tiny_train(static=1, joint=1, rendering=rays)
    file.write_text(dump(Config(model=data.config.model, train=settings)))
    command = ["train", "--preset", str(file), "--data", str(data.folder)]
    command += ["--cues", str(data.cues), "--flow", "truth", "--movable", "truth", "--workers", "0"]

    def run(*arguments):
        return cli.main([*command, *map(str, arguments)])

    return run


def test_a_run_leaves_weights_that_the_network_takes(train, tmp_path):
    out = tmp_path / "run"
    assert train("--out", out) == 0
    saved = checkpoint.load(out / "weights.safetensors")
    assert saved.metadata["step"] == 2
    network = build_network(saved.config.model, out / "weights.safetensors")
    assert network.weights_source == str(out / "weights.safetensors")
    assert {"config.yaml", "state.safetensors", "tensorboard"} <= {p.name for p in out.iterdir()}


def test_a_run_is_not_overwritten_but_goes_on(train, tmp_path, capsys):
    out = tmp_path / "run"
    assert train("--out", out, "--set", "train.joint_stage.steps=0") == 0
    before = (out / "state.safetensors").read_bytes()
    assert train("--out", out) == 1
    assert "go on with --resume" in capsys.readouterr().err
    assert (out / "state.safetensors").read_bytes() == before
    assert train("--out", out, "--resume") == 1
    assert "train.joint_stage.steps: expected 0, got 1" in capsys.readouterr().err
    assert train("--out", out, "--resume", "--set", "train.joint_stage.steps=0") == 0


def test_a_run_begins_with_what_fits_of_another_network(train, tmp_path, capsys):
    assert train("--out", tmp_path / "first") == 0
    other = ("--set", "model.refiner.output_channels=4")
    start = ("--init", tmp_path / "first" / "weights.safetensors")
    assert train("--out", tmp_path / "second", *start, *other) == 0
    assert "parameters fit" in capsys.readouterr().out
    assert train("--out", tmp_path / "third", "--weights", start[1], *other) == 1
    assert "model.refiner" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "mention"),
    [
        (("--set", "train.rays=3"), "train.rays: unknown key"),
        (("--set", "train"), "expected KEY=VALUE"),
        (("--flow", "files"), "make them with: occflow cues"),
        (("--sets", "1:1"), "expected a set with one before and one after it"),
        (("--weights", "/nowhere/w.safetensors"), "/nowhere/w.safetensors"),
    ],
)
def test_one_line_says_what_to_do(train, tmp_path, capsys, arguments, mention):
    assert train("--out", tmp_path / "run", *arguments) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert mention in line
    assert not (tmp_path / "run").exists()
