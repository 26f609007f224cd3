"""Subscriptions that fill a transform buffer."""

from contextlib import suppress
from threading import Thread
from weakref import finalize

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile

from tf2_msgs.msg import TFMessage
from tf2_ros.buffer import Buffer

AUTHORITY = "default_authority"  # DDS does not tell the subscriber who published


class TransformListener:
    """Feeds `/tf` and `/tf_static` into a buffer, until `unregister` or the end of its node.

    Args:
        buffer: the buffer to fill.
        node: node that owns the subscriptions.
        spin_thread: spin the node in a thread of this listener's own, so that lookups may wait
            in the thread that made them; the node must then not be spun elsewhere.
        qos: profile or depth for `/tf`; volatile keep-last 100 if absent.
        static_qos: profile or depth for `/tf_static`; transient-local keep-last 100 if absent.
    """

    def __init__(
        self,
        buffer: Buffer,
        node: Node,
        *,
        spin_thread: bool = False,
        qos: QoSProfile | int | None = None,
        static_qos: QoSProfile | int | None = None,
    ) -> None:
        self.buffer = buffer
        self.node = node
        # Reentrant, so that a callback of the node may wait for transforms.
        self.group = ReentrantCallbackGroup()
        self.tf_sub = node.create_subscription(
            TFMessage,
            "/tf",
            self.callback,
            _keep_100(DurabilityPolicy.VOLATILE) if qos is None else qos,
            callback_group=self.group,
        )
        self.tf_static_sub = node.create_subscription(
            TFMessage,
            "/tf_static",
            self.static_callback,
            _keep_100(DurabilityPolicy.TRANSIENT_LOCAL) if static_qos is None else static_qos,
            callback_group=self.group,
        )
        if spin_thread:
            self.executor = SingleThreadedExecutor(context=node.context)
            self.executor.add_node(node)
            self.dedicated_listener_thread = Thread(
                target=_spin, args=(self.executor,), daemon=True
            )
            self.dedicated_listener_thread.start()
            # An interpreter that ends while the thread waits in C++ would abort.
            self._end_thread = finalize(self, _end, self.executor, self.dedicated_listener_thread)

    def unregister(self) -> None:
        """Stop listening: end the thread, if any, and drop both subscriptions."""
        if hasattr(self, "_end_thread"):
            self._end_thread()
        self.node.destroy_subscription(self.tf_sub)
        self.node.destroy_subscription(self.tf_static_sub)

    def callback(self, data: TFMessage) -> None:
        """Take dynamic transforms."""
        for transform in data.transforms:
            self.buffer.set_transform(transform, AUTHORITY)

    def static_callback(self, data: TFMessage) -> None:
        """Take static transforms."""
        for transform in data.transforms:
            self.buffer.set_transform_static(transform, AUTHORITY)


def _keep_100(durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(depth=100, durability=durability, history=HistoryPolicy.KEEP_LAST)


def _spin(executor: SingleThreadedExecutor) -> None:
    """Spin until the executor or ROS itself shuts down."""
    with suppress(ExternalShutdownException):
        executor.spin()


def _end(executor: SingleThreadedExecutor, thread: Thread) -> None:
    executor.shutdown()
    thread.join()
