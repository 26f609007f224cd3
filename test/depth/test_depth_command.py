"""`occflow depth` from the command line: by our own network and by one of transformers."""

import json

import numpy as np
import pytest
import torch
from tiny_network import HW_PX, tiny_config
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from occflow_ros import config
from occflow_ros.cli import main
from occflow_ros.data.sensors import load_frame
from occflow_ros.data.source import open_drive
from occflow_ros.data.synthetic import SceneOptions, write_synthetic
from occflow_ros.depth.folder import DepthFolder
from occflow_ros.depth.network_depth import NetworkDepth
from occflow_ros.depth.rendered import render_depths
from occflow_ros.depth.source import Made, make_depths
from occflow_ros.depth.transformers_depth import TransformersDepth
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.errors import DataError
from occflow_ros.models.build import build_network

SOURCE_HW_PX = (24, 40)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("depth") / "scene"
    options = SceneOptions(seed=1, keyframes=4, image_hw_px=SOURCE_HW_PX, rate_hz=10.0)
    write_synthetic(folder, "recording", options)
    return folder


@pytest.fixture
def preset(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(config.dump(tiny_config()))
    return file


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}


def test_depth_is_that_of_the_stream_with_its_history(data, tmp_path):
    settings, drive, folder = tiny_config(), open_drive(data), DepthFolder(tmp_path)
    assert make_depths(drive, NetworkDepth(settings, None), folder) == Made(24, 0)
    stream = OccupancyStream(build_network(settings.model), settings)
    for camera_set in drive.sets:
        frame = load_frame(drive, camera_set, HW_PX, next(iter(drive.cameras)))
        expected_m = render_depths(stream.step(frame), frame, settings.model.sharpness_per_m)
        for name, depth_m in zip(frame.rig.names, expected_m.numpy()):
            stamp_ns = camera_set.images[name].stamp_ns
            read_m = folder.read(drive.name, name, stamp_ns, SOURCE_HW_PX, HW_PX)
            np.testing.assert_allclose(read_m, depth_m, atol=1 / 512)
    assert read_m.max() > 0


def test_a_run_goes_on_where_it_was_stopped(data, preset, tmp_path, capsys):
    command = ["depth", "--source", "rendered", "--data", str(data), "--weights", "untrained"]
    command += ["--preset", str(preset), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    output = capsys.readouterr()
    assert "depth of 24 images made, 0 kept" in output.out
    assert "4/4" in output.err
    whole = files_of(tmp_path / "out")
    for number, name in enumerate(sorted(whole)):
        if number % 4 == 3:
            (tmp_path / "out" / name).unlink()
    assert main(command) == 0
    assert "depth of 6 images made, 18 kept" in capsys.readouterr().out
    assert files_of(tmp_path / "out") == whole
    assert main([*command, "--weights", "untrained", "--sets", "1:3"]) == 0
    assert "depth of 0 images made, 12 kept" in capsys.readouterr().out


@pytest.fixture(scope="session")
def depth_anything(tmp_path_factory):
    """A folder with a tiny Depth Anything, random, for depths of up to 80 m."""
    folder = tmp_path_factory.mktemp("network")
    encoder = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    settings = DepthAnythingConfig(
        backbone_config=encoder,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
        depth_estimation_type="metric",
        max_depth=80,
    )
    torch.manual_seed(0)
    network = DepthAnythingForDepthEstimation(settings)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    network.save_pretrained(folder)
    processor = {
        "image_processor_type": "DPTImageProcessor",
        "size": {"height": 28, "width": 28},
        "keep_aspect_ratio": True,
        "ensure_multiple_of": 14,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def test_a_network_of_transformers_writes_what_it_sees(data, depth_anything, tmp_path, capsys):
    command = ["depth", "--source", "transformers", "--data", str(data), "--sets", ":1"]
    command += ["--model", str(depth_anything), "--out", str(tmp_path)]
    assert main(command) == 0
    assert "depth of 6 images made, 0 kept" in capsys.readouterr().out
    drive, folder = open_drive(data), DepthFolder(tmp_path)
    ((_, depths),) = TransformersDepth(str(depth_anything)).depths(drive, [0])
    for name, depth_m in depths.items():
        assert depth_m.shape == (28, 42)  # the nearest multiples of 14 of the whole image
        stamp_ns = drive.sets[0].images[name].stamp_ns
        read_m = folder.read(drive.name, name, stamp_ns, SOURCE_HW_PX, (24, 40))
        assert read_m.shape == (6, 10)
        assert 0 < read_m.min() < read_m.max() <= 80
        assert abs(read_m[0, 0] - depth_m[2, 2]) < 1 / 256


def test_another_source_needs_another_folder(data, preset, depth_anything, tmp_path, capsys):
    command = ["depth", "--data", str(data), "--out", str(tmp_path / "out"), "--sets", ":1"]
    assert main([*command, "--source", "transformers", "--model", str(depth_anything)]) == 0
    before = files_of(tmp_path / "out")
    rendered = ["--source", "rendered", "--preset", str(preset), "--weights", "untrained"]
    assert main([*command, *rendered]) == 1
    error = capsys.readouterr().err
    assert "expected depth made by {'source': 'rendered'" in error
    assert f"'model': '{depth_anything}'" in error
    assert files_of(tmp_path / "out") == before


def test_transformers_needs_a_network(data, tmp_path, capsys):
    command = ["depth", "--source", "transformers", "--data", str(data), "--out", str(tmp_path)]
    assert main(command) == 1
    assert "--model: expected a network" in capsys.readouterr().err


def changed(folder, to, **settings):
    """A copy of a network's folder with other settings."""
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    values = json.loads((folder / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**values, **settings}))
    return str(to)


def test_relative_depth_is_refused(depth_anything, tmp_path):
    name = changed(depth_anything, tmp_path, depth_estimation_type="relative")
    with pytest.raises(DataError, match="expected a network for metric depth, got one for relativ"):
        TransformersDepth(name)


def test_missing_weights_are_named(depth_anything, tmp_path):
    encoder = json.loads((depth_anything / "config.json").read_text())["backbone_config"]
    deeper = {**encoder, "num_hidden_layers": 5}
    deeper["stage_names"] = ["stem", *(f"stage{number}" for number in range(1, 6))]
    name = changed(depth_anything, tmp_path, backbone_config=deeper)
    with pytest.raises(DataError, match=r"weights are missing, the first is backbone\.encoder"):
        TransformersDepth(name)


def test_a_folder_without_a_network_is_named(tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path}: expected a network of transformers"):
        TransformersDepth(str(tmp_path))
