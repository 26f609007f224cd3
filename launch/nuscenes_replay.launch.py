"""A nuScenes scene through the node; everything ends when the scene has been played."""

from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import (
    IfElseSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare("occflow_ros")
LAST_SET_S = 3.0
ARGUMENTS = (
    ("dataroot", None, "root of the nuScenes data set"),
    ("version", "", "for example v1.0-mini; empty: the only one there"),
    ("scene", "", "for example scene-0061; empty: the only one there"),
    ("preset", "nano", "preset of the network, or a YAML file"),
    ("weights", "", "checkpoint, or untrained; empty: those that come with the preset"),
    ("device", "cpu", "torch device, for example cuda:0"),
    ("rate", "1.0", "times real time"),
    ("rviz", "false", "also start RViz"),
    ("record", "", "folder of a bag to record; empty: none"),
)


def text(argument: str) -> ParameterValue:
    """An argument that stays text, whatever YAML would take it for."""
    return ParameterValue(LaunchConfiguration(argument), value_type=str)


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    recording = NotEqualsSubstitution(LaunchConfiguration("record"), "")
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "occflow.launch.py"])),
        launch_arguments={
            "params_file": PathJoinSubstitution([SHARE, "config", "runtime", "nuscenes.yaml"]),
            "use_sim_time": "true",
            **{name: LaunchConfiguration(name) for name in ("preset", "weights", "device", "rviz")},
        }.items(),
    )
    replay = Node(
        package="occflow_ros",
        executable="replay",
        parameters=[
            {
                "source": text("dataroot"),
                "version": text("version"),
                "scene": text("scene"),
                "rate": ParameterValue(LaunchConfiguration("rate"), value_type=float),
                "transport": "compressed",
                "wait_for_nodes": ParameterValue(
                    IfElseSubstitution(recording, "[occflow, recorder]", "[occflow]"),
                    value_type=list[str],
                ),
                "use_sim_time": False,
            }
        ],
        output="screen",
    )
    recorder = Node(
        package="occflow_ros",
        executable="recorder",
        parameters=[{"output": text("record"), "use_sim_time": False}],
        output="screen",
        condition=IfCondition(recording),
    )
    at_the_end = TimerAction(period=LAST_SET_S, actions=[Shutdown(reason="the scene is over")])
    arguments = [
        DeclareLaunchArgument(name, default_value=value, description=description)
        for name, value, description in ARGUMENTS
    ]
    return LaunchDescription(
        [
            *arguments,
            node,
            recorder,
            replay,
            RegisterEventHandler(OnProcessExit(target_action=replay, on_exit=[at_the_end])),
        ]
    )
