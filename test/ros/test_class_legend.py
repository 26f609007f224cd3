"""The legend of the classes: what it says, and who gets it when."""

import pytest

pytest.importorskip("rclpy")

import rclpy
from hand_made_voxels import through_the_wire
from occflow_ros.msg import ClassLegend
from tiny_network import tiny_config

from occflow_ros.ros.class_legend import QOS, legend_message
from occflow_ros.ros.outputs import Outputs
from occflow_ros.viz.palette import class_colors

NAMES = ("empty", "car", "lava")
TOPIC = "/occflow/classes"


@pytest.fixture
def node(ros):
    made = rclpy.create_node("occflow")
    yield made
    made.destroy_node()


@pytest.fixture
def legends_of(vehicle):
    """What a subscriber that comes now gets."""

    def subscribe():
        received = []
        vehicle.node.create_subscription(ClassLegend, TOPIC, received.append, QOS)
        return received

    return subscribe


def test_it_names_each_number_and_its_color():
    message = through_the_wire(legend_message(NAMES))
    assert (message.id.tolist(), message.name) == ([0, 1, 2], list(NAMES))
    colors = [tuple(round(255 * getattr(one, c)) for c in "rgb") for one in message.color]
    assert colors[1] == (100, 150, 245), "a car of SemanticKITTI"
    assert colors == [tuple(color) for color in class_colors(NAMES)]
    assert all(one.a == 1.0 for one in message.color)


def test_whoever_comes_late_gets_it_once_as_long_as_the_outputs_are_there(
    node, vehicle, legends_of
):
    outputs = Outputs(node, tiny_config(shape=(16, 16, 4)), NAMES)
    first = legends_of()
    vehicle.wait_until(lambda: first, "the legend")
    late = legends_of()
    vehicle.wait_until(lambda: late, "the legend")
    vehicle.take_what_came()
    assert [message.name for message in (*first, *late)] == [list(NAMES)] * 2
    assert not outputs.wanted, "a legend needs no prediction"
    outputs.close()
    vehicle.wait_until(lambda: not vehicle.node.count_publishers(TOPIC), "the end of the topic")


def test_without_classes_there_is_no_such_topic(node):
    Outputs(node, tiny_config(shape=(16, 16, 4)))
    assert TOPIC not in {publisher.topic_name for publisher in node.publishers}
