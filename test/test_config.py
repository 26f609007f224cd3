"""Configuration: round trip, presets, and errors that name what is wrong."""

import pytest

from occflow_ros import config
from occflow_ros.errors import ConfigError


def test_dump_and_load_round_trip(tmp_path):
    changed = config.parse({"preset": "nano", "model": {"temporal": {"history": 1}}})
    path = tmp_path / "config.yaml"
    path.write_text(config.dump(changed))
    assert config.load(path) == changed


def test_a_file_changes_only_what_it_names():
    changed = config.parse({"model": {"temporal": {"history": 0}}})
    assert changed.model.temporal.history == 0
    assert changed.model.lifter == config.NANO.lifter


def test_unknown_keys_are_named():
    with pytest.raises(ConfigError, match="model.lifter.layer: unknown key"):
        config.parse({"model": {"lifter": {"layer": 3}}})


def test_values_out_of_range_are_named_with_what_came():
    with pytest.raises(ConfigError, match="stream.max_gap_s: .*greater than 0.*got -1"):
        config.parse({"stream": {"max_gap_s": -1}})


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ConfigError, match="expected one of .*nano.*got 'micro'"):
        config.parse({"preset": "micro"})


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "model: [", "preset: nano\nmodell: {}\n"])
def test_a_broken_file_is_named(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="broken.yaml"):
        config.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="absent.yaml"):
        config.load(tmp_path / "absent.yaml")


def test_nano_covers_the_nuscenes_range_at_0_8_m():
    voxels = config.NANO.grid.voxels
    assert (voxels.lower_m, voxels.upper_m) == ((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4))
    assert voxels.shape == (100, 100, 8)
    assert voxels.voxel_size_m == pytest.approx((0.8, 0.8, 0.8))
