"""Written data sets that several tests read; each is written once and only when asked for."""

from functools import lru_cache

import evaluation_drives
import pytest
import tiny_network

from occflow_ros import config
from occflow_ros.engine import checkpoint
from occflow_ros.models.build import build_network


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """By kind of structure; nobody changes them."""
    return lru_cache(
        lambda kind: evaluation_drives.write(kind, tmp_path_factory.mktemp("written") / kind)
    )


@pytest.fixture(scope="session")
def tiny_preset(tmp_path_factory):
    """A configuration file of the tiny network, with square voxels as the node wants them."""
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(config.dump(tiny_network.tiny_config(shape=(16, 16, 4))))
    return path


@pytest.fixture(scope="session")
def tiny_weights(tiny_preset):
    """A checkpoint for it, with nothing near zero, so that everything moves."""
    path, settings = tiny_preset.with_suffix(".safetensors"), config.resolve(str(tiny_preset))
    network = tiny_network.as_trained(build_network(settings.model))
    checkpoint.save(path, network, settings)
    return path
