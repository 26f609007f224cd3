"""Quality of service of the results, what is built for whom, and publishers that go again."""

import pytest

pytest.importorskip("rclpy")

import rclpy
from rclpy.qos import HistoryPolicy, ReliabilityPolicy
from tiny_network import tiny_config

from occflow_ros.ros.outputs import QUEUE_SIZE, Outputs


@pytest.fixture
def node(ros):
    made = rclpy.create_node("occflow")
    yield made
    made.destroy_node()


def config_with(**settings):
    tiny = tiny_config(shape=(16, 16, 4))
    return tiny.model_copy(update={"node": tiny.node.model_copy(update=settings)})


def published(node):
    """Quality of service of the node's own topics by name."""
    return {
        publisher.topic_name: publisher.qos_profile
        for publisher in node.publishers
        if publisher.topic_name.startswith("/occflow/")
    }


@pytest.mark.parametrize(
    ("reliable", "policy"),
    [(True, ReliabilityPolicy.RELIABLE), (False, ReliabilityPolicy.BEST_EFFORT)],
)
def test_results_are_reliable_or_as_sensor_data(node, reliable, policy):
    Outputs(node, config_with(reliable_outputs=reliable))
    profiles = published(node)
    assert profiles.keys() >= {
        "/occflow/occupancy_flow",
        "/occflow/occupancy/points",
        "/occflow/occupancy/markers",
        "/occflow/flow/markers",
        "/occflow/costmap",
    }
    for profile in profiles.values():
        assert profile.reliability == policy
        assert (profile.history, profile.depth) == (HistoryPolicy.KEEP_LAST, QUEUE_SIZE)


def test_closed_outputs_are_gone_and_can_be_made_again(node):
    before = published(node)
    for _ in range(2):
        outputs = Outputs(node, config_with())
        assert published(node) != before
        outputs.close()
        assert published(node) == before
        assert not outputs.wanted


def test_nothing_is_built_for_nobody(node):
    outputs = Outputs(node, config_with())
    assert not outputs.wanted
    outputs.publish(prediction=None, frame=None)  # would fail on the first attribute it reads
