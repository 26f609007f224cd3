"""Source of a filter chain: a ROS subscription."""

from typing import Any

from rclpy.node import Node

from message_filters.simple_filter import SimpleFilter


class Subscriber(SimpleFilter):
    """Passes on the messages of one topic.

    Args:
        node: node that owns the subscription.
        args: further positional arguments of `Node.create_subscription`: type, then topic.
        kwargs: its keyword arguments; `qos_profile` is a depth of 10 if absent.

    Attributes that this class lacks are those of the rclpy subscription.
    """

    def __init__(self, node: Node, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.node = node
        self.topic = args[1]
        kwargs.setdefault("qos_profile", 10)
        self.sub = node.create_subscription(*args, self.callback, **kwargs)

    def callback(self, msg: Any) -> None:
        """Take a message from the subscription."""
        self.signalMessage(msg)

    def getTopic(self) -> str:
        """The topic's name as it was given."""
        return self.topic

    def __getattr__(self, key: str) -> Any:
        if key == "sub":
            raise AttributeError("the subscription does not exist yet")
        return getattr(self.sub, key)
