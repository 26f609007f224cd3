"""Poses at the stamps of images: exact between messages, never beyond them, each failure named."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, TransformStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from occflow_ros.geometry import se3
from occflow_ros.node_config import NodeConfig, PoseConfig
from occflow_ros.ros.poses import Poses
from occflow_ros.ros.rejection import Reason, RejectedSetError
from occflow_ros.ros.stamps import header_message
from occflow_ros.ros.transforms import transform_message

S = 1_000_000_000
NOW = 0.0  # a deadline that is past: no waiting
SPEED_MPS = 10.0
TURN_RADPS = 0.4


class UnspunNode:
    """Subscribes to nothing: tests call the callbacks themselves."""

    def __init__(self):
        self.callbacks = {}

    def create_subscription(self, kind, topic, callback, qos, **_):
        self.callbacks[topic] = callback
        return topic

    def destroy_subscription(self, topic):
        return self.callbacks.pop(topic, None) is not None

    def resolve_topic_name(self, topic):
        return f"/{topic}"


class Localisation:
    """Sends what a vehicle on a helix does, by whichever way the poses come."""

    def __init__(self, source, **settings):
        self.node = UnspunNode()
        self.source = source
        config = NodeConfig(pose=PoseConfig(source=source, **settings))
        self.poses = Poses(self.node, config)

    def send(self, stamp_ns, odom_T_base=None, parent="odom", child="base_link"):
        pose = transform_message(helix(stamp_ns) if odom_T_base is None else odom_T_base)
        self.send_message(stamp_ns, pose, parent, child)

    def send_message(self, stamp_ns, pose, parent="odom", child="base_link"):
        header = header_message(stamp_ns, parent)
        if self.source == "tf":
            self.send_tf(TransformStamped(header=header, child_frame_id=child, transform=pose))
        elif self.source == "odometry":
            message = Odometry(header=header, child_frame_id=child)
            message.pose.pose = pose_message(pose)
            self.node.callbacks["/odom"](message)
        else:
            self.node.callbacks["/odom"](PoseStamped(header=header, pose=pose_message(pose)))

    def send_tf(self, *transforms, topic="/tf"):
        self.node.callbacks[topic](TFMessage(transforms=list(transforms)))

    def send_static(self, *transforms):
        self.send_tf(*transforms, topic="/tf_static")


def helix(stamp_ns):
    """Forward along x at 10 m/s while turning at 0.4 rad/s about a slanted axis."""
    time_s = stamp_ns * 1e-9
    rotation = Rotation.from_rotvec(np.array([0.6, 0.0, 0.8]) * TURN_RADPS * time_s)
    return se3.from_rotation_translation(rotation.as_matrix(), (SPEED_MPS * time_s, 1.0, -2.0))


def shifted(x_m):
    return se3.from_rotation_translation(np.eye(3), (x_m, 0.0, 0.0))


def pose_message(pose):
    t, q = pose.translation, pose.rotation
    return Pose(
        position=Point(x=t.x, y=t.y, z=t.z), orientation=Quaternion(x=q.x, y=q.y, z=q.z, w=q.w)
    )


def transform(parent, child, parent_T_child, stamp_ns=0):
    sent = TransformStamped(header=header_message(stamp_ns, parent), child_frame_id=child)
    sent.transform = transform_message(parent_T_child)
    return sent


def rejection_of(lookup, *args):
    with pytest.raises(RejectedSetError) as info:
        lookup(*args)
    return info.value


@pytest.fixture(params=["tf", "odometry", "pose"])
def localisation(request):
    return Localisation(request.param)


@pytest.fixture
def tree():
    """The vehicle by TF, with a camera on a bracket."""
    made = Localisation("tf")
    made.send_static(
        transform("base_link", "bracket", shifted(1.0)), transform("bracket", "lens", shifted(0.5))
    )
    return made


@pytest.mark.parametrize("offset_s", [0.0, 0.013, 0.05, 0.0999999, 0.1])
def test_a_pose_between_messages_is_that_of_the_closed_form(localisation, offset_s):
    for tenth in (50, 51):
        localisation.send(tenth * S // 10)
    stamp_ns = 5 * S + round(offset_s * S)
    found = localisation.poses.of_base(stamp_ns, NOW)
    np.testing.assert_allclose(found, helix(stamp_ns), atol=1e-9)


def test_messages_out_of_order_are_sorted(localisation):
    for tenth in (50, 52, 51, 51):
        localisation.send(tenth * S // 10)
    for stamp_ns in (5_050_000_000, 5_150_000_000):
        found = localisation.poses.of_base(stamp_ns, NOW)
        np.testing.assert_allclose(found, helix(stamp_ns), atol=1e-9)


def test_the_rotation_takes_the_shorter_way(localisation):
    half_turns = [
        se3.from_rotation_translation(yaw(degrees), np.zeros(3)) for degrees in (170, -170)
    ]
    for stamp_ns, odom_T_base in zip((5 * S, 5 * S + 200), half_turns):
        localisation.send(stamp_ns, odom_T_base)
    found = localisation.poses.of_base(5 * S + 100, NOW)
    np.testing.assert_allclose(found[:3, :3], yaw(180), atol=1e-9)


def yaw(degrees):
    return Rotation.from_euler("z", degrees, degrees=True).as_matrix()


def test_a_pose_is_never_extrapolated_ahead(localisation):
    localisation.send(5 * S)
    localisation.send(5 * S + S // 10)
    error = rejection_of(localisation.poses.of_base, 5 * S + S // 2, NOW)
    assert error.reason == Reason.POSE_LATE
    assert "odom <- base_link at 5.500000000 s: the newest is at 5.100000000 s" in str(error)
    assert "0.400 s before" in str(error)


def test_a_pose_is_never_extrapolated_back(localisation):
    localisation.send(5 * S)
    localisation.send(5 * S + S // 10)
    error = rejection_of(localisation.poses.of_base, 5 * S - 1, NOW)
    assert error.reason == Reason.IMAGE_TOO_OLD
    assert "odom <- base_link at 4.999999999 s" in str(error)
    assert "5.10000000" in str(error)


def test_what_no_later_message_mends_is_not_waited_for(localisation):
    localisation.send(5 * S)
    localisation.send(5 * S + 1)
    started_s = time.monotonic()
    error = rejection_of(localisation.poses.of_base, 4 * S, started_s + 60.0)
    assert error.reason == Reason.IMAGE_TOO_OLD


def test_without_any_message_the_frames_are_named(localisation):
    error = rejection_of(localisation.poses.of_base, 5 * S, NOW)
    assert error.reason == Reason.NO_TRANSFORM
    assert "odom <- base_link at 5.000000000 s" in str(error)


@pytest.mark.parametrize("source", ["odometry", "pose"])
def test_a_gap_is_not_bridged(source):
    localisation = Localisation(source, max_gap_s=0.5)
    for stamp_ns in (5 * S, 5 * S + S // 2, 6 * S + 1):
        localisation.send(stamp_ns)
    localisation.poses.of_base(5 * S + 100, NOW)
    error = rejection_of(localisation.poses.of_base, 5 * S + S // 2 + 1, NOW)
    assert error.reason == Reason.POSE_GAP
    assert "/odom: odom <- base_link" in str(error)
    assert "expected one each 0.5 s" in str(error)


@pytest.mark.parametrize(
    ("source", "parent", "child"),
    [("odometry", "map", "base_link"), ("odometry", "odom", "imu"), ("pose", "map", "base_link")],
)
def test_poses_of_other_frames_are_refused_by_name(source, parent, child):
    localisation = Localisation(source)
    localisation.send(5 * S, parent=parent, child=child)
    error = rejection_of(localisation.poses.of_base, 5 * S, NOW)
    assert error.reason == Reason.NO_TRANSFORM
    assert f"expected odom <- base_link, got {parent} <- {child}" in str(error)
    assert localisation.poses.refused == 1


@pytest.mark.parametrize(
    ("x_m", "quat_w", "mention"),
    [
        (float("nan"), 1.0, "finite"),
        (float("inf"), 1.0, "finite"),
        (0.0, float("nan"), "finite"),
        (0.0, 0.0, "length 1"),
        (0.0, 1.1, "length 1"),
    ],
)
def test_what_is_no_pose_is_counted_and_never_used(localisation, x_m, quat_w, mention):
    localisation.send(5 * S)
    broken = transform_message(np.eye(4))
    broken.translation.x, broken.rotation.w = x_m, quat_w
    localisation.send_message(5 * S + 100, broken)
    error = rejection_of(localisation.poses.of_base, 5 * S + 100, NOW)
    assert error.reason == Reason.INVALID_POSE
    assert mention in str(error)
    assert localisation.poses.refused == 1
    localisation.send(5 * S + 200)
    np.testing.assert_allclose(
        localisation.poses.of_base(5 * S + 100, NOW), helix(5 * S + 100), atol=1e-9
    )


def test_a_pose_that_comes_within_the_wait_is_used(localisation):
    localisation.send(5 * S)
    timer = threading.Timer(0.05, localisation.send, (6 * S - S // 2,))
    timer.start()
    found = localisation.poses.of_base(5 * S + 100, time.monotonic() + 60.0)
    np.testing.assert_allclose(found, helix(5 * S + 100), atol=1e-9)
    timer.join()


def test_close_ends_the_wait_and_the_subscriptions(localisation):
    timer = threading.Timer(0.05, localisation.poses.close)
    timer.start()
    error = rejection_of(localisation.poses.of_base, 5 * S, time.monotonic() + 60.0)
    assert error.reason == Reason.NO_TRANSFORM
    timer.join()
    assert not localisation.node.callbacks


def test_messages_of_a_time_set_back_replace_those_of_its_future(localisation):
    for stamp_ns in (100 * S, 100 * S + S // 10):
        localisation.send(stamp_ns)
    for stamp_ns in (90 * S, 90 * S + S // 10):
        localisation.send(stamp_ns, shifted(7.0))
    assert localisation.poses.of_base(90 * S + 50, NOW)[0, 3] == 7.0
    error = rejection_of(localisation.poses.of_base, 100 * S, NOW)
    assert error.reason == Reason.POSE_LATE


def test_rewind_forgets_the_future_but_not_what_came_since(localisation):
    localisation.send(100 * S)
    localisation.poses.rewind(95 * S)
    error = rejection_of(localisation.poses.of_base, 95 * S, NOW)
    assert error.reason == Reason.NO_TRANSFORM
    localisation.send(95 * S, shifted(7.0))
    localisation.poses.rewind(95 * S)
    assert localisation.poses.of_base(95 * S, NOW)[0, 3] == 7.0


def test_static_transforms_stay_when_time_is_set_back(tree):
    tree.send(100 * S)
    tree.poses.rewind(5 * S)
    tree.send_tf(transform("base_link", "gimbal", shifted(0.1), 50 * S))
    tree.send_tf(transform("base_link", "gimbal", shifted(0.1), 5 * S))
    assert tree.poses.of_sensor("bracket", 5 * S, NOW)[0, 3] == 1.0


def test_a_static_extrinsic_is_looked_up_once(tree, monkeypatch):
    found = tree.poses.of_sensor("lens", 5 * S, NOW)
    assert found[0, 3] == 1.5
    monkeypatch.setattr(tree.poses._tree, "_find", None)
    assert tree.poses.of_sensor("lens", 6 * S, NOW) is found
    with pytest.raises(ValueError, match="read-only"):
        found[0, 3] = 0.0


@pytest.mark.parametrize(
    ("changed", "x_m"),
    [
        (transform("base_link", "bracket", shifted(3.0)), 3.5),
        (transform("bracket", "lens", shifted(0.7)), 1.7),
        (transform("base_link", "lens", shifted(0.2)), 0.2),
    ],
)
def test_a_static_extrinsic_that_changes_is_looked_up_again(tree, changed, x_m):
    tree.poses.of_sensor("lens", 5 * S, NOW)
    tree.send_static(changed)
    assert tree.poses.of_sensor("lens", 5 * S, NOW)[0, 3] == x_m


def test_a_static_transform_sent_again_changes_nothing(tree):
    found = tree.poses.of_sensor("lens", 5 * S, NOW)
    tree.send_static(transform("bracket", "lens", shifted(0.5), stamp_ns=9 * S))
    tree.send_static(transform("base_link", "another", shifted(0.5)))
    assert tree.poses.of_sensor("lens", 5 * S, NOW) is found


def test_an_extrinsic_with_a_link_that_moves_is_that_of_the_time(tree):
    for stamp_ns, x_m in ((5 * S, 0.0), (6 * S, 1.0)):
        tree.send_tf(transform("lens", "gimbal", shifted(x_m), stamp_ns))
    assert tree.poses.of_sensor("gimbal", 5 * S + S // 4, NOW)[0, 3] == pytest.approx(1.75)
    assert tree.poses.of_sensor("gimbal", 5 * S + S // 2, NOW)[0, 3] == pytest.approx(2.0)


def test_a_static_link_that_begins_to_move_is_followed(tree):
    tree.poses.of_sensor("lens", 5 * S, NOW)
    for stamp_ns, x_m in ((5 * S, 0.0), (6 * S, 1.0)):
        tree.send_tf(transform("base_link", "bracket", shifted(x_m), stamp_ns))
    assert tree.poses.of_sensor("lens", 5 * S + S // 2, NOW)[0, 3] == pytest.approx(1.0)


def test_a_camera_beside_the_base_has_a_static_chain_down_and_up():
    made = Localisation("tf")
    made.send_static(
        transform("chassis", "base_link", shifted(1.0)), transform("chassis", "lens", shifted(3.0))
    )
    made.send_tf(transform("odom", "chassis", np.eye(4), 5 * S))
    found = made.poses.of_sensor("lens", 5 * S, NOW)
    assert found[0, 3] == pytest.approx(2.0)
    assert made.poses.of_sensor("lens", 99 * S, NOW) is found


@pytest.mark.parametrize("frame", ["attic", "", "/lens"])
def test_a_sensor_of_an_unknown_frame_is_named(tree, frame):
    error = rejection_of(tree.poses.of_sensor, frame, 5 * S, NOW)
    assert error.reason == Reason.NO_TRANSFORM
    assert f"base_link <- {frame} at 5.000000000 s" in str(error)


def test_frames_that_are_not_connected_are_named(tree):
    tree.send_static(transform("house", "attic", np.eye(4)))
    error = rejection_of(tree.poses.of_sensor, "attic", 5 * S, NOW)
    assert error.reason == Reason.NO_TRANSFORM
    assert "base_link <- attic" in str(error)


def test_a_broken_link_elsewhere_is_not_blamed(tree):
    nan = transform("base_link", "arm", np.eye(4), 50 * S)
    nan.transform.translation.x = float("nan")
    tree.send(5 * S)
    tree.send_tf(nan)
    assert rejection_of(tree.poses.of_base, 6 * S, NOW).reason == Reason.POSE_LATE


@pytest.fixture
def over_dds(ros):
    """Makes poses that listen in a node of their own, spun beside the test."""
    listener, sender = rclpy.create_node("listener"), rclpy.create_node("sender")
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    made = []

    def make(**settings):
        made.append(Poses(listener, NodeConfig(pose=PoseConfig(**settings))))
        return made[-1], sender

    yield make
    for poses in made:
        poses.close()
    assert not list(listener.subscriptions)
    executor.shutdown()
    thread.join()
    listener.destroy_node()
    sender.destroy_node()


def test_transforms_over_dds(over_dds):
    poses, sender = over_dds(source="tf")
    broadcaster, static = TransformBroadcaster(sender), StaticTransformBroadcaster(sender)
    static.sendTransform(transform("base_link", "lens", shifted(0.5)))
    found = poses.of_sensor("lens", 5 * S, time.monotonic() + 20.0)
    assert found[0, 3] == 0.5
    await_listener(broadcaster.pub_tf)
    for stamp_ns in (5 * S, 6 * S):
        broadcaster.sendTransform(transform("odom", "base_link", helix(stamp_ns), stamp_ns))
    found = poses.of_base(5 * S + 100, time.monotonic() + 20.0)
    np.testing.assert_allclose(found[:3, 3], helix(5 * S + 100)[:3, 3], atol=1e-9)


@pytest.mark.parametrize("reliability", ["RELIABLE", "BEST_EFFORT"])
def test_odometry_over_dds(over_dds, reliability):
    poses, sender = over_dds(source="odometry", topic="odometry/filtered")
    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy[reliability])
    publisher = sender.create_publisher(Odometry, "odometry/filtered", qos)
    await_listener(publisher)
    for stamp_ns in (5 * S, 5 * S + S // 10):
        message = Odometry(header=header_message(stamp_ns, "odom"), child_frame_id="base_link")
        message.pose.pose = pose_message(transform_message(helix(stamp_ns)))
        publisher.publish(message)
    found = poses.of_base(5 * S + 100, time.monotonic() + 20.0)
    np.testing.assert_allclose(found, helix(5 * S + 100), atol=1e-9)


def await_listener(publisher):
    deadline_s = time.monotonic() + 20.0
    while not publisher.get_subscription_count():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
