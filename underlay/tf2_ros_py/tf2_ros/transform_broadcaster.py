"""Publisher of transforms that change over time."""

from collections.abc import Iterable

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile

from tf2_msgs.msg import TFMessage

Transforms = TransformStamped | Iterable[TransformStamped]


class TransformBroadcaster:
    """Publishes on `/tf`.

    Args:
        node: node that owns the publisher.
        qos: profile or depth of the publisher; keep-last 100 if absent.
    """

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        self.pub_tf = node.create_publisher(
            TFMessage, "/tf", QoSProfile(depth=100) if qos is None else qos
        )

    def sendTransform(self, transform: Transforms) -> None:
        """Publish one transform, or several in one message."""
        self.pub_tf.publish(TFMessage(transforms=as_list(transform)))


def as_list(transform: Transforms) -> list[TransformStamped]:
    """One transform or an iterable of them, as a list."""
    return [transform] if isinstance(transform, TransformStamped) else list(transform)
