"""The README's tables say what the code does."""

import json
from pathlib import Path

import pytest

from occflow_ros import config
from occflow_ros.ros.node import RunParameters
from occflow_ros.ros.parameters import leaves
from occflow_ros.ros.recorder import RecorderParameters
from occflow_ros.ros.rejection import Reason
from occflow_ros.ros.replay import ReplayParameters

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
SETTINGS = (RunParameters(), config.preset("nano").run, ReplayParameters(), RecorderParameters())


@pytest.mark.parametrize(
    ("name", "field", "default"),
    [leaf for kind in SETTINGS for leaf in leaves(kind) if not leaf[0].startswith("model.")],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_every_parameter_is_listed_with_its_default(name, field, default):
    assert f"| `{name}` | `{json.dumps(default)}` | {field.description} |" in README


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_for_a_drop_is_listed(reason):
    assert f"`{reason}`" in README


def test_every_preset_is_named():
    assert all(f"`{name}`" in README for name in config.PRESETS)
