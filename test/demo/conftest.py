"""A hand-made drive and what a node would have said about it."""

from pathlib import Path

import hand_made
import pytest

from occflow_ros.data.classes import NAMES
from occflow_ros.data.drive import Drive
from occflow_ros.data.recording import read_recording, recording_writer

REPOSITORY = Path(__file__).resolve().parents[2]
CAR_VOXELS = ((7, 5, 1), (8, 5, 1))


@pytest.fixture(scope="session")
def typestore():
    return hand_made.typestore(REPOSITORY)


@pytest.fixture
def drive(tmp_path):
    """Five sets; in each, two voxels of a car that drives ahead at 4 m/s are occupied."""
    header = Drive("hand-made", {"cam_front": hand_made.camera()}, ())
    truth = hand_made.truth_with(CAR_VOXELS, NAMES.index("car"), velocity=(4.0, 0.0))
    with recording_writer(tmp_path / "drive", header) as writer:
        for captured in hand_made.captured_sets(5, truth):
            writer.add_set(captured)
    return read_recording(tmp_path / "drive")


@pytest.fixture
def bag(tmp_path, drive, typestore):
    """Sets 0 and 1 processed, 2 dropped, 3 never seen, 4 processed without a recorded message."""
    stamps = [camera_set.stamp_ns for camera_set in drive.sets]
    car = [(x * 10 + y) * 4 + z for x, y, z in CAR_VOXELS]
    path = tmp_path / "bag"
    with hand_made.BagWriter(path, typestore) as writer:
        writer.flow(stamps[0], car, [(400, 0), (400, 0)])
        writer.report(
            stamps[0],
            "processed",
            reset="gap of 2.000 s, longer than 1.5 s",
            backbone=10.0,
            total=30.0,
        )
        writer.flow(stamps[1], [0, car[0]], [(0, 0), (-32768, -32768)])
        writer.report(stamps[1], "processed", backbone=20.0, total=50.0)
        writer.report(
            stamps[2], "dropped", "no_transform", detail="no_transform: odom <- base_link at 2.0 s"
        )
        writer.report(stamps[4], "processed", backbone=90.0, total=90.0)
    return path
