"""The managed node: every transition, those it has not, and what each frees."""

import gc
import threading
import weakref

import pytest

pytest.importorskip("rclpy")

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from manager import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE, Manager

from occflow_ros.config import load
from occflow_ros.engine.checkpoint import save
from occflow_ros.errors import DataError
from occflow_ros.models.build import build_network
from occflow_ros.ros import process
from occflow_ros.ros.node import OccflowNode


@pytest.fixture
def managed(ros):
    """A node that waits for a manager."""
    made = OccflowNode()
    with process.spinning(made, threading.Event()):
        yield made


def test_the_way_up_and_down_twice(managed, vehicle):
    manager = Manager(vehicle)
    for _ in range(2):
        for transition, state in (
            (CONFIGURE, "inactive"),
            (ACTIVATE, "active"),
            (DEACTIVATE, "inactive"),
            (ACTIVATE, "active"),
            (DEACTIVATE, "inactive"),
            (CLEANUP, "unconfigured"),
        ):
            assert manager.change(transition)
            assert manager.state == state


@pytest.mark.parametrize(
    ("way", "bad"),
    [
        ((), (ACTIVATE, DEACTIVATE, CLEANUP, Transition.TRANSITION_ACTIVE_SHUTDOWN, 99)),
        ((CONFIGURE,), (CONFIGURE, DEACTIVATE)),
        ((CONFIGURE, ACTIVATE), (CONFIGURE, ACTIVATE, CLEANUP)),
        ((Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,), (CONFIGURE, ACTIVATE)),
    ],
)
def test_a_transition_that_the_state_has_not_is_refused(managed, vehicle, way, bad):
    manager = Manager(vehicle)
    assert all(manager.change(transition) for transition in way)
    state = manager.state
    for transition in bad:
        assert not manager.change(transition)
        assert manager.state == state


@pytest.mark.parametrize(
    ("way", "shutdown"),
    [
        ((), Transition.TRANSITION_UNCONFIGURED_SHUTDOWN),
        ((CONFIGURE,), Transition.TRANSITION_INACTIVE_SHUTDOWN),
        ((CONFIGURE, ACTIVATE), Transition.TRANSITION_ACTIVE_SHUTDOWN),
    ],
)
def test_shutdown_from_each_state_frees_everything(managed, vehicle, way, shutdown):
    manager = Manager(vehicle)
    assert all(manager.change(transition) for transition in way)
    assert manager.change(shutdown)
    assert manager.state == "finalized"
    assert managed._session is managed._stream is managed._outputs is None


def test_only_an_active_node_subscribes(managed, vehicle):
    manager = Manager(vehicle)
    topics = ("/left/image_raw", "/right/camera_info")

    def subscribers():
        return [vehicle.node.count_subscribers(topic) for topic in topics]

    before = {subscription.topic_name for subscription in managed.subscriptions}
    manager.change(CONFIGURE)
    assert {subscription.topic_name for subscription in managed.subscriptions} == before
    manager.change(ACTIVATE)
    vehicle.wait_until(lambda: subscribers() == [1, 1], "the subscriptions")
    manager.change(DEACTIVATE)
    vehicle.wait_until(lambda: subscribers() == [0, 0], "the end of the subscriptions")
    assert {subscription.topic_name for subscription in managed.subscriptions} == before


def test_cleanup_frees_the_network_and_the_publishers(managed, vehicle):
    manager = Manager(vehicle)
    before = {publisher.topic_name for publisher in managed.publishers}
    manager.change(CONFIGURE)
    network = weakref.ref(managed._stream._network)
    assert "/occflow/occupancy_flow" in {one.topic_name for one in managed.publishers}
    manager.change(CLEANUP)
    gc.collect()
    assert network() is None
    assert {publisher.topic_name for publisher in managed.publishers} == before


def test_weights_that_are_missing_fail_to_configure_until_they_are_there(
    ros_with, vehicle_of, tiny_preset, tmp_path
):
    path = tmp_path / "weights.safetensors"
    ros_with(weights=path)
    vehicle = vehicle_of()
    made = OccflowNode()
    with process.spinning(made, threading.Event()):
        manager = Manager(vehicle)
        assert not manager.change(CONFIGURE)
        assert manager.state == "unconfigured"
        vehicle.wait_until(
            lambda: vehicle.summary_status.level == DiagnosticStatus.ERROR, "the failure"
        )
        assert str(path) in vehicle.summary_status.message
        tiny = load(tiny_preset)
        save(path, build_network(tiny.model), tiny)
        assert manager.change(CONFIGURE)
        assert manager.state == "inactive"
        vehicle.wait_until(lambda: vehicle.summary.get("weights_sha256"), "the summary")


@pytest.mark.parametrize(
    ("content", "mention"), [(b"", "safetensors"), (b"\x08\0\0\0\0\0\0\0{}", "safetensors")]
)
def test_a_file_that_holds_no_weights_is_named_at_the_start(ros_with, tmp_path, content, mention):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    ros_with(weights=path)
    made = OccflowNode()
    with pytest.raises(DataError, match=mention):
        made.start()
    assert made.state == "unconfigured"
    made.destroy_node()


def test_two_instances_under_namespaces_do_not_meet(ros, vehicle):
    made = [OccflowNode(namespace=name) for name in ("/front", "/rear")]
    with process.spinning(made[0], threading.Event()), process.spinning(made[1], threading.Event()):
        front, rear = (Manager(vehicle, f"/{name}/occflow") for name in ("front", "rear"))
        assert front.change(CONFIGURE)
        assert front.change(ACTIVATE)
        assert (front.state, rear.state) == ("active", "unconfigured")
        assert "/front/left/image_raw" in made[0]._session.cameras.image_topics.values()


def test_a_second_node_of_the_same_name_is_reported(managed, vehicle):
    other = rclpy.create_node("occflow")
    try:
        vehicle.wait_until(
            lambda: "another node is named /occflow" in vehicle.summary_status.message,
            "the report of the namesake",
        )
        assert vehicle.summary_status.level == DiagnosticStatus.WARN
    finally:
        other.destroy_node()
