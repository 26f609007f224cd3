"""The node on live cameras."""

from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare("occflow_ros")
ARGUMENTS = (
    (
        "params_file",
        PathJoinSubstitution([SHARE, "config", "runtime", "live.yaml"]),
        "cameras, topics and frames",
    ),
    ("preset", "nano", "preset of the network, or a YAML file"),
    ("weights", "", "checkpoint, or untrained; empty: those that come with the preset"),
    ("device", "cpu", "torch device, for example cuda:0"),
    ("autostart", "true", "false: a lifecycle manager configures and activates the node"),
    ("use_sim_time", "false", "take the time from /clock"),
    ("namespace", "", "namespace of the node and of the relative topics"),
    ("rviz", "false", "also start RViz"),
)


def text(argument: str) -> ParameterValue:
    """An argument that stays text, whatever YAML would take it for."""
    return ParameterValue(LaunchConfiguration(argument), value_type=str)


def flag(argument: str) -> ParameterValue:
    """An argument that is true or false."""
    return ParameterValue(LaunchConfiguration(argument), value_type=bool)


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    node = LifecycleNode(
        package="occflow_ros",
        executable="node",
        name="occflow",
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            {name: text(name) for name in ("preset", "weights", "device")},
            {name: flag(name) for name in ("autostart", "use_sim_time")},
        ],
        output="screen",
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", PathJoinSubstitution([SHARE, "rviz", "occflow.rviz"])],
        parameters=[{"use_sim_time": flag("use_sim_time")}],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    arguments = [
        DeclareLaunchArgument(name, default_value=value, description=description)
        for name, value, description in ARGUMENTS
    ]
    return LaunchDescription([*arguments, node, rviz])
