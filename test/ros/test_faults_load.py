"""More than the node or its listeners can take, and ends that do not match, over DDS."""

import threading

import pytest

pytest.importorskip("rclpy")

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from occflow_ros.msg import OccupancyFlow
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2
from trial import TOPIC
from vehicle import TIMEOUT_S

from occflow_ros.ros import process


@pytest.fixture(scope="module")
def shared_trial(shared_trial_of):
    return shared_trial_of()


@pytest.fixture
def trial(shared_trial):
    return shared_trial.begin()


def test_of_a_burst_during_a_step_the_newest_set_is_next_and_the_others_are_counted(trial):
    entered, gate = threading.Event(), threading.Event()

    def hold(frame):
        entered.set()
        gate.wait(TIMEOUT_S)

    trial.before_step = hold
    first = trial.send()
    assert entered.wait(TIMEOUT_S)
    *older, newest = [trial.send() for _ in range(8)]
    for stamp in older:
        trial.dropped(stamp, "overload", "newer set")
    gate.set()
    trial.processed(first)
    trial.processed(newest)
    trial.assert_recovered()


def test_a_slow_listener_slows_nobody(trial):
    entered, gate, heard = threading.Event(), threading.Event(), []

    def listen(message):
        entered.set()
        gate.wait(TIMEOUT_S)
        heard.append(message)

    slow = rclpy.create_node("slow")
    slow.create_subscription(OccupancyFlow, TOPIC, listen, 1)
    publisher = next(p for p in trial.node.publishers if p.topic_name == TOPIC)
    with process.spinning(slow, threading.Event()):
        trial.vehicle.wait_until(lambda: publisher.get_subscription_count() == 2, "the listener")
        trial.good()
        assert entered.wait(TIMEOUT_S)
        for _ in range(10):
            trial.good()
        trial.assert_exact()
        assert not heard, "still at its first message"
        gate.set()
    trial.assert_recovered()


def test_a_listener_that_asks_for_more_than_is_offered_is_named(trial):
    topic = "/occflow/occupancy/points"
    asked = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    listener = trial.vehicle.node.create_subscription(PointCloud2, topic, print, asked)
    assert_named_until(
        trial,
        f"{topic} is not heard by /vehicle",
        lambda: trial.vehicle.node.destroy_subscription(listener),
    )


def test_a_camera_that_offers_less_than_is_asked_for_is_named(trial):
    topic = "/left/image_raw"
    offered = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    sender = trial.vehicle.node.create_publisher(Image, topic, offered)
    assert_named_until(
        trial,
        f"{topic} is not heard from /vehicle",
        lambda: trial.vehicle.node.destroy_publisher(sender),
    )


def assert_named_until(trial, problem, end):
    """The summary names a problem until it is over; sets go on all the time."""
    trial.wait_for_summary(lambda status: problem in status.message, problem, trial.good)
    assert trial.vehicle.summary_status.level == DiagnosticStatus.WARN
    end()
    trial.wait_for_summary(
        lambda status: problem not in status.message,
        "the end of the problem",
        trial.good,
    )
    trial.assert_recovered()
