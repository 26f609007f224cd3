"""Which drives of a folder are taken: all, those named, or an official split."""

import dataclasses
import json
import sys
import types

import cv2
import kitti_sets
import numpy as np
import pytest

from occflow_ros.cli import main
from occflow_ros.data import nuscenes_scene
from occflow_ros.data.nuscenes_writer import nuscenes_writer
from occflow_ros.data.recording import recording_writer
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.data.source import open_drive
from occflow_ros.errors import DataError

SCENES = ("scene-0061", "scene-0103", "scene-0916")


def names(folder, *scenes, **selection):
    return [drive.name for drive in open_drives(folder, Selection(scenes, **selection))]


def write_scenes(folder, made, version="v1.0-mini"):
    """Two keyframes and a sweep of each scene, in one set of tables as nuScenes has them."""
    tables = {}
    for number, name in enumerate(SCENES):
        header = dataclasses.replace(made.header(), name=name)
        with nuscenes_writer(folder / name, version, header) as writer:
            writer.add_set(made.keyframe(number))
            writer.add_set(made.sweep(made.START_NS + number * 500_000_000 + 100_000_000))
            writer.add_set(made.keyframe(number + 1))
        for path in (folder / name / version).glob("*.json"):
            rows = json.loads(path.read_text())
            for row in rows if path.stem == "sample_data" else ():
                row["filename"] = f"{name}/{row['filename']}"
            tables.setdefault(path.name, []).extend(rows)
    (folder / version).mkdir()
    for name, rows in tables.items():
        (folder / version / name).write_text(json.dumps(rows))
    return folder


@pytest.fixture
def nuscenes(tmp_path, made):
    return write_scenes(tmp_path, made)


@pytest.fixture(scope="module")
def recorded():
    return kitti_sets.record()


def test_every_scene_is_what_it_is_alone(nuscenes):
    drives = list(open_drives(nuscenes, Selection(keyframes_only=False)))
    assert [drive.name for drive in drives] == list(SCENES)
    for drive in drives:
        alone = open_drive(nuscenes, drive.name, keyframes_only=False)
        assert [one.stamp_ns for one in drive.sets] == [one.stamp_ns for one in alone.sets]
        assert [one.images["cam_back"].path for one in drive.sets] == [
            one.images["cam_back"].path for one in alone.sets
        ]
        assert [one.boxes is None for one in drive.sets] == [False, True, False]
        assert drive.sets[0].boxes[0].id == alone.sets[0].boxes[0].id


def test_tables_are_read_once(nuscenes, monkeypatch):
    read, real = [], nuscenes_scene.read_table

    def counted(kind, path, *wanted):
        read.append(path.name)
        return real(kind, path, *wanted)

    monkeypatch.setattr(nuscenes_scene, "read_table", counted)
    drives = open_drives(nuscenes, Selection())
    assert len(list(drives)) == 3
    assert len(read) == len(set(read)) == 9


def test_scenes_may_be_named(nuscenes):
    assert names(nuscenes, "scene-0916", "scene-0061") == ["scene-0916", "scene-0061"]
    with pytest.raises(DataError, match="expected a scene out of scene-0061, .*, got scene-1"):
        names(nuscenes, "scene-0061", "scene-1")


def test_keyframes_alone_or_all_sets(nuscenes):
    counts = {
        only: [len(d.sets) for d in open_drives(nuscenes, Selection(keyframes_only=only))]
        for only in (True, False)
    }
    assert counts == {True: [2, 2, 2], False: [3, 3, 3]}


