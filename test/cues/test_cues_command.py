"""`occflow cues` from the command line, and cues made elsewhere."""

import shlex

import cv2
import numpy as np
import pytest

from occflow_ros.cli import _parser, main
from occflow_ros.cli.cues import _dis_options
from occflow_ros.cues.camera_cues import load_camera_cues
from occflow_ros.cues.cue import flow_cue
from occflow_ros.cues.dis import DisFlow, DisOptions
from occflow_ros.cues.files import FileFlow, FileMask
from occflow_ros.cues.folder import CueFolder
from occflow_ros.cues.formats import write_flow
from occflow_ros.cues.images import image_of, image_pairs, images
from occflow_ros.cues.make import Made, make_flow, make_movable
from occflow_ros.cues.truth import TruthFlow
from occflow_ros.data.source import open_drive
from occflow_ros.data.synthetic import write_synthetic
from occflow_ros.errors import DataError


@pytest.fixture
def files(drive, truth_files, tmp_path):
    """Exact flow and class maps in the layout for cues made elsewhere, every format in use."""
    for number, pair in enumerate(image_pairs(drive)):
        cues = TruthFlow(truth_files).estimate(pair)
        ends = (("flow_forward", pair.earlier), ("flow_backward", pair.later))
        for (name, image), cue in zip(ends, cues):
            folder = tmp_path / "files" / name / image.camera.name
            folder.mkdir(parents=True, exist_ok=True)
            short = flow_cue(cue.flow_px, cue.valid & (np.abs(cue.flow_px) < 500).all(axis=-1))
            suffix = (".png", ".flo", ".npy")[number % 3]
            write_flow(folder / f"{image.file.path.stem}{suffix}", short)
    for image in images(drive):
        (semantic,) = truth_files.read(image, "semantic")
        folder = tmp_path / "files" / "movable" / image.camera.name
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{image.file.path.stem}.png"), semantic)
    return tmp_path / "files"


def test_cues_are_made_and_then_kept(source, tmp_path, capsys):
    command = ["cues", "--source", str(source), "--out", str(tmp_path)]
    command += ["--flow", "dis", "--movable", "truth", "--workers", "1"]
    assert main(command) == 0
    output = capsys.readouterr()
    assert "dis flow: 12 image pairs made, 0 kept" in output.out
    assert "truth movable masks: 18 images made, 0 kept" in output.out
    assert "12/12" in output.err
    assert main(command) == 0
    assert "dis flow: 0 image pairs made, 12 kept" in capsys.readouterr().out
    cues = CueFolder(tmp_path, source, "dis", "truth")
    one = load_camera_cues(cues, open_drive(source), 1, "cam_front", (24, 40))
    assert one.forward.valid.mean() > 0.2


def test_cues_made_elsewhere(source, drive, truth_files, files, tmp_path):
    flow, movable = FileFlow(files), FileMask(files, (4, 7, 10))
    assert make_flow(drive, flow, tmp_path) == Made(12, 0)
    assert make_movable(drive, movable, tmp_path) == Made(18, 0)
    cues = CueFolder(tmp_path, source, "files", "files")
    for pair in image_pairs(drive):
        exact, _ = TruthFlow(truth_files).estimate(pair)
        cue = cues.flow(pair.earlier, pair.later)
        assert cue.valid.any()
        both = cue.valid & exact.valid
        assert np.abs(cue.flow_px - exact.flow_px)[both].max() <= 1 / 128
        (semantic,) = truth_files.read(pair.later, "semantic")
        np.testing.assert_array_equal(cues.movable(pair.later), np.isin(semantic, (4, 7, 10)))


def test_a_better_file_replaces_the_cue(drive, files, tmp_path):
    make_flow(drive, FileFlow(files), tmp_path)
    pair = next(image_pairs(drive))
    path = next((files / "flow_forward" / pair.earlier.camera.name).glob("000000.*"))
    better = flow_cue(np.ones((24, 40, 2)), np.ones((24, 40), bool))
    write_flow(path, better)
    assert make_flow(drive, FileFlow(files), tmp_path) == Made(1, 11)
    cues = CueFolder(tmp_path, "drive", "files", None)
    assert (cues.flow(pair.earlier, pair.later).flow_px == 1.0).all()


