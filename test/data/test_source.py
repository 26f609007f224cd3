"""What a folder holds is recognised, or what was looked for is said."""

import shutil

import pytest

from occflow_ros.data.nuscenes_writer import nuscenes_writer
from occflow_ros.data.recording import recording_writer
from occflow_ros.data.source import open_drive
from occflow_ros.errors import DataError


@pytest.fixture
def dataroot(tmp_path, made):
    with nuscenes_writer(tmp_path / "set", "v1.0-own", made.header()) as writer:
        writer.add_set(made.keyframe(0))
    return tmp_path / "set"


def test_a_recording_folder_is_opened(tmp_path, made):
    with recording_writer(tmp_path / "drive", made.header()) as writer:
        writer.add_set(made.keyframe(0))
    assert open_drive(str(tmp_path / "drive")).notes == "made by hand"
    with pytest.raises(DataError, match="has no scenes or versions to choose"):
        open_drive(tmp_path / "drive", scene="scene-0001")


def test_a_nuscenes_data_set_is_opened(dataroot):
    assert open_drive(dataroot).name == "scene-0001"
    assert open_drive(dataroot, scene="0", version="v1.0-own").fixed_frame == "map"
    with pytest.raises(DataError, match=r"expected a version out of \['v1.0-own'\], got v1.0-mini"):
        open_drive(dataroot, version="v1.0-mini")
    shutil.copytree(dataroot / "v1.0-own", dataroot / "v1.0-two")
    with pytest.raises(DataError, match=r"out of \['v1.0-own', 'v1.0-two'\], got none"):
        open_drive(dataroot)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"none: expected a folder with a drive, found none"):
        open_drive(tmp_path / "none")
    with pytest.raises(DataError, match=r"recording.yaml .*; \*/scene.json .*; found nothing"):
        open_drive(tmp_path)