def test_the_split_of_nuscenes_is_that_of_the_devkit(nuscenes, monkeypatch):
    splits = types.ModuleType("nuscenes.utils.splits")
    splits.create_splits_scenes = lambda: {
        "mini_train": ["scene-0061"],
        "mini_val": ["scene-0103", "scene-0916"],
    }
    for name in ("nuscenes", "nuscenes.utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, splits.__name__, splits)
    assert names(nuscenes, split="train") == ["scene-0061"]
    assert names(nuscenes, split="val") == ["scene-0103", "scene-0916"]


def test_the_devkit_knows_the_splits(nuscenes):
    pytest.importorskip("nuscenes.utils.splits", reason="needs the extra nuscenes")
    assert names(nuscenes, split="val") == ["scene-0103", "scene-0916"]
    with pytest.raises(DataError, match="expected a scene out of .*, got scene-0553"):
        names(nuscenes, split="train")


def test_without_the_devkit_its_extra_is_named(nuscenes, monkeypatch):
    monkeypatch.setitem(sys.modules, "nuscenes.utils.splits", None)
    with pytest.raises(DataError, match=r"pip install 'occflow_ros\[nuscenes\]'"):
        names(nuscenes, split="train")


def test_tables_of_ones_own_have_no_official_split(tmp_path, made):
    folder = write_scenes(tmp_path, made, "v1.0-synthetic")
    with pytest.raises(DataError, match="expected one of v1.0-trainval, v1.0-mini, .*name scenes"):
        names(folder, split="train")


def test_kitti_raw(tmp_path, recorded):
    drives = [f"2011_09_2{day}_drive_000{day}_sync" for day in (6, 8)]
    for drive in drives:
        kitti_sets.write_raw(tmp_path, recorded, drive)
    assert names(tmp_path) == drives
    assert names(tmp_path, drives[1]) == drives[1:]
    with pytest.raises(DataError, match="expected no split, as none is official"):
        names(tmp_path, split="train")


def test_kitti_odometry(tmp_path, recorded):
    for sequence in ("08", "00", "05"):
        kitti_sets.write_odometry(tmp_path, recorded, sequence)
    assert names(tmp_path) == ["00", "05", "08"]
    assert names(tmp_path, "05", "08") == ["05", "08"]
    assert names(tmp_path, split="val") == ["08"]
    with pytest.raises(DataError, match="expected a sequence out of 00, 05, 08, got 01"):
        names(tmp_path, split="train")
    with pytest.raises(DataError, match="has no versions"):
        names(tmp_path, version="training")


def test_kitti_tracking(tmp_path, recorded):
    kept = [number for number in range(21) if number not in (12, 13, 17)]
    for number in range(21):
        kitti_sets.write_tracking(tmp_path, recorded, "training", f"{number:04d}")
    for number in range(16):
        kitti_sets.write_tracking(tmp_path, recorded, "testing", f"{number:04d}")
    assert names(tmp_path, split="train") == [f"training-{number:04d}" for number in kept]
    assert names(tmp_path, split="val") == [f"testing-{number:04d}" for number in range(15)]
    assert len(names(tmp_path, version="training")) == 21
    assert names(tmp_path, "0012", version="testing") == ["testing-0012"]
    with pytest.raises(DataError, match="expected a part out of testing, training, got none"):
        names(tmp_path)
    with pytest.raises(DataError, match="expected the version testing for the split val, got tr"):
        names(tmp_path, split="val", version="training")


def test_a_recording_is_its_only_drive(tmp_path, made):
    with recording_writer(tmp_path / "drive", made.header()) as writer:
        writer.add_set(made.keyframe(0))
    assert names(tmp_path / "drive") == ["scene-0001"]
    with pytest.raises(DataError, match="no scenes or versions to choose"):
        names(tmp_path / "drive", "scene-0001")
    with pytest.raises(DataError, match="expected no split"):
        names(tmp_path / "drive", split="train")


def test_scenes_and_a_split_exclude_each_other():
    with pytest.raises(ValueError, match="expected scenes or a split"):
        Selection(("scene-0061",), split="train")


def test_a_selection_is_told_as_arguments():
    chosen = Selection(("a", "b"), version="v1.0-mini", keyframes_only=False)
    assert " ".join(chosen.arguments) == "--scene a --scene b --version v1.0-mini --sweeps"
    assert Selection(split="val").arguments == ("--split", "val")
    assert Selection().arguments == ()


def test_cues_of_all_scenes_in_one_call(nuscenes, tmp_path, capsys):
    command = ["cues", "--source", str(nuscenes), "--out", str(tmp_path / "cues"), "--workers", "1"]
    assert main([*command, "--flow", "dis"]) == 0
    output = capsys.readouterr()
    assert all(f"{name}: dis flow: 2 image pairs made, 0 kept" in output.out for name in SCENES)
    assert all(f"{name}: flow dis: 100%" in output.err for name in SCENES)
    assert main([*command, "--flow", "dis", "--sweeps", "--scene", "0", "--scene", "2"]) == 0
    assert capsys.readouterr().out.count("dis flow: 4 image pairs made, 0 kept") == 2
    assert main([*command, "--flow", "dis-sweeps"]) == 0
    assert capsys.readouterr().out.count("dis-sweeps flow: 2 image pairs made, 0 kept") == 3


def test_files_of_cues_are_of_one_drive(tmp_path, recorded, capsys):
    for sequence in ("00", "01"):
        kitti_sets.write_odometry(tmp_path / "set", recorded, sequence)
    command = ["cues", "--source", str(tmp_path / "set"), "--out", str(tmp_path / "cues")]
    masks = ["--movable", "files", "--files", str(tmp_path / "files")]
    folder = tmp_path / "files" / "movable" / "cam2"
    folder.mkdir(parents=True)
    for number in range(kitti_sets.COUNT):
        mask = np.zeros((kitti_sets.HEIGHT_PX, kitti_sets.WIDTH_PX), np.uint8)
        cv2.imwrite(str(folder / f"{number:06d}.png"), mask)
    assert main([*command, *masks, "--scene", "00"]) == 0
    assert main([*command, *masks]) == 1
    assert "expected one drive with files named cam2/000000, got 01" in capsys.readouterr().err
