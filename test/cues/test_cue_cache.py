"""Cues are made once, kept whole, made again where damaged, and read back."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from occflow_ros.cues.camera_cues import load_camera_cues
from occflow_ros.cues.cue import flow_cue
from occflow_ros.cues.estimator import Recipe
from occflow_ros.cues.folder import CueFolder
from occflow_ros.cues.images import image_of, image_pairs
from occflow_ros.cues.make import Made, make_flow, make_movable
from occflow_ros.cues.store import CueStore, read_flow_entry, write_flow_entry, write_recipe
from occflow_ros.cues.truth import TruthFlow, TruthMask
from occflow_ros.errors import DataError, OutputError

PAIRS, IMAGES = 12, 18  # 6 cameras, 3 sets


class Counting:
    """Flow (1, 2) px forward and (-1, -2) px backward everywhere, counted."""

    def __init__(self, version=1, strength=1.0):
        self.recipe = Recipe("counting", version, ("--flow", "dis"), {"strength": strength})
        self.calls = 0
        self.made_from = ""

    def origin(self, pair):
        return self.made_from

    def estimate(self, pair):
        self.calls += 1
        flow_px = np.broadcast_to((1.0, 2.0), (*pair.earlier.size_hw_px, 2))
        valid = np.ones(pair.earlier.size_hw_px, bool)
        return flow_cue(flow_px, valid), flow_cue(-flow_px, valid)


def entries(folder):
    return sorted(folder.rglob("*.npz"))


def test_what_is_there_is_not_made_again(drive, tmp_path):
    first, second = Counting(), Counting()
    assert make_flow(drive, first, tmp_path, workers=2) == Made(made=PAIRS, kept=0)
    assert make_flow(drive, second, tmp_path, workers=2) == Made(made=0, kept=PAIRS)
    assert (first.calls, second.calls) == (PAIRS, 0)
    assert len(entries(tmp_path)) == 2 * PAIRS


@pytest.mark.parametrize("other", [Counting(version=2), Counting(strength=2.0)])
def test_another_recipe_makes_other_cues(other, drive, tmp_path):
    make_flow(drive, Counting(), tmp_path)
    assert make_flow(drive, other, tmp_path) == Made(made=PAIRS, kept=0)
    assert len(entries(tmp_path)) == 4 * PAIRS


def test_cues_of_changed_files_are_made_again(drive, tmp_path):
    estimator = Counting()
    make_flow(drive, estimator, tmp_path)
    estimator.made_from = "other files"
    assert make_flow(drive, estimator, tmp_path) == Made(made=PAIRS, kept=0)
    assert make_flow(drive, estimator, tmp_path) == Made(made=0, kept=PAIRS)


def test_a_stopped_run_goes_on(drive, tmp_path):
    def stopped(results, total):
        assert total == PAIRS
        for _ in range(5):
            yield next(results)
        raise KeyboardInterrupt

    estimator = Counting()
    with pytest.raises(KeyboardInterrupt):
        make_flow(drive, estimator, tmp_path, progress=stopped)
    before = estimator.calls
    assert make_flow(drive, estimator, tmp_path) == Made(made=PAIRS - before, kept=before)
    assert estimator.calls == PAIRS


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_cue_is_noticed_and_made_again(damage, drive, tmp_path):
    make_flow(drive, Counting(), tmp_path)
    cues = CueFolder(tmp_path, "drive", "counting", None)
    pair = next(image_pairs(drive))
    store = CueStore(tmp_path, "flow", Counting().recipe)
    path = store.path(pair.earlier.digest(), pair.later.digest())
    data = bytearray(path.read_bytes())
    middle = data.index(b"flow_bytes.npy") + 200
    data[middle] ^= 0xFF
    path.write_bytes({"cut": data[: len(data) // 2], "flipped": data, "emptied": b""}[damage])
    with pytest.raises(DataError, match=r"damaged cue: .*make it again with: occflow cues"):
        cues.flow(pair.earlier, pair.later)
    assert make_flow(drive, Counting(), tmp_path) == Made(made=1, kept=PAIRS - 1)
    assert cues.flow(pair.earlier, pair.later).flow_px[0, 0].tolist() == [1.0, 2.0]


def test_forward_and_backward_are_read_back(drive, tmp_path):
    make_flow(drive, Counting(), tmp_path, span=2)
    cues = CueFolder(tmp_path, "drive", "counting", None)
    first, last = image_of(drive, 0, "cam_back"), image_of(drive, 2, "cam_back")
    assert cues.flow(first, last).flow_px[3, 5].tolist() == [1.0, 2.0]
    assert cues.flow(last, first).flow_px[3, 5].tolist() == [-1.0, -2.0]


def test_exact_cues_are_those_of_the_synthetic_world(source, drive, truth_files, tmp_path):
    assert make_flow(drive, TruthFlow(truth_files), tmp_path) == Made(PAIRS, 0)
    assert make_movable(drive, TruthMask(truth_files), tmp_path, workers=2) == Made(IMAGES, 0)
    cues = CueFolder(tmp_path, source, "truth", "truth")
    movable = 0
    for camera in drive.cameras:
        before, image, after = (image_of(drive, index, camera) for index in range(3))
        with np.load(source / "truth" / camera / "000001.npz") as truth:
            for other, name in ((after, "forward"), (before, "backward")):
                cue, visible = cues.flow(image, other), truth[f"visible_{name}"]
                np.testing.assert_array_equal(cue.valid, visible)
                exact = truth[f"flow_{name}_px"][visible]
                np.testing.assert_array_equal(cue.flow_px[visible], exact)
            mask = np.isin(truth["semantic"], (2, 3, 4, 5, 6, 7, 9, 10))
            np.testing.assert_array_equal(cues.movable(image), mask)
            movable += mask.sum()
    assert movable > 0


def test_cues_for_training_have_the_size_of_the_network(source, drive, truth_files, tmp_path):
    make_flow(drive, TruthFlow(truth_files), tmp_path)
    make_movable(drive, TruthMask(truth_files), tmp_path)
    cues = CueFolder(tmp_path, source, "truth", "truth")
    first, middle, last = (
        load_camera_cues(cues, drive, index, "cam_front", (32, 64)) for index in range(3)
    )
    assert first.backward is None and last.forward is None
    for cue in (first.forward, middle.forward, middle.backward, last.backward):
        assert cue.flow_px.shape == (32, 64, 2) and cue.valid.any()
    assert middle.movable.shape == (32, 64) and middle.movable.dtype == bool
    flow_only = CueFolder(tmp_path, source, "truth", None)
    assert load_camera_cues(flow_only, drive, 1, "cam_front", (32, 64)).movable is None
    with pytest.raises(IndexError, match="an image of cam_front in set 3, found none"):
        load_camera_cues(cues, drive, 3, "cam_front", (32, 64))


def test_missing_cues_name_the_command(drive, truth_files, tmp_path):
    with pytest.raises(DataError, match=r"no flow cues of dis; make .*--flow dis$"):
        CueFolder(tmp_path, "drives/a --scene 1", "dis", None)
    write_recipe(tmp_path, "flow", Counting().recipe)
    write_recipe(tmp_path, "movable", TruthMask(truth_files).recipe)
    cues = CueFolder(tmp_path, "drives/a --scene 1", "counting", "truth")
    first, second, third = (image_of(drive, index, "cam_front") for index in range(3))
    command = f"occflow cues --source drives/a --scene 1 --out {tmp_path}"
    with pytest.raises(DataError, match=f"no optical flow to 000001.jpg in .*{command} --flow dis"):
        cues.flow(first, second)
    with pytest.raises(DataError, match=r"000002.jpg.*--flow dis --span 2$"):
        cues.flow(third, first)
    with pytest.raises(DataError, match=f"no movable mask in .*{command} --movable truth"):
        cues.movable(first)


def test_a_lens_is_part_of_what_a_cue_depends_on(drive):
    image = image_of(drive, 0, "cam_front")
    bent = replace(image, camera=replace(image.camera, distortion=(0.1, 0.0, 0.0, 0.0)))
    assert image.digest() != bent.digest()
    assert image.digest() == replace(image, set_index=7).digest()


def test_a_place_that_cannot_be_written_is_named(drive, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written: Not a directory"):
        make_flow(drive, Counting(), tmp_path / "file")


def test_leftovers_of_a_killed_run_go_in_the_next(drive, tmp_path):
    write_recipe(tmp_path, "flow", Counting().recipe)
    old, young = (tmp_path / "flow" / "counting" / f"{name}.npz.1.partial" for name in "ab")
    for path in (old, young):
        path.write_text("half")
    os.utime(old, (time.time() - 3600,) * 2)
    write_recipe(tmp_path, "flow", Counting().recipe)
    assert young.exists() and not old.exists()


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from occflow_ros.cues.cue import FlowCue
from occflow_ros.cues.store import write_flow_entry
noise = np.random.default_rng(0).normal(size=(400, 600, 2)).astype(np.float32)
cue = FlowCue(noise, np.ones((400, 600), bool))
print("ready", flush=True)
while True:
    write_flow_entry(Path(sys.argv[1]), cue, "x" * 1000)
"""


def test_a_kill_in_the_middle_of_a_write_leaves_the_old_cue_or_the_new(drive, tmp_path):
    path = tmp_path / "ab" / "ab.npz"
    path.parent.mkdir()
    write_flow_entry(path, flow_cue(np.zeros((4, 4, 2)), np.ones((4, 4), bool)), "")
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    for _ in range(1000):  # until it is in the middle of a file
        if any(partial.stat().st_size for partial in path.parent.glob("*.partial")):
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    cue, _ = read_flow_entry(path)
    assert cue.valid.shape in ((4, 4), (400, 600))
