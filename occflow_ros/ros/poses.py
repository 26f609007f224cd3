"""Where the base was when an image was taken, and where the camera sits on it."""

from __future__ import annotations

from rclpy.node import Node

from occflow_ros.geometry.se3 import Array
from occflow_ros.node_config import NodeConfig
from occflow_ros.ros.arrivals import Arrivals
from occflow_ros.ros.pose_topic import PoseTopic
from occflow_ros.ros.transforms import TransformTree


class Poses:
    """Poses of the base from TF or from a topic, extrinsics from TF.

    Lookups wait in the thread that calls, until the node's executor, in another one, brings the
    pose. None is ever extrapolated.

    Args:
        node: that subscribes, until `close`.
        config: frames, and where poses come from.
    """

    def __init__(self, node: Node, config: NodeConfig) -> None:
        self._fixed_frame, self._base_frame = config.fixed_frame, config.base_frame
        self._arrivals = Arrivals()
        self._tree = TransformTree(node, self._arrivals)
        self._topic = (
            None if config.pose.source == "tf" else PoseTopic(node, config, self._arrivals)
        )

    @property
    def refused(self) -> int:
        """Messages that were no poses, or none of the wanted frames."""
        return self._tree.refused + (self._topic.refused if self._topic else 0)

    def of_base(self, stamp_ns: int, deadline_s: float) -> Array:
        """odom_T_base (4, 4), the pose of the base in the fixed frame.

        Args:
            stamp_ns: when.
            deadline_s: of `time.monotonic`; until then it may still arrive.

        Raises:
            RejectedSetError: names both frames, the time, and the newest pose there is.
        """
        if self._topic:
            return self._topic.lookup(stamp_ns, deadline_s)
        return self._tree.lookup(self._fixed_frame, self._base_frame, stamp_ns, deadline_s)

    def of_sensor(self, frame_id: str, stamp_ns: int, deadline_s: float) -> Array:
        """base_T_sensor (4, 4), the pose of a sensor on the base; read-only where it is static.

        Args:
            frame_id: of the sensor's messages.
            stamp_ns: when.
            deadline_s: of `time.monotonic`; until then it may still arrive.

        Raises:
            RejectedSetError: names both frames and the time.
        """
        return self._tree.lookup(self._base_frame, frame_id, stamp_ns, deadline_s)

    def rewind(self, stamp_ns: int) -> None:
        """Forget poses of a time before it was set back to this; static transforms stay."""
        self._tree.rewind(self._fixed_frame, self._base_frame, stamp_ns)
        if self._topic:
            self._topic.rewind(stamp_ns)

    def close(self) -> None:
        """Unsubscribe; who waits is woken, and nobody waits any more."""
        self._arrivals.close()
        self._tree.close()
        if self._topic:
            self._topic.close()
