"""Plays a bag as `ros2 bag play` does: recorded bytes, at the recorded times, with their QoS."""

import importlib
import time
from itertools import count

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock

from occflow_ros.ros.stamps import time_message

WAIT_S = 20.0
CLOCK_PERIOD_S = 1 / 40
OWN_TOPICS = ("/occflow/", "/diagnostics", "/rosout", "/parameter_events")


class BagPlayer:
    """Publishes a bag once, but not what the node under test had sent.

    Args:
        folder: of the bag.
        clock: also send the time of the bag on /clock, as with `--clock`.
    """

    def __init__(self, folder, clock=False):
        self.node = rclpy.create_node("bag_player")
        with Reader(folder) as reader:
            connections = [c for c in reader.connections if not c.topic.startswith(OWN_TOPICS)]
            self.messages = [
                (connection.topic, time_ns, bytes(data))
                for connection, time_ns, data in reader.messages(connections)
            ]
        self.publishers = {
            connection.topic: self.node.create_publisher(
                message_class(connection.msgtype), connection.topic, offered(connection)
            )
            for connection in connections
        }
        self.clock = self.node.create_publisher(Clock, "/clock", 1) if clock else None

    def wait_for_subscribers(self):
        """Real players do not wait; here the first messages must not be lost."""
        deadline_s = time.monotonic() + WAIT_S
        heard = [p for t, p in self.publishers.items() if "/image_raw" in t or "/camera_info" in t]
        heard.append(self.publishers["/tf"])
        while not all(publisher.get_subscription_count() for publisher in heard):
            assert time.monotonic() < deadline_s, "nobody subscribes"
            time.sleep(0.02)

    def play(self, rate=1.0, before=lambda topic: None):
        """Send everything when it is due; `before` may pause the player."""
        self.wait_for_subscribers()
        begin_ns = self.messages[0][1]
        begin_s = time.monotonic()
        ticks = (begin_s + tick * CLOCK_PERIOD_S for tick in count())
        tick_s = next(ticks)
        for topic, time_ns, data in self.messages:
            due_s = begin_s + (time_ns - begin_ns) * 1e-9 / rate
            while self.clock is not None and tick_s <= due_s:
                sleep_until(tick_s)
                now_ns = begin_ns + round((tick_s - begin_s) * rate * 1e9)
                self.clock.publish(Clock(clock=time_message(now_ns)))
                tick_s = next(ticks)
            sleep_until(due_s)
            before(topic)
            self.publishers[topic].publish(data)

    def close(self):
        self.node.destroy_node()


def sleep_until(due_s):
    time.sleep(max(0.0, due_s - time.monotonic()))


def message_class(kind):
    package, _, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def offered(connection):
    """The player takes reliability and durability from the bag, the rest by default."""
    qos = connection.ext.offered_qos_profiles[0]
    return QoSProfile(
        depth=max(qos.depth, 10),
        reliability=ReliabilityPolicy(qos.reliability.value),
        durability=DurabilityPolicy(qos.durability.value),
    )
