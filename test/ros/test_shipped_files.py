"""Configuration, parameter files, launch files and display setup agree with the code."""

import ast
import json
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
    assert {topic for topic in shown if topic.startswith("/occflow/")} == topics_named_in(
        "outputs"
    ) - {"/occflow/occupancy_flow"}


def test_rviz_shows_the_cameras_of_the_nuscenes_rig_and_no_display_twice():
    document = yaml.safe_load((REPOSITORY / "rviz" / "occflow.rviz").read_text())
    displays = list(_displays(document))
    cameras = {
        item["Topic"]["Value"] for item in displays if item["Class"].endswith("plugins/Image")
    }
    assert cameras == {f"/{name.lower()}/image_raw/compressed" for name in CAMERA_CHANNELS}
    names = [item["Name"] for item in displays]
    assert len(set(names)) == len(names)


def test_foxglove_shows_topics_that_the_node_and_the_nuscenes_rig_have():
    panels = json.loads((REPOSITORY / "foxglove" / "occflow.json").read_text())["configById"]
    results = set(panels["3D!occflow"]["topics"])
    assert results == topics_named_in("outputs") - {"/occflow/occupancy_flow"}
    plotted = {path["value"] for path in panels["Plot!latency"]["paths"]}
    assert plotted == {"/occflow/latency_ms.data"}
    assert "/occflow/latency_ms" in topics_named_in("diagnostics")
    modes = [panel["imageMode"] for panel in panels.values() if "imageMode" in panel]
    cameras = [name.lower() for name in CAMERA_CHANNELS]
    assert sorted((mode["imageTopic"], mode["calibrationTopic"]) for mode in modes) == sorted(
        (f"/{name}/image_raw/compressed", f"/{name}/camera_info") for name in cameras
    )


def test_foxglove_places_each_panel_once():
    document = json.loads((REPOSITORY / "foxglove" / "occflow.json").read_text())
    assert sorted(_panels(document["layout"])) == sorted(document["configById"])


def topics_named_in(module):
    """Topics below the node's name, `/occflow`, that a module of occflow_ros.ros names."""
    source = (REPOSITORY / "occflow_ros" / "ros" / f"{module}.py").read_text()
    return {
        node.value.replace("~", "/occflow")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and str(node.value).startswith("~/")
        and node.value != "~/"
    }


def _panels(layout):
    if isinstance(layout, str):
        return [layout]
    return _panels(layout["first"]) + _panels(layout["second"])


def _displays(document):
    """Displays of the document, those within groups too."""
    for display in document.get("Visualization Manager", document)["Displays"]:
        yield from _displays(display) if "Displays" in display else [display]
