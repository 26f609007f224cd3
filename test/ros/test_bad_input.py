"""What the executables say to a wrong parameter, file or output: one line, and status 1."""

import importlib
import json
import signal
import sys

import pytest

pytest.importorskip("rclpy")

from occflow_ros.data.recording import write_recording


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs the `main` of an executable in this process; returns its status and what it printed."""

    def start(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, "--ros-args", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            importlib.import_module(f"occflow_ros.ros.{name}").main()
        return exit_info.value.code, capfd.readouterr().err

    return start


def assert_one_line(result, name, mention):
    status, text = result
    errors = [line for line in text.splitlines() if "error" in line]
    assert status == 1
    assert len(errors) == 1, text
    assert errors[0].startswith(f"{name}: error: ")
    assert mention in errors[0]


@pytest.mark.parametrize(
    ("name", "parameters", "mention"),
    [
        ("node", {"node.pose.wait_s": "soon"}, "node.pose.wait_s"),
        ("node", {"node.cameras.names": []}, "parameters: "),
        ("node", {"prset": "nano"}, "prset: unknown parameter"),
        ("node", {"preset": "pico"}, "pico"),
        ("node", {"weights": "/nowhere/w.safetensors"}, "/nowhere/w.safetensors"),
        ("node", {"device": "abacus"}, "device: expected"),
        ("node", {"node.costmap.z_m": [90.0, 91.0]}, "node.costmap.z_m"),
        ("replay", {}, "source: expected"),
        ("replay", {"source": "/nowhere"}, "/nowhere"),
        ("replay", {"source": "DRIVE", "transport": "pigeon"}, "transport"),
        ("replay", {"source": "DRIVE", "summary": "/nowhere/sent.json"}, "/nowhere/sent.json"),
        ("replay", {"source": "DRIVE", "wait_for_subscribers_s": 0.2}, "/left/image_raw"),
        ("recorder", {}, "output: expected"),
        ("recorder", {"output": "OCCUPIED"}, "occupied exists"),
        ("recorder", {"output": "/proc/bag"}, "cannot make /proc/bag"),
    ],
)
def test_bad_input_is_one_line_and_status_1(run, drive, tmp_path, name, parameters, mention):
    write_recording(tmp_path / "drive", drive)
    (tmp_path / "occupied").mkdir()
    folders = {"DRIVE": str(tmp_path / "drive"), "OCCUPIED": str(tmp_path / "occupied")}
    arguments = []
    for key, value in parameters.items():
        value = folders.get(value, value) if isinstance(value, str) else value
        arguments += ["-p", f"{key}:={json.dumps(value)}"]
    assert_one_line(run(name, *arguments), name, mention)


def test_an_image_that_is_gone_stops_the_replay(run, drive, tmp_path):
    write_recording(tmp_path / "drive", drive)
    image = next((tmp_path / "drive").rglob("*.jpg"))
    image.write_bytes(image.read_bytes()[:100])
    arguments = ("-p", f"source:={tmp_path / 'drive'}", "-p", "wait_for_subscribers_s:=0.0")
    assert_one_line(run("replay", *arguments), "replay", image.name)


def test_a_malformed_parameter_file_is_named(run, tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("/**:\n  ros__parameters: [\n")
    assert_one_line(run("node", "--params-file", path), "node", "broken.yaml")


def test_signal_handlers_are_those_of_before(run):
    before = signal.getsignal(signal.SIGINT)
    run("replay")
    assert signal.getsignal(signal.SIGINT) is before
