"""The whole refinement: goes on where it was stopped, and says what it had to leave out."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from tiny_recording import contents, write_recording

from occflow_ros import cli
from occflow_ros.errors import ConfigError, DataError, OutputError
from occflow_ros.offboard import parts
from occflow_ros.offboard.engines import EngineOptions, open_engine
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.propagation import PropagationOptions, propagate
from occflow_ros.offboard.refine import RefineOptions, refine
from occflow_ros.offboard.work_folder import WORK

RADIUS = 3
OPTIONS = RefineOptions("global", propagation=PropagationOptions(radius=RADIUS))


def plainly(items, total, stage, unit):
    return items


def run(paths, out, options=OPTIONS, **settings):
    with open_engine(EngineOptions()) as engine:
        return refine(paths, (), out, options, engine, plainly, **settings)


def test_frames_are_those_of_one_pass_over_the_segments(tmp_path):
    source = write_recording(tmp_path / "in", jumps=(7, 21))
    report = run([tmp_path / "in"], tmp_path / "out")
    (drive,) = report.refined
    assert (drive.name, drive.frames, drive.segments) == ("street", 30, 3)
    assert [(stage.name, stage.made) for stage in report.stages] == [
        ("opening", 1),
        ("stage 2", 30),
        ("writing", 1),
    ]
    refined = FrameStore(tmp_path / "out" / "street")
    parted = (range(7), range(7, 21), range(21, 30))
    for place, expected in propagate(source, range(30), OPTIONS.propagation, segments=parted):
        found = refined.load(place)
        np.testing.assert_array_equal(found.class_id, expected.class_id)
        np.testing.assert_array_equal(found.velocity_mps, expected.velocity_mps)
    assert not (tmp_path / "out" / WORK).exists()


def test_parts_keep_to_segments_and_to_what_is_missing():
    found = list(parts.cut((range(50), range(50, 60)), missing=(3, 30, 59)))
    assert found == [
        (range(0, 24), range(50)),
        (range(24, 48), range(50)),
        (range(50, 60), range(50, 60)),
    ]


def test_a_part_done_twice_leaves_the_same(tmp_path):
    source = write_recording(tmp_path / "in", count=8)
    part = parts.GlobalPart(
        tmp_path / "in", tmp_path / "to", range(2, 6), range(8), OPTIONS.propagation, "cpu"
    )
    target = FrameStore.create(tmp_path / "to", source.info)
    part()
    once = contents(tmp_path / "to")
    assert target.missing == (0, 1, 6, 7)
    (tmp_path / "to" / "frames" / "000004.npz").unlink()
    part()
    assert contents(tmp_path / "to") == once


def test_what_is_missing_is_made_again_and_nothing_else(tmp_path):
    write_recording(tmp_path / "in")
    run([tmp_path / "in"], tmp_path / "out", keep_work=True)
    before = contents(tmp_path / "out")
    frames = tmp_path / "out" / WORK / "0000-00" / "global" / "frames"
    for place in (0, 25, 29):
        (frames / f"{place:06d}.npz").unlink()
    (tmp_path / "out" / WORK / "0000-00" / "written").unlink()
    kept_ns = (frames / "000001.npz").stat().st_mtime_ns
    report = run([tmp_path / "in"], tmp_path / "out", keep_work=True)
    assert [stage.made for stage in report.stages] == [1, 3, 1]
    assert contents(tmp_path / "out") == before
    assert (frames / "000001.npz").stat().st_mtime_ns == kept_ns


def test_a_killed_command_is_gone_on_with(tmp_path):
    write_recording(tmp_path / "in", count=100)
    run([tmp_path / "in"], tmp_path / "whole", keep_work=True)
    out = tmp_path / "out"
    arguments = ["--input", str(tmp_path / "in"), "--stages", "global", "--radius", str(RADIUS)]
    arguments += ["--out", str(out), "--keep-work"]
    frames = out / WORK / "0000-00" / "global" / "frames"
    process = subprocess.Popen(
        [sys.executable, "-m", "occflow_ros.cli", "refine", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (frames.is_dir() and any(frames.glob("*.npz"))):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert FrameStore(frames.parent).missing
    (out / ".street.1.partial").mkdir()  # as a kill while writing leaves
    assert cli.main(["refine", *arguments]) == 0
    whole, found = contents(tmp_path / "whole"), contents(out)
    settings = f"{WORK}/settings.json"
    assert json.loads(whole.pop(settings)) == json.loads(found.pop(settings))
    assert found == whole


def test_other_settings_are_named(tmp_path):
    write_recording(tmp_path / "in", count=3)
    run([tmp_path / "in"], tmp_path / "out", keep_work=True)
    other = RefineOptions("global", propagation=PropagationOptions(radius=5, sensor="none"))
    with pytest.raises(ConfigError, match="radius was 3, is 5; sensor was camera, is none"):
        run([tmp_path / "in"], tmp_path / "out", other)


def test_a_full_disk_is_an_error_that_keeps_what_is_done(tmp_path, monkeypatch):
    write_recording(tmp_path / "in")
    run([tmp_path / "in"], tmp_path / "whole")
    real = Path.write_bytes

    def until_full(path, data):
        if "000025.npz" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", until_full)
        with pytest.raises(OutputError, match="No space left on device"):
            run([tmp_path / "in"], tmp_path / "out")
    work = tmp_path / "out" / WORK / "0000-00" / "global"
    assert FrameStore(work).missing == tuple(range(25, 30))
    assert not list((tmp_path / "out").rglob("*.partial"))
    run([tmp_path / "in"], tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_bad_data_of_one_drive_does_not_end_the_others(tmp_path):
    write_recording(tmp_path / "a", name="good")
    damaged = write_recording(tmp_path / "b", name="bad")
    (damaged.folder / "frames" / "000007.npz").write_bytes(b"half of a fra")
    write_recording(tmp_path / "c", name="blind", cameras=False)
    report = run([tmp_path / name for name in "abcd"], tmp_path / "out")
    assert [one.name for one in report.refined] == ["good"]
    reasons = {Path(skip.name.split(",")[0]).name: str(skip.reason) for skip in report.skipped}
    assert set(reasons) == set("bcd")
    assert "000007.npz: expected a frame" in reasons["b"]
    assert "expected cameras" in reasons["c"]
    assert f"{tmp_path / 'd'}: expected" in reasons["d"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [WORK, "good"]


def test_two_drives_of_one_name_do_not_write_over_each_other(tmp_path):
    for folder, seed in (("a", 1), ("b", 2)):
        write_recording(tmp_path / folder, count=3, seed=seed)
    report = run([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert len(report.refined) == 1
    assert "street would take the place of that of" in str(report.skipped[0].reason)


def test_nothing_to_refine_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="in: expected"):
        run([tmp_path / "in"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_occupied_folder_is_refused_and_left_as_it_is(tmp_path):
    write_recording(tmp_path / "in", count=3)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(OutputError, match="not empty and holds no run to go on with"):
        run([tmp_path / "in"], tmp_path / "out")
    assert contents(tmp_path / "out") == {"mine": b"mine"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sensor", "none"], "in: expected"),
        (["--stages", "global", "--weights", "w"], "weights: expected none without stage 1, got w"),
        (["--stages", "global", "--address", "auto"], "address: expected with the engine ray"),
        (["--stages", "global"], "in: expected"),
    ],
)
def test_the_command_line_says_what_is_wrong(tmp_path, capsys, arguments, message):
    common = ["refine", "--input", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert cli.main([*common, *arguments]) == 1
    assert message in capsys.readouterr().err


def test_the_weights_that_ship_are_for_recordings_of_the_node(tmp_path, capsys):
    write_recording(tmp_path / "in", count=3)
    arguments = ["refine", "--input", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 1
    assert "give weights for it, or the stages as global" in capsys.readouterr().err


def test_the_command_names_what_it_left_out(tmp_path, capsys):
    write_recording(tmp_path / "in", count=5, jumps=(2,))
    arguments = ["refine", "--input", str(tmp_path / "in"), str(tmp_path / "no")]
    arguments += ["--stages", "global", "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 1
    printed = capsys.readouterr()
    assert "1 drives of 5 frames in 2 segments between jumps; 1 left out" in printed.out
    assert f"left out {tmp_path / 'no'}: " in printed.err
