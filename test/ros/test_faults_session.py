"""What ends a session or interrupts it: memory, exceptions, a manager, the reset service."""

import time

import pytest

pytest.importorskip("rclpy")

import torch
from diagnostic_msgs.msg import DiagnosticStatus
from manager import ACTIVATE, CONFIGURE, DEACTIVATE, Manager
from std_srvs.srv import Trigger

from occflow_ros.ros import conversions
from occflow_ros.ros.session import OUT_OF_MEMORY


@pytest.fixture(scope="module")
def shared_trial(shared_trial_of):
    return shared_trial_of()


@pytest.fixture
def manager(shared_trial):
    return Manager(shared_trial.vehicle)


@pytest.fixture
def trial(shared_trial):
    return shared_trial.begin()


def failing(error, times=None):
    """Raises before the first steps, or before all."""
    left = iter(() if times is None else range(times))

    def before_step(frame):
        if times is None or next(left, None) is not None:
            raise error

    return before_step


def resume(trial, manager, *transitions):
    """Bring the node back to work, as a lifecycle manager does."""
    assert all(manager.change(transition) for transition in transitions)
    assert manager.state == "active"
    if CONFIGURE in transitions:
        trial.watch_steps()
    trial.before_step = lambda frame: None
    trial.vehicle.wait_for_node()
    trial.wait_until_wanted()
    trial.send_infos()


def test_out_of_memory_once_costs_the_history(trial):
    trial.before_step = failing(torch.OutOfMemoryError("8 GiB"), times=1)
    assert trial.good()["reset"] == OUT_OF_MEMORY
    assert trial.good()["reset"] == ""
    trial.assert_recovered()


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("8 GiB"), ValueError("of\na kind"), KeyError("left")]
)
def test_what_no_set_survives_ends_clean_and_the_node_can_be_brought_up_again(
    trial, manager, error
):
    name = type(error).__name__
    trial.before_step = failing(error)
    trial.dropped(trial.send(), "failure", name)
    trial.wait_for_summary(lambda status: status.level == DiagnosticStatus.ERROR, "the failure")
    assert name in trial.vehicle.summary_status.message
    assert trial.vehicle.summary["state"] == manager.state == "unconfigured"
    assert trial.node._stream is None, "its memory is freed"
    resume(trial, manager, CONFIGURE, ACTIVATE)
    trial.wait_for_summary(
        lambda status: status.level != DiagnosticStatus.ERROR, "the recovery", trial.good
    )
    trial.assert_recovered()


def test_a_result_that_cannot_be_published_is_a_failure_too(trial, manager, monkeypatch):
    def refuse(voxels):
        raise OverflowError("too many voxels")

    with monkeypatch.context() as patch:
        patch.setattr(conversions, "occupancy_flow_message", refuse)
        trial.dropped(trial.send(), "failure", "OverflowError: too many voxels")
        trial.vehicle.wait_until(lambda: manager.state == "unconfigured", "the end of the session")
    resume(trial, manager, CONFIGURE, ACTIVATE)
    trial.assert_recovered()


def test_deactivating_while_sets_stream_in_publishes_what_was_processed_and_no_more(trial, manager):
    trial.before_step = lambda frame: time.sleep(0.01)
    sent = []

    def stream():
        sent.extend(trial.send() for _ in range(3))
        return len(sent) >= 9

    trial.vehicle.wait_until(stream, "some sets")
    assert manager.change(DEACTIVATE, meanwhile=stream)
    assert manager.state == "inactive"
    trial.now_ns += 1_000_000_000
    resume(trial, manager, ACTIVATE)
    before = list(trial.good_ns)
    trial.good()
    trial.vehicle.wait_until(lambda: trial.good_ns[-1] in trial.published_ns, "the last result")
    outcomes = {stamp: trial.vehicle.outcomes.get(stamp) for stamp in sent}
    taken = [stamp for stamp in sent if outcomes[stamp]]
    reasons = {stamp: outcomes[stamp][1]["reason"] for stamp in taken}
    assert set(reasons.values()) <= {"", "overload", "shutdown"}
    processed = [stamp for stamp in taken if not reasons[stamp]]
    assert trial.published_ns == [*before, *processed, trial.good_ns[-1]]


def call_reset(trial):
    client = trial.vehicle.node.create_client(Trigger, "/occflow/reset")
    trial.vehicle.wait_until(client.service_is_ready, "~/reset")
    future = client.call_async(Trigger.Request())
    trial.vehicle.wait_until(future.done, "the answer")
    client.destroy()
    return future.result()


def test_the_reset_service_clears_the_history_once(trial):
    assert call_reset(trial).success
    assert trial.good()["reset"] == "~/reset was called"
    assert trial.good()["reset"] == ""
    trial.assert_recovered()


def test_without_a_session_there_is_nothing_to_reset(trial, manager):
    assert manager.change(DEACTIVATE)
    answer = call_reset(trial)
    assert (answer.success, answer.message) == (False, "the node is inactive: there is no history")
    resume(trial, manager, ACTIVATE)
    trial.assert_recovered()
