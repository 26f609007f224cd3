"""Who does not hear whom for quality of service that does not match; ROS 2 only stays silent."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from occflow_ros.ros.stamps import NS_PER_S

UNBOUNDED_NS = 10**9 * NS_PER_S


def unheard_publishers(node: Node, subscription: Subscription) -> list[str]:
    """Publishers there are now that the subscription cannot hear, each in words."""
    topic = subscription.topic_name
    return [
        f"{topic} is not heard from {_name(other)}: {reason}"
        for other in node.get_publishers_info_by_topic(topic)
        if (reason := _mismatch(other.qos_profile, subscription.qos_profile))
    ]


def unserved_subscriptions(node: Node, publisher: Publisher) -> list[str]:
    """Subscriptions there are now that cannot hear the publisher, each in words."""
    topic = publisher.topic_name
    return [
        f"{topic} is not heard by {_name(other)}: {reason}"
        for other in node.get_subscriptions_info_by_topic(topic)
        if (reason := _mismatch(publisher.qos_profile, other.qos_profile))
    ]


def _mismatch(offered: QoSProfile, asked: QoSProfile) -> str | None:
    compatibility, reason = qos_check_compatible(_comparable(offered), _comparable(asked))
    wrong = compatibility == QoSCompatibility.ERROR
    return reason.replace("ERROR: ", "").strip(" ;").lower() if wrong else None


def _comparable(profile: QoSProfile) -> QoSProfile:
    """With one way to say that a time has no bound: a profile says 0, the graph very long."""
    times = {
        name: time if (time := getattr(profile, name)).nanoseconds < UNBOUNDED_NS else Duration()
        for name in ("deadline", "liveliness_lease_duration")
    }
    return QoSProfile(
        depth=1,
        reliability=profile.reliability,
        durability=profile.durability,
        liveliness=profile.liveliness,
        **times,
    )


def _name(endpoint: TopicEndpointInfo) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
