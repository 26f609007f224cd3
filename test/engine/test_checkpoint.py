"""Weights travel with their configuration and refuse any other."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_network import batch, frame, tiny_config

from occflow_ros.config import override, preset
from occflow_ros.engine import checkpoint
from occflow_ros.errors import DataError, OutputError
from occflow_ros.models.build import build_network
from occflow_ros.mono_config import MONO_PRESETS, MonoConfig


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "tiny.safetensors"
    network = build_network(tiny_config().model, seed=3)
    checkpoint.save(path, network, tiny_config(), {"step": 7})
    return path, network


def predict(network):
    with torch.inference_mode():
        return network(*batch(frame(0)), [], torch.zeros(1, 0, 4, 4, dtype=torch.float64))


def test_round_trip_gives_the_same_numbers(saved):
    path, network = saved
    loaded = build_network(tiny_config().model, weights=path)
    assert torch.equal(predict(loaded).sdf_m, predict(network).sdf_m)
    assert loaded.weights_source == str(path)


def test_file_carries_config_and_metadata(saved):
    path, network = saved
    loaded = checkpoint.load(path)
    assert loaded.config == tiny_config()
    assert loaded.metadata == {"step": 7}
    assert loaded.weights.keys() == network.state_dict().keys()
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_weights_of_another_preset_are_refused_by_name(saved):
    path, _ = saved
    message = "expected weights of preset nano, got a custom configuration: .*channels: expected"
    with pytest.raises(DataError, match=rf"tiny.safetensors: {message}"):
        build_network(preset("nano").model, weights=path)


def test_what_leaves_the_weights_alone_may_differ(saved):
    path, _ = saved
    model = tiny_config(history=1).model.model_copy(update={"level_m": 0.3})
    assert build_network(model, weights=path).weights_source == str(path)


def test_missing_parameter_is_named(tmp_path):
    path = tmp_path / "cut.safetensors"
    network = build_network(tiny_config().model)
    del network.heads.flow
    checkpoint.save(path, network, tiny_config())
    with pytest.raises(DataError, match=r"4 parameters do not fit, .* heads.flow.0.bias: .* none"):
        build_network(tiny_config().model, weights=path)


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint at all"])
def test_missing_or_corrupt_file_is_named(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad.safetensors: expected a safetensors checkpoint"):
        checkpoint.load(path)


def test_cut_off_file_is_named(saved):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="tiny.safetensors"):
        checkpoint.load(path)


def test_foreign_file_is_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(DataError, match="expected this package's config"):
        checkpoint.load(path)


def test_unwritable_place_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        checkpoint.save(
            tmp_path / "nowhere" / "a.safetensors",
            build_network(tiny_config().model),
            tiny_config(),
        )
    assert list(tmp_path.iterdir()) == []


def test_what_fits_of_another_network_begins_with_its_values(saved):
    path, network = saved
    other = build_network(tiny_config(shape=(16, 12, 8)).model, seed=4).state_dict()
    fitting = checkpoint.fitting_weights(path, other)
    own = network.state_dict()
    assert {name for name, value in other.items() if value.shape == own[name].shape} == set(fitting)
    assert 0 < len(fitting) < len(other)
    assert all(torch.equal(value, own[name]) for name, value in fitting.items())


def test_nothing_that_fits_is_an_error(saved):
    with pytest.raises(DataError, match="names and shapes, got none"):
        checkpoint.fitting_weights(saved[0], {"other": torch.zeros(3)})


# Kinds


MONO = MonoConfig(model=MONO_PRESETS["mono_nano"].model)


@pytest.fixture
def saved_mono(tmp_path):
    path = tmp_path / "mono.safetensors"
    checkpoint.save(path, torch.nn.Linear(3, 2), MONO, {"step": 5})
    return path


def without_kind(path):
    """The same file as it was written before there were kinds."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    del header["kind"]
    save_file(load_file(path), path, metadata=header)


