"""Signals in the middle of a step: the node ends at once, quietly, and accounts for its sets."""

import signal

import pytest
from two_cameras import CAMERAS

pytest.importorskip("rclpy")

from executables import end, wait_for_text
from occflow_ros.msg import OccupancyFlow
from trial import PERIOD_NS, TOPIC

from occflow_ros import config
from occflow_ros.ros.stamps import stamp_ns


@pytest.fixture
def slow_preset(tiny_preset, tmp_path):
    """As the tiny one with so many voxels that a step takes some tenths of a second."""
    tiny = config.load(tiny_preset)
    grid = tiny.model.grid.model_copy(update={"shape": (128, 96, 8)})
    path = tmp_path / "slow.yaml"
    path.write_text(
        config.dump(tiny.model_copy(update={"model": tiny.model.model_copy(update={"grid": grid})}))
    )
    return path


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_step(start, ros_with, vehicle_of, slow_preset, signum):
    node = start(
        "node",
        preset=str(slow_preset),
        node__cameras__names=list(CAMERAS),
        node__cameras__reliable=True,
    )
    ros_with()
    vehicle, published_ns = vehicle_of(), []
    vehicle.node.create_subscription(
        OccupancyFlow, TOPIC, lambda message: published_ns.append(stamp_ns(message.header)), 10
    )
    wait_for_text(node, "waiting for images")
    vehicle.wait_for_node()
    vehicle.wait_until(lambda: vehicle.node.count_publishers(TOPIC), TOPIC)
    vehicle.send_mounts()
    vehicle.send_infos(PERIOD_NS)
    stamps = [PERIOD_NS * (1 + index) for index in range(100)]
    sent = []

    def overloaded():
        sent.append(stamps[len(sent)])
        vehicle.send_pose(sent[-1])
        vehicle.send_images(sent[-1])
        return "overload" in reasons_of(vehicle).values()

    vehicle.wait_until(overloaded, "a set that is replaced, since a step is going on")
    end(node, signum)
    vehicle.take_what_came()
    reasons = reasons_of(vehicle)
    assert set(reasons.values()) <= {"", "no_subscribers", "overload", "shutdown"}
    assert sorted(reasons) == sent[: len(reasons)]  # the last ones may not have reached the node
    assert list(reasons.values()).count("shutdown") <= 1  # none where no set waits by then
    assert published_ns == [stamp for stamp in sorted(reasons) if not reasons[stamp]]


def reasons_of(vehicle):
    return {stamp: values["reason"] for stamp, (_, values) in vehicle.outcomes.items()}
