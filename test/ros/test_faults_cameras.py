"""Faults of the cameras over DDS, where each set needs them all: the left raw, the right JPEG."""

import pytest

pytest.importorskip("rclpy")

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from vehicle import jpeg

RIGHT, LEFT = "/right/image_raw/compressed", "/left/image_raw"
JPEG = jpeg(np.random.default_rng(0).integers(0, 255, (80, 120, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def shared_trial(shared_trial_of):
    return shared_trial_of(compressed=("right",))


@pytest.fixture
def trial(shared_trial):
    return shared_trial.begin()


def test_a_camera_that_stops_is_named_and_its_return_makes_sets_whole(trial):
    trial.wait_for_summary(
        lambda status: f"no image on {RIGHT} for" in status.message,
        "the silent camera",
        meanwhile=lambda: trial.send(names=("left",)),
    )
    assert trial.vehicle.summary_status.level == DiagnosticStatus.WARN
    assert f"no image on {LEFT}" not in trial.vehicle.summary_status.message
    trial.good()
    trial.wait_for_summary(
        lambda status: RIGHT not in status.message,
        "the end of the silence",
        meanwhile=trial.good,
    )
    trial.assert_recovered()


def test_all_cameras_stop_and_return(trial):
    trial.wait_for_summary(
        lambda status: LEFT in status.message and RIGHT in status.message, "the silent cameras"
    )
    assert trial.vehicle.summary_status.level == DiagnosticStatus.WARN
    trial.now_ns += 3_000_000_000
    assert "3.1" in trial.good()["reset"]
    assert trial.good()["reset"] == ""
    trial.assert_recovered()


@pytest.mark.parametrize(
    ("data", "mention"),
    [
        (JPEG[:200] + bytes(len(JPEG) - 200), "image"),
        (JPEG[: len(JPEG) // 2], "image"),
        (b"", "image"),
        (b"no image at all", "image"),
        (jpeg(np.zeros((40, 60, 3), np.uint8)), "expected 120x80 px"),
    ],
    ids=["corrupt", "truncated", "empty", "foreign", "other size"],
)
def test_a_jpeg_that_cannot_be_used_costs_its_set_alone(trial, data, mention):
    trial.dropped(trial.send(data=data), "bad_image", RIGHT, mention)
    assert trial.good()["reset"] == ""
    trial.assert_recovered()


@pytest.mark.parametrize(
    ("changes", "mention"),
    [
        ({"encoding": "32FC1"}, "32FC1"),
        ({"height": 100}, "120x100"),
        ({"height": 40}, "expected 120x80 px"),
        ({"data": b""}, "0 bytes"),
    ],
    ids=["encoding", "too few bytes", "size", "empty"],
)
def test_a_raw_image_that_cannot_be_used_costs_its_set_alone(trial, changes, mention):
    trial.dropped(trial.send(changed="left", **changes), "bad_image", LEFT, mention)
    assert trial.good()["reset"] == ""
    trial.assert_recovered()


def test_another_calibration_is_used_from_its_arrival_on(trial):
    (before,) = trial.frames.values()
    K = np.array([[30.0, 0, 59.5], [0, 30.0, 39.5], [0, 0, 1]])
    trial.send_infos(k=K.ravel())
    trial.good()
    after = trial.frames[trial.good_ns[-1]]
    assert after.rig.K[:, 0, 0].tolist() == (before.rig.K[:, 0, 0] / 2).tolist()
    assert after.rig.K[:, :2, 2].tolist() == before.rig.K[:, :2, 2].tolist()
    trial.assert_recovered()


def test_a_calibration_of_another_size_is_named_until_it_is_right_again(trial):
    trial.send_infos(width=240, height=160)
    for _ in range(2):
        trial.dropped(trial.send(), "bad_image", "expected 240x160 px", "got 120x80 px")
    trial.send_infos()
    trial.assert_recovered()