def test_a_file_knows_its_kind(saved, saved_mono):
    assert checkpoint.kind_of(saved[0]) == "occflow"
    assert checkpoint.kind_of(saved_mono) == "mono"
    loaded = checkpoint.load(saved_mono, MonoConfig)
    assert (loaded.config, loaded.metadata) == (MONO, {"step": 5})
    assert loaded.config.model.classes.names == MONO.model.classes.names


def test_a_file_without_a_kind_is_of_the_first(saved):
    path, network = saved
    without_kind(path)
    assert checkpoint.kind_of(path) == "occflow"
    assert checkpoint.load(path).config == tiny_config()
    loaded = build_network(tiny_config().model, weights=path)
    assert torch.equal(predict(loaded).sdf_m, predict(network).sdf_m)


def test_a_file_of_another_kind_is_refused(saved, saved_mono):
    with pytest.raises(DataError, match="expected weights of OccFlow, got those of MonoOcc"):
        checkpoint.load(saved_mono)
    with pytest.raises(DataError, match="expected weights of OccFlow, got those of MonoOcc"):
        build_network(tiny_config().model, weights=saved_mono)
    with pytest.raises(DataError, match="expected weights of MonoOcc, got those of OccFlow"):
        checkpoint.load(saved[0], MonoConfig)
    with pytest.raises(DataError, match="expected weights of MonoOcc, got those of OccFlow"):
        checkpoint.load_weights(saved[0], MONO.model, {})


def test_an_unknown_kind_and_a_foreign_file_are_refused(tmp_path):
    path = tmp_path / "new.safetensors"
    save_file({"weight": torch.zeros(2)}, path, metadata={"kind": "finer"})
    for read in (checkpoint.load, checkpoint.kind_of):
        with pytest.raises(
            DataError, match=r"new.safetensors: .*occflow or mono or refine, got finer"
        ):
            read(path)
    with pytest.raises(DataError, match="missing.safetensors: expected a safetensors checkpoint"):
        checkpoint.kind_of(tmp_path / "missing.safetensors")


def test_a_network_of_another_kind_begins_with_what_fits(saved):
    path, network = saved
    own = network.state_dict()
    backbone = {name: value for name, value in own.items() if name.startswith("backbone.")}
    mono = {name: torch.zeros_like(value) for name, value in backbone.items()}
    fitting = checkpoint.fitting_weights(path, mono | {"volume.queries": torch.zeros(3)})
    assert fitting.keys() == backbone.keys()
    assert all(torch.equal(value, own[name]) for name, value in fitting.items())


def mono_with(**changes):
    """The preset with other settings, each by its name or as `part__name`."""
    settings = [f"model.{key.replace('__', '.')}={value}" for key, value in changes.items()]
    return override(MONO, settings).model


@pytest.mark.parametrize(
    "changes",
    [
        {"image_hw_px": [64, 160]},
        {"frames": 3},
        {"proposals__threshold": 0.2, "proposals__max_queries": 500},
        {"backbone__frozen_stages": 1, "backbone__checkpointing": True},
        {"grid__lower_m": [0.0, -40.0, -3.0], "grid__upper_m": [80.0, 40.0, 3.4]},
    ],
)
def test_what_leaves_semantic_weights_alone_may_differ(changes):
    assert checkpoint.fits(MONO.model, mono_with(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": 24},
        {"classes": "{names: [free, road, car], empty: free}"},
        {"classes__empty": MONO.model.classes.names[1]},
        {"grid__upper_m": [40.0, 40.0, 6.0]},
        {"grid__shape": [50, 50, 8]},
        {"conditioning__enabled": False},
        {"proposals__channels": 8},
    ],
)
def test_what_semantic_weights_depend_on_may_not(saved_mono, changes):
    other = mono_with(**changes)
    assert not checkpoint.fits(MONO.model, other)
    name = next(iter(changes)).partition("__")[0]
    with pytest.raises(DataError, match=rf"preset mono_nano: .*{name}.*: expected .*, got "):
        checkpoint.load_weights(saved_mono, other, {})


def test_networks_of_two_kinds_never_fit():
    assert not checkpoint.fits(MONO.model, preset("nano").model)
    assert not checkpoint.fits(preset("nano").model, MONO.model)