def test_masks_without_classes_are_all_but_zero(drive, files):
    image = image_of(drive, 0, "cam_front")
    path = files / "movable" / "cam_front" / "000000.png"
    labels = np.zeros((24, 40), np.uint8)
    labels[3, 4] = 255
    cv2.imwrite(str(path), labels)
    assert np.argwhere(FileMask(files).estimate(image)).tolist() == [[3, 4]]


def test_files_that_do_not_fit_are_named(drive, files):
    pair = next(image_pairs(drive))
    folder = files / "flow_forward" / pair.earlier.camera.name
    (path,) = folder.glob("000000.*")
    write_flow(path, flow_cue(np.zeros((24, 39, 2)), np.ones((24, 39), bool)))
    with pytest.raises(DataError, match="expected 40x24 px as 000000.jpg has, got 39x24 px"):
        FileFlow(files).estimate(pair)
    write_flow(folder / "000000.npy", flow_cue(np.zeros((24, 40, 2)), np.ones((24, 40), bool)))
    with pytest.raises(DataError, match="expected one file .png|.flo|.npy, found 000000.png or"):
        FileFlow(files).estimate(pair)
    for found in folder.glob("000000.*"):
        found.unlink()
    with pytest.raises(DataError, match="found no file"):
        FileFlow(files).estimate(pair)
    far = next(p for p in image_pairs(drive, 2) if p.later.set_index == 2)
    with pytest.raises(DataError, match="flow files lead to the next set; give no --span"):
        FileFlow(files).estimate(far)


def test_exact_flow_between_keyframes_needs_the_sweeps(tmp_path, scene, capsys):
    folder = tmp_path / "scene"
    write_synthetic(folder, "nuscenes", scene(keyframes=2, sweeps=1, rate_hz=5.0))
    command = ["cues", "--source", str(folder), "--out", str(tmp_path / "out"), "--flow", "truth"]
    assert main(command) == 1
    assert "give --sweeps where sweeps lie between keyframes" in capsys.readouterr().err
    assert main([*command, "--sweeps", "--movable", "truth"]) == 0
    assert "12 image pairs made" in capsys.readouterr().out
    assert main([*command[:-2], "--movable", "truth"]) == 0  # of the keyframes alone
    assert "0 images made, 12 kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected --flow, --movable or both"),
        (("--flow", "files"), "--files: expected the folder of the cues made elsewhere"),
        (
            ("--movable", "files", "--files", "nowhere"),
            "nowhere/movable/cam_front/000000: expected",
        ),
        (
            ("--flow", "tracks", "--files", "nowhere"),
            "tracks/cam_front.npz: file of tracks is miss",
        ),
        (("--flow", "truth", "--span", "2"), "leads to the next set, not to the one at"),
    ],
)
def test_what_is_missing_is_said(arguments, message, source, tmp_path, capsys):
    command = ["cues", "--source", str(source), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main([*command, *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_drive_without_truth_names_the_command_that_writes_it(tmp_path, scene, capsys):
    write_synthetic(tmp_path / "scene", "recording", scene(keyframes=1, truth="none"))
    command = ["cues", "--source", str(tmp_path / "scene"), "--out", str(tmp_path / "out")]
    assert main([*command, "--movable", "truth"]) == 1
    assert "occflow synth --truth all" in capsys.readouterr().err


def test_a_recipe_names_the_arguments_that_make_it(tmp_path):
    options = DisOptions(preset="fast", finest_scale=2, consistency_px=0.75)
    text = shlex.join(("--source", "a", "--out", "b", *DisFlow(options).recipe.arguments))
    args = _parser("cues").parse_args(["cues", *shlex.split(text)])
    assert args.flow == "dis" and _dis_options(args) == options
    masks = FileMask(tmp_path, (3, 4))
    args = _parser("cues").parse_args(
        ["cues", "--source", "a", "--out", "b", *masks.recipe.arguments]
    )
    assert FileMask(args.files, args.movable_classes) == masks


def test_defaults_of_the_command_are_those_of_the_options():
    args = _parser("cues").parse_args(["cues", "--source", "a", "--out", "b"])
    assert _dis_options(args) == DisOptions()
