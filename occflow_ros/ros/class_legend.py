"""Names and colors of the classes that the node estimates, for whoever comes at any time."""

from __future__ import annotations

import array
from collections.abc import Sequence

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import ColorRGBA

from occflow_ros.msg import ClassLegend
from occflow_ros.viz.palette import class_colors

TOPIC = "~/classes"
QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


def publish_legend(node: Node, class_names: Sequence[str]) -> Publisher:
    """Publish the legend once; late subscribers get it as long as the publisher is there."""
    publisher = node.create_publisher(ClassLegend, TOPIC, QOS)
    publisher.publish(legend_message(class_names))
    return publisher


def legend_message(class_names: Sequence[str]) -> ClassLegend:
    """Classes numbered by their place among the names."""
    colors = class_colors(class_names) / 255.0  # (n, 3)
    return ClassLegend(
        id=array.array("B", range(len(class_names))),
        name=list(class_names),
        color=[ColorRGBA(r=red, g=green, b=blue, a=1.0) for red, green, blue in colors.tolist()],
    )
