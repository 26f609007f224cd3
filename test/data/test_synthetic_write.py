"""Written scenes, read back by the loaders."""

import json
from pathlib import Path

import numpy as np
import pytest

from occflow_ros.cli import main
from occflow_ros.data.nuscenes import read_nuscenes
from occflow_ros.data.recording import read_recording
from occflow_ros.data.sensors import read_image, read_lidar
from occflow_ros.data.synthetic import SceneOptions, make_world, nuscenes_rig, write_synthetic
from occflow_ros.data.synthetic.write import VERSION
from occflow_ros.data.truth import read_truth
from occflow_ros.errors import OutputError
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-16.0, -16.0, -1.0), (16.0, 16.0, 3.0), (40, 40, 5))
SMALL = SceneOptions(seed=1, keyframes=2, image_hw_px=(24, 40), grid=GRID)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recording") / "scene"
    write_synthetic(folder, "recording", SMALL)
    return folder


def test_recording_holds_the_drive(recording):
    drive = read_recording(recording)
    assert list(drive.cameras) == [camera.name for camera in nuscenes_rig(24, 40).cameras]
    assert [s.stamp_ns - drive.sets[0].stamp_ns for s in drive.sets] == [0, 500_000_000]
    world = make_world(1, 1.0)
    np.testing.assert_allclose(drive.sets[1].odom_T_base, world.odom_T_base(0.5), atol=1e-6)
    image = drive.sets[1].images["cam_back"]
    assert image.stamp_ns - drive.sets[1].stamp_ns == 50_000_000
    np.testing.assert_allclose(image.odom_T_base, world.odom_T_base(0.55), atol=1e-6)
    assert read_image(image.path).shape == (24, 40, 3)
    assert read_lidar(drive.sets[0].lidar.path).shape[1] == 3
    assert drive.sets[0].boxes


def test_recording_holds_the_occupancy(recording):
    truth = read_truth(read_recording(recording).sets[0].occupancy)
    assert truth.semantics.shape == GRID.shape
    assert (truth.lower_m, truth.upper_m) == (GRID.lower_m, GRID.upper_m)
    assert np.abs(truth.velocity_mps).max() > 1.0


def test_nuscenes_holds_keyframes_and_sweeps(tmp_path):
    options = SceneOptions(seed=1, keyframes=2, image_hw_px=(24, 40), sweeps=1, grid=GRID)
    write_synthetic(tmp_path / "scene", "nuscenes", options)
    keyframes = read_nuscenes(tmp_path / "scene", VERSION, "synthetic-0001")
    assert len(keyframes.sets) == 2
    assert read_truth(keyframes.sets[0].occupancy).semantics.shape == GRID.shape
    every = read_nuscenes(tmp_path / "scene", VERSION, "synthetic-0001", keyframes_only=False)
    assert len(every.sets) == 3


def test_the_devkit_reads_a_written_scene(tmp_path):
    nuscenes = pytest.importorskip("nuscenes", reason="needs the extra nuscenes-devkit")
    write_synthetic(tmp_path / "scene", "nuscenes", SMALL)
    devkit = nuscenes.NuScenes(VERSION, str(tmp_path / "scene"), verbose=False)
    assert [scene["nbr_samples"] for scene in devkit.scene] == [2]
    first = devkit.sample[0]
    path, boxes, K = devkit.get_sample_data(first["data"]["CAM_FRONT"])
    assert read_image(Path(path)).shape == (24, 40, 3)
    assert K[0][0] == pytest.approx(nuscenes_rig(24, 40).cameras[0].K[0, 0])
    assert {box.name.split(".")[0] for box in boxes} <= {"vehicle", "human"}
    speeds = [np.linalg.norm(devkit.box_velocity(token)[:2]) for token in first["anns"]]
    assert max(speeds) > 1.0


def test_truth_of_every_image(tmp_path):
    options = SceneOptions(seed=1, keyframes=2, image_hw_px=(24, 40), truth="all", grid=GRID)
    write_synthetic(tmp_path / "scene", "recording", options)
    files = sorted((tmp_path / "scene" / "truth").rglob("*.npz"))
    assert len(files) == 12
    with np.load(tmp_path / "scene" / "truth" / "cam_front" / "000001.npz") as truth:
        assert truth["depth_m"].shape == truth["semantic"].shape == (24, 40)
        assert truth["flow_forward_px"].shape == truth["flow_backward_px"].shape == (24, 40, 2)
        assert truth["instance"].dtype == np.int32
        assert 0.1 < truth["visible_forward"].mean() < 1.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene"]


def test_an_occupied_folder_is_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        write_synthetic(tmp_path, "recording", SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def interrupted(sets, total):
        yield next(iter(sets))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_synthetic(tmp_path / "scene", "recording", SMALL, progress=interrupted)
    assert list(tmp_path.iterdir()) == []


def test_command_line_writes_a_scene(tmp_path, capsys):
    out = tmp_path / "scene"
    arguments = ["synth", "--out", str(out), "--frames", "1", "--image-size", "24x40"]
    assert main([*arguments, "--truth", "none"]) == 0
    assert "1 camera sets" in capsys.readouterr().out
    assert len(json.loads((out / VERSION / "sample.json").read_text())) == 1
    assert main(arguments) == 1
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize("bad", [["--image-size", "40"], ["--frames", "0"], ["--rate-hz", "-1"]])
def test_bad_arguments_are_named(bad, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["synth", "--out", str(tmp_path / "scene"), *bad])
    assert f"argument {bad[0]}" in capsys.readouterr().err


def test_options_out_of_range():
    with pytest.raises(ValueError, match="keyframes"):
        SceneOptions(keyframes=0)
    with pytest.raises(ValueError, match="image_hw_px"):
        SceneOptions(image_hw_px=(4, 40))
