"""The weights that come with the package belong to their preset and are taken by default."""

from pathlib import Path

import pytest

from occflow_ros import weights
from occflow_ros.config import PRESETS, override, preset
from occflow_ros.engine import checkpoint
from occflow_ros.errors import DataError
from occflow_ros.models.build import (
    build_network,
    load_mono_network,
    load_refine_network,
)
from occflow_ros.mono_config import MONO_PRESETS, MonoConfig
from occflow_ros.refine_config import REFINE_PRESETS, RefineConfig

SHIPPED = sorted(Path(weights.__file__).parent.glob("*.safetensors"))
LARGEST_BYTES = 20 * 2**20


def test_nano_has_weights():
    stems = {path.stem for path in SHIPPED}
    assert "nano" in stems
    assert stems <= PRESETS.keys() | MONO_PRESETS.keys() | REFINE_PRESETS.keys()


@pytest.mark.parametrize("path", [p for p in SHIPPED if p.stem in PRESETS], ids=lambda p: p.stem)
def test_they_fit_their_preset_and_say_how_they_were_made(path):
    model = PRESETS[path.stem].model
    assert weights.choose_weights("", model) == path
    assert build_network(model, path).weights_source == str(path)
    assert {"step", "sharpness_per_m", "fingerprint"} <= set(checkpoint.load(path).metadata)
    assert path.stat().st_size <= LARGEST_BYTES


@pytest.mark.parametrize(
    "path", [p for p in SHIPPED if p.stem in MONO_PRESETS], ids=lambda p: p.stem
)
def test_semantic_ones_fit_their_preset_and_bring_their_classes(path):
    model = MONO_PRESETS[path.stem].model
    assert checkpoint.fits(model, checkpoint.load(path, MonoConfig).config.model)
    network = load_mono_network(path)
    assert network.weights_source == str(path)
    assert network.class_names == model.classes.names
    assert path.stat().st_size <= LARGEST_BYTES


def test_those_of_stage_1_are_for_what_the_node_records():
    path = weights.choose_refine_weights(None)
    model, recorded = checkpoint.load(path, RefineConfig).config.model, MONO_PRESETS["mono_nano"]
    assert model.grid == recorded.model.grid
    assert model.classes.names == recorded.model.classes.names
    assert load_refine_network(path).num_classes == len(model.classes.names)
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


def test_the_semantic_network_that_comes_with_the_package_is_for_its_own_grid(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(weights, "__file__", str(tmp_path / "__init__.py"))
    nano, kitti = preset("nano").model, preset("kitti").model
    assert weights.shipped_semantics(nano) is None
    (tmp_path / "mono_nano.safetensors").touch()
    assert weights.choose_semantics_weights("", nano) == tmp_path / "mono_nano.safetensors"
    assert weights.choose_semantics_weights("~/mine.st", kitti) == Path.home() / "mine.st"
    with pytest.raises(DataError, match="semantics_weights: expected a checkpoint of MonoOcc"):
        weights.choose_semantics_weights("", kitti)
