"""A small drive of the synthetic world with the truth of its images."""

import pytest

from occflow_ros.cues.truth import TruthFiles
from occflow_ros.data.source import open_drive
from occflow_ros.data.synthetic import SceneOptions, write_synthetic
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-16.0, -16.0, -1.0), (16.0, 16.0, 3.0), (40, 40, 5))


def scene_options(**changes):
    small = {"seed": 1, "keyframes": 3, "image_hw_px": (24, 40), "rate_hz": 10.0, "grid": GRID}
    return SceneOptions(**{**small, "truth": "all", **changes})


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cues") / "scene"
    write_synthetic(folder, "recording", scene_options())
    return folder


@pytest.fixture(scope="session")
def drive(source):
    return open_drive(source)


@pytest.fixture
def truth_files(source, drive):
    return TruthFiles(source, drive)


@pytest.fixture
def scene():
    """Options of a small scene, to be changed by a test."""
    return scene_options
