"""docs/planning.md: its Python runs, its links lead somewhere, and what it names exists."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from occflow_ros import planning
from occflow_ros.config import PRESETS

REPOSITORY = Path(__file__).resolve().parents[2]
PATH = REPOSITORY / "docs" / "planning.md"
PAGE = PATH.read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def message(points_m, velocity_mps):
    """An OccupancyFlow with voxels at these points."""
    place = np.floor((np.array(points_m) - (-40.0, -40.0, -1.0)) / 0.4).astype(int)
    index = np.sort(np.ravel_multi_index(tuple(place.T), (200, 200, 16)))
    raw = np.full((len(index), 2), np.array(velocity_mps) * 100, np.int16)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0), frame_id="base_link"),
        origin=SimpleNamespace(x=-40.0, y=-40.0, z=-1.0),
        voxel_size=SimpleNamespace(x=0.4, y=0.4, z=0.4),
        shape=np.array([200, 200, 16]),
        index=index,
        probability=np.full(len(index), 255, np.uint8),
        velocity_x=raw[:, 0],
        velocity_y=raw[:, 1],
        interval=0.5,
        PROBABILITY_SCALE=1 / 255,
        VELOCITY_SCALE=0.01,
        VELOCITY_UNKNOWN=-32768,
    )


def test_the_python_of_the_page_runs(capsys):
    (source,) = blocks("python")
    names = {}
    exec(compile(source, str(PATH), "exec"), names)
    collision = names["on_occupancy_flow"](message([[6.0, 0.1, 1.0]], (0.0, 0.0)))
    assert "right ahead" in capsys.readouterr().out
    # The front with its margin is 1.4 + 2.3 + 0.3 = 4.0 m ahead, the voxel's centre at 6.2 m.
    assert collision.time_s == pytest.approx((6.2 - 4.0) / 8.0, abs=0.01)
    assert names["on_occupancy_flow"](message([[6.0, 20.0, 1.0]], (0.0, 0.0))) is None
    assert "right ahead" not in capsys.readouterr().out


def test_the_settings_of_the_page_are_yaml_and_name_topics_that_exist():
    outputs = (REPOSITORY / "occflow_ros" / "ros" / "outputs.py").read_text(encoding="utf-8")
    for text in blocks("yaml"):
        parameters = yaml.safe_load(text)["local_costmap"]["local_costmap"]["ros__parameters"]
        assert set(parameters["plugins"]) <= set(parameters)
        topics = re.findall(r"/occflow(/[\w/]+)", text)
        assert topics and all(f'"~{topic}"' in outputs for topic in topics)


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert links and all((PATH.parent / link).exists() for link in links)


def test_names_of_settings_and_functions_exist():
    node = next(iter(PRESETS.values())).run.node
    for name in re.findall(r"`node\.([\w.]+)`", PAGE):
        value = node
        for part in name.split("."):
            value = getattr(value, part)
    assert f"{planning.PATH_TOLERANCE_M * 1e3:.0f} mm" in PAGE


def test_the_message_has_the_fields_that_the_cpp_reads():
    (source,) = blocks("cpp")
    definition = (REPOSITORY / "msg" / "OccupancyFlow.msg").read_text(encoding="utf-8")
    fields = set(re.findall(r"^[\w/\[\]]+ (\w+)(?:=.*)?\s*(?:#.*)?$", definition, re.MULTILINE))
    constants = set(re.findall(r"OccupancyFlow::(\w+)", source))
    used = set(re.findall(r"\bmsg\.(\w+)", source)) - {"header"}
    assert used and used <= fields
    assert all(f"{constant}=" in definition for constant in constants)
