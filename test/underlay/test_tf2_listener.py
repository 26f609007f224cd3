"""Broadcasters and listener between real nodes over DDS."""

import pytest

pytest.importorskip("tf2_ros", reason="needs the underlay or upstream ROS 2")

import rclpy
import tf2_ros
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from tf2_msgs.srv import FrameGraph
from tf2_ros.buffer import Buffer
from tf2_ros.static_transform_broadcaster import StaticTransformBroadcaster
from tf2_ros.transform_broadcaster import TransformBroadcaster
from tf2_ros.transform_listener import TransformListener


def at(time_s: float) -> Time:
    return Time(nanoseconds=round(time_s * 1e9))


def test_dynamic_transforms_arrive_and_interpolate(bus, tf) -> None:
    talker, listener_node = bus.node("talker"), bus.node("listener")
    buffer = Buffer(node=listener_node)
    listener = TransformListener(buffer, listener_node)
    broadcaster = TransformBroadcaster(talker)
    assert bus.spin_until(lambda: talker.count_subscribers("/tf") == 1)
    broadcaster.sendTransform(tf.transform("odom", "base", 1))
    broadcaster.sendTransform(
        [
            tf.transform("odom", "base", 2, (4.0, 0.0, 0.0), tf.yaw(90)),
            tf.transform("base", "arm", 1.5, (1.0, 0.0, 0.0)),
        ]
    )
    assert bus.spin_until(lambda: buffer.can_transform("odom", "arm", at(1.5)))
    half = 2.0 + 0.5**0.5
    tf.assert_pose(
        buffer.lookup_transform("odom", "arm", at(1.5)), (half, 0.5**0.5, 0.0), tf.yaw(45)
    )
    listener.unregister()


def test_static_transforms_reach_a_listener_that_joins_late(bus, tf) -> None:
    broadcaster = StaticTransformBroadcaster(bus.node("talker"))
    broadcaster.sendTransform(tf.transform("base", "camera", 1, (1.0, 0.0, 0.0)))
    broadcaster.sendTransform([tf.transform("base", "lidar", 1, (0.0, 2.0, 0.0))])
    late = bus.node("late")
    buffer = Buffer()
    listener = TransformListener(buffer, late)
    assert bus.spin_until(lambda: buffer.can_transform("lidar", "camera", at(7)))
    tf.assert_pose(buffer.lookup_transform("lidar", "camera", at(7)), (1.0, -2.0, 0.0))
    listener.unregister()


def test_own_thread_lets_the_caller_wait(bus, tf) -> None:
    broadcaster = StaticTransformBroadcaster(bus.node("talker"))
    waiting = bus.node("waiting", spun=False)
    buffer = Buffer()
    listener = TransformListener(buffer, waiting, spin_thread=True)
    broadcaster.sendTransform(tf.transform("base", "camera", 1, (1.0, 0.0, 0.0)))
    found = buffer.lookup_transform("base", "camera", at(3), timeout=Duration(seconds=20))
    tf.assert_pose(found, (1.0, 0.0, 0.0))
    listener.executor.shutdown()
    listener.dedicated_listener_thread.join(timeout=10)
    assert not listener.dedicated_listener_thread.is_alive()


def test_unregister_stops_listening(bus, tf) -> None:
    talker, listener_node = bus.node("talker"), bus.node("listener")
    listener = TransformListener(Buffer(), listener_node)
    assert bus.spin_until(lambda: talker.count_subscribers("/tf") == 1)
    listener.unregister()
    assert bus.spin_until(lambda: talker.count_subscribers("/tf") == 0)
    assert bus.spin_until(lambda: talker.count_subscribers("/tf_static") == 0)


def test_qos_can_be_chosen(bus) -> None:
    listener_node = bus.node("listener")
    qos = QoSProfile(depth=3, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    listener = TransformListener(Buffer(), listener_node, qos=qos)
    (info,) = listener_node.get_subscriptions_info_by_topic("/tf")
    assert info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    (info,) = listener_node.get_subscriptions_info_by_topic("/tf_static")
    assert info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    listener.unregister()


def test_jump_back_of_the_ros_clock_clears_the_buffer(bus, tf) -> None:
    node = bus.node(
        "simulated", parameter_overrides=[Parameter("use_sim_time", Parameter.Type.BOOL, True)]
    )
    clock_talker = bus.node("clock_talker")
    publisher = clock_talker.create_publisher(Clock, "/clock", 10)
    buffer = Buffer(node=node)

    def clock_reads(time_s: float) -> bool:
        publisher.publish(Clock(clock=at(time_s).to_msg()))
        return node.get_clock().now().nanoseconds == at(time_s).nanoseconds

    assert bus.spin_until(lambda: clock_reads(100))
    buffer.set_transform(tf.transform("odom", "base", 100), "test")
    assert bus.spin_until(lambda: clock_reads(101))
    assert buffer.can_transform("odom", "base", at(100))
    assert bus.spin_until(lambda: clock_reads(50))
    assert not buffer.can_transform("odom", "base", at(100))


def test_frames_service_answers_with_yaml(bus, tf) -> None:
    server, client_node = bus.node("server"), bus.node("client")
    buffer = Buffer(node=server)
    buffer.set_transform(tf.transform("odom", "base", 1), "test")
    client = client_node.create_client(FrameGraph, "/tf2_frames")
    assert bus.spin_until(client.service_is_ready)
    future = client.call_async(FrameGraph.Request())
    assert bus.spin_until(future.done)
    assert "parent: 'odom'" in future.result().frame_yaml


def test_names_live_where_upstream_has_them() -> None:
    assert tf2_ros.Buffer is Buffer
    assert tf2_ros.TransformListener is TransformListener
    assert tf2_ros.TransformBroadcaster is TransformBroadcaster
    assert tf2_ros.StaticTransformBroadcaster is StaticTransformBroadcaster
    assert issubclass(Buffer, tf2_ros.BufferInterface)
    assert issubclass(Buffer, tf2_ros.BufferCore)
    assert rclpy.ok() is False
