"""The command as a user runs it: separate processes over DDS, then a report; and Ctrl-C midway."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import tiny_mono
import tiny_network

from occflow_ros import cli, config
from occflow_ros.demo import run as demo_run
from occflow_ros.demo.bag import read_bag
from occflow_ros.engine import checkpoint
from occflow_ros.mono_config import MonoConfig

needs_ros = pytest.mark.skipif(
    not demo_run.has_ros(), reason="rclpy or the built messages are not on the path"
)


def command(folder, *more):
    """The demo of the drive in a folder, into `out` beside it, with a tiny network."""
    settings = folder / "tiny.yaml"
    tiny = tiny_network.tiny_config()
    square = config.GridConfig(lower_m=(-8, -8, -1), upper_m=(8, 8, 3), shape=(16, 16, 4))
    model = tiny.model.model_copy(update={"grid": square})
    settings.write_text(config.dump(tiny.model_copy(update={"model": model})))
    module = [sys.executable, "-m", "occflow_ros.cli", "demo", "--preset", str(settings)]
    return [*module, "--source", str(folder / "drive"), "--out", str(folder / "out"), *more]


def processes_that_mention(path):
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(path).encode() in arguments and int(process.name) != os.getpid():
            found.append(process.name)
    return found


@needs_ros
def test_every_sent_set_is_in_the_report(drive, tmp_path):
    out = tmp_path / "out"
    semantics = tmp_path / "semantics.safetensors"
    mono = MonoConfig(model=tiny_mono.tiny_mono_config())
    checkpoint.save(semantics, tiny_mono.tiny_mono(), mono)
    done = subprocess.run(
        command(tmp_path, "--frames", "3", "--semantics-weights", str(semantics)),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["sent"] == 3
    assert summary["processed"] + sum(d["count"] for d in summary["dropped"]) == 3
    assert summary["processed"] >= 1
    assert summary["accuracy"] is None  # the truth is in another box, and there is no LiDAR
    assert len(list((out / "pictures").iterdir())) == summary["processed"]
    predictions = read_bag(out / "bag").predictions
    assert len(predictions) == summary["processed"]
    assert {scene.class_names for scene in predictions.values()} == {tiny_mono.NAMES}
    assert summary["semantics"] == str(semantics)
    stages = {latency["stage"] for latency in summary["latencies"]}
    assert {"depth", "semantics"} <= stages
    assert (out / "report.html").stat().st_size > 100_000
    assert (out / "viewer.html").exists()
    assert "untrained" in done.stdout
    assert not processes_that_mention(out)


@needs_ros
def test_ctrl_c_leaves_a_readable_bag_and_nobody_behind(drive, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(tmp_path, "--rate", "0.05"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        watch = out / "logs" / "watch.log"
        deadline_s = time.monotonic() + 120
        while not (watch.exists() and "stamp_ns" in watch.read_text()):
            assert process.poll() is None and time.monotonic() < deadline_s
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert len(read_bag(out / "bag").reports) >= 1
    assert not (out / "report.html").exists()
    assert not processes_that_mention(out)


def test_without_ros_one_line_says_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(demo_run, "find_spec", lambda name: None)
    assert cli.main(["demo", "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "make demo" in error
    assert not (tmp_path / "out").exists()


def test_an_occupied_folder_asks_for_overwrite(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(demo_run, "find_spec", lambda name: object())
    (tmp_path / "notes.txt").write_text("mine")
    assert cli.main(["demo", "--out", str(tmp_path)]) == 1
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "mention"),
    [
        (("--source", "/nowhere"), "/nowhere"),
        (("--source", "DRIVE", "--weights", "/nowhere/w.safetensors"), "/nowhere/w.safetensors"),
        (
            ("--source", "DRIVE", "--semantics-weights", "/nowhere/s.safetensors"),
            "/nowhere/s.safetensors",
        ),
        (
            ("--source", "DRIVE", "--preset", "kitti", "--semantics", "mono"),
            "semantics_weights: expected a checkpoint",
        ),
        (("--source", "DRIVE", "--frames", "0"), "--frames"),
    ],
)
def test_a_run_that_cannot_begin_leaves_earlier_results(
    monkeypatch, capsys, tmp_path, drive, option, mention
):
    monkeypatch.setattr(demo_run, "find_spec", lambda name: object())
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("of an earlier run")
    arguments = [str(tmp_path / "drive") if item == "DRIVE" else item for item in option]
    with suppress(SystemExit):
        assert cli.main(["demo", "--out", str(out), "--overwrite", *arguments]) == 1
    assert mention in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["report.html"]


def test_a_scene_without_a_source_is_refused(capsys):
    assert cli.main(["demo", "--scene", "scene-0061"]) == 1
    assert "--source" in capsys.readouterr().err
