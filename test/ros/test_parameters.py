"""ROS parameters are the configuration: every leaf, its bounds, and errors by name."""

import pytest

pytest.importorskip("rclpy")

import rclpy
from rclpy.signals import SignalHandlerOptions

from occflow_ros import config
from occflow_ros.errors import ConfigError
from occflow_ros.node_config import PoseConfig
from occflow_ros.ros.parameters import Parameters, leaves

NANO = config.preset("nano").run


@pytest.fixture
def node_with():
    """A node whose parameters the user set like this."""
    nodes = []

    def make(*overrides):
        arguments = [part for override in overrides for part in ("-p", override)]
        rclpy.init(
            args=["test", "--ros-args", *arguments], signal_handler_options=SignalHandlerOptions.NO
        )
        nodes.append(
            rclpy.create_node("some", automatically_declare_parameters_from_overrides=True)
        )
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()


def test_without_overrides_the_parameters_are_the_configuration(node_with):
    node = node_with()
    assert Parameters(node).read(NANO) == NANO
    for name, _, _ in leaves(NANO):
        assert node.has_parameter(name)


def test_overrides_reach_the_configuration(node_with):
    node = node_with(
        "node.cameras.names:=[a, b]",
        "node.pose.wait_s:=1",
        "model.grid.lower_m:=[0.0, -1.0, -2.0]",
        "stream.max_gap_s:=9.5",
    )
    read = Parameters(node).read(NANO)
    assert read.node.cameras.names == ("a", "b")
    assert read.node.pose.wait_s == 1.0
    assert read.model.grid.lower_m == (0.0, -1.0, -2.0)
    assert read.stream.max_gap_s == 9.5


@pytest.mark.parametrize(
    ("override", "mention"),
    [
        ("node.pose.wait_s:=soon", "node.pose.wait_s"),
        ("node.pose.wait_s:=-1.0", "node.pose.wait_s"),
        ("node.cameras.queue_size:=0", "node.cameras.queue_size"),
        ("node.cameras.names:=[a, a]", "node.cameras.names: .*each camera once"),
        ("node.cameras.reference:=roof", "node.cameras.reference: .*one of the cameras"),
        ("node.cameras.names:=front", "node.cameras.names"),
        ("node.costmap.z_m:=[2.0, 1.0]", "node.costmap.z_m: .*lower height first"),
        ("model.grid.shape:=[10, 10]", "model.grid.shape"),
    ],
)
def test_a_wrong_value_is_named(node_with, override, mention):
    with pytest.raises(ConfigError, match=mention):
        Parameters(node_with(override)).read(NANO)


def test_a_misspelt_parameter_is_named(node_with):
    parameters = Parameters(node_with("node.pose.wiat_s:=1.0", "use_sim_time:=true"))
    parameters.read(NANO)
    with pytest.raises(ConfigError, match=r"^node.pose.wiat_s: unknown parameter$"):
        parameters.check_all_known()


def test_descriptions_and_bounds_are_those_of_the_configuration(node_with):
    node = node_with()
    Parameters(node).read(NANO)
    descriptor = node.describe_parameter("node.pose.wait_s")
    field = PoseConfig.model_fields["wait_s"]
    assert descriptor.description == field.description
    assert descriptor.floating_point_range[0].from_value == 0.0
    assert descriptor.read_only
