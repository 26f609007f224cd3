"""Cameras that stop and return where a set may lack some."""

import pytest

pytest.importorskip("rclpy")


@pytest.fixture(scope="module")
def shared_trial(shared_trial_of):
    return shared_trial_of(
        node__cameras__min_cameras=1,
        node__cameras__max_wait_s=0.05,
        node__cameras__tolerance_s=0.04,
    )


@pytest.fixture
def trial(shared_trial):
    return shared_trial.begin()


@pytest.mark.parametrize(("silent", "heard"), [("right", "left"), ("left", "right")])
def test_sets_go_on_without_a_camera_and_are_whole_when_it_returns(trial, silent, heard):
    for _ in range(3):
        values = trial.good(names=(heard,))
        assert (values["cameras"], values["missing"]) == ("1", silent)
        rig = trial.frames[trial.good_ns[-1]].rig
        assert dict(zip(rig.names, rig.present.tolist())) == {silent: False, heard: True}
    values = trial.good()
    assert (values["cameras"], values["missing"], values["reset"]) == ("2", "", "")
    trial.assert_recovered()


def test_an_image_that_cannot_be_used_costs_its_set_alone(trial):
    trial.dropped(trial.send(height=40), "bad_image", "/right/image_raw")
    trial.good(names=("left",))
    trial.assert_recovered()
