"""Publisher of transforms that never change."""

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile

from tf2_msgs.msg import TFMessage
from tf2_ros.transform_broadcaster import Transforms, as_list


class StaticTransformBroadcaster:
    """Publishes on `/tf_static` everything sent so far, for listeners that join late too.

    Args:
        node: node that owns the publisher.
        qos: profile or depth of the publisher; transient-local keep-last 1 if absent.

    The last transform sent for a child frame counts.
    """

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        latched = QoSProfile(
            depth=1,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
            history=HistoryPolicy.KEEP_LAST,
        )
        self.pub_tf = node.create_publisher(
            TFMessage, "/tf_static", latched if qos is None else qos
        )
        self._transforms: dict[str, TransformStamped] = {}

    def sendTransform(self, transform: Transforms) -> None:
        """Add one transform or several, and publish all."""
        for added in as_list(transform):
            self._transforms[added.child_frame_id] = added
        self.pub_tf.publish(TFMessage(transforms=list(self._transforms.values())))
