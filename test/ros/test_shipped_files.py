"""Configuration, parameter files, launch files and display setup agree with the code."""

import ast
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from occflow_ros import cli, config
from occflow_ros.data.nuscenes import CAMERA_CHANNELS

REPOSITORY = Path(__file__).resolve().parents[2]
RUNTIME = sorted((REPOSITORY / "config" / "runtime").glob("*.yaml"))


def parameters_in(path):
    (section,) = yaml.safe_load(path.read_text()).values()
    return section["ros__parameters"]


@pytest.mark.parametrize("preset", config.PRESETS)
def test_the_model_file_is_what_the_command_prints(preset, capsys):
    assert cli.main(["config", "--preset", preset]) == 0
    path = REPOSITORY / "config" / "model" / f"{preset}.yaml"
    assert path.read_text() == capsys.readouterr().out, (
        f"write it anew: occflow config --preset {preset} > config/model/{preset}.yaml"
    )


@pytest.mark.parametrize("path", RUNTIME, ids=lambda path: path.stem)
def test_parameter_files_name_settings_that_exist(path):
    config.parse(parameters_in(path))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "config" / "train").glob("*.yaml")))
def test_training_files_are_configurations(path):
    assert config.load(path).train.steps > 0


def test_the_nuscenes_rig_has_the_names_and_the_order_of_the_reader():
    parsed = config.parse(parameters_in(REPOSITORY / "config" / "runtime" / "nuscenes.yaml"))
    assert parsed.node.cameras.names == tuple(name.lower() for name in CAMERA_CHANNELS)
    assert parsed.node.fixed_frame == "map"


def test_the_transport_profile_is_xml_with_room_for_raw_images():
    root = ElementTree.parse(REPOSITORY / "config" / "fastdds.xml").getroot()
    (size,) = (element for element in root.iter() if element.tag.endswith("segment_size"))
    assert int(size.text) >= 6 * 1600 * 900 * 3


def test_rviz_shows_topics_that_the_node_publishes():
    display = yaml.safe_load((REPOSITORY / "rviz" / "occflow.rviz").read_text())
    shown = {item["Topic"]["Value"] for item in _displays(display) if "Topic" in item}
    source = (REPOSITORY / "occflow_ros" / "ros" / "outputs.py").read_text()
    published = {
        node.value.replace("~", "/occflow")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and str(node.value).startswith("~/")
    }
    assert {topic for topic in shown if topic.startswith("/occflow/")} == published - {
        "/occflow/occupancy_flow"
    }


def _displays(document):
    return document["Visualization Manager"]["Displays"]
