"""Weights travel with their configuration and refuse any other."""

import pytest
import torch
from tiny_network import batch, frame, tiny_config

from occflow_ros.config import preset
from occflow_ros.engine import checkpoint
from occflow_ros.errors import DataError, OutputError
from occflow_ros.models.build import build_network


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
    from safetensors.torch import save_file

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
