"""The weights that come with the package belong to their preset and are taken by default."""

from pathlib import Path

import pytest

from occflow_ros import weights
from occflow_ros.config import PRESETS, override, preset
from occflow_ros.engine import checkpoint
from occflow_ros.models.build import build_network

SHIPPED = sorted(Path(weights.__file__).parent.glob("*.safetensors"))
LARGEST_BYTES = 20 * 2**20


def test_nano_has_weights():
    assert [path.stem for path in SHIPPED] == ["nano"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_they_fit_their_preset_and_say_how_they_were_made(path):
    model = PRESETS[path.stem].model
    assert weights.choose_weights("", model) == path
    assert build_network(model, path).weights_source == str(path)
    assert {"step", "sharpness_per_m", "fingerprint"} <= set(checkpoint.load(path).metadata)
    assert path.stat().st_size <= LARGEST_BYTES


def test_they_are_for_other_levels_and_history_too_but_not_for_another_grid():
    nano = preset("nano")
    near = override(nano, ["model.temporal.history=1", "model.level_m=0.1"]).model
    other = override(nano, ["model.grid.upper_m=[40.0, 40.0, 6.0]"]).model
    assert weights.choose_weights("", near) == weights.choose_weights("", nano.model)
    assert weights.choose_weights("", other) is None


def test_untrained_and_files_are_taken_as_asked():
    model = preset("nano").model
    assert weights.choose_weights("untrained", model) is None
    assert weights.choose_weights("~/mine.safetensors", model) == Path.home() / "mine.safetensors"
