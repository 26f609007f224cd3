"""Poses of the base from messages of a localisation, between two of them."""

from __future__ import annotations

import threading
from bisect import bisect_left

from geometry_msgs.msg import Pose, PoseStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from occflow_ros.geometry import se3
from occflow_ros.node_config import NodeConfig
from occflow_ros.ros.arrivals import FINAL, Arrivals
from occflow_ros.ros.rejection import Reason, RejectedSetError
from occflow_ros.ros.stamps import NS_PER_S, seconds_text, stamp_ns
from occflow_ros.ros.time_guard import REWIND_NS
from occflow_ros.ros.transforms import late_text, problem_of_numbers

KEPT_NS = 10 * NS_PER_S
QUEUE_SIZE = 100


class PoseBuffer:
    """The poses of the last ten seconds in the order of time.

    Args:
        max_gap_s: poses further apart are not interpolated.
    """

    def __init__(self, max_gap_s: float) -> None:
        self._max_gap_s = max_gap_s
        self._stamps_ns: list[int] = []
        self._poses: list[se3.Array] = []

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest pose; None where there is none."""
        return self._stamps_ns[-1] if self._stamps_ns else None

    def add(self, stamp_ns: int, odom_T_base: se3.Array) -> None:
        """Keep a pose; one that is much older than the newest begins anew."""
        if self._stamps_ns and self._stamps_ns[-1] - stamp_ns > REWIND_NS:
            self.clear()
        index = bisect_left(self._stamps_ns, stamp_ns)
        replaced = slice(index, index + (self._stamps_ns[index : index + 1] == [stamp_ns]))
        self._stamps_ns[replaced] = [stamp_ns]
        self._poses[replaced] = [odom_T_base]
        expired = bisect_left(self._stamps_ns, self._stamps_ns[-1] - KEPT_NS)
        del self._stamps_ns[:expired], self._poses[:expired]

    def clear(self) -> None:
        """Forget all."""
        self._stamps_ns.clear()
        self._poses.clear()

    def at(self, stamp_ns: int) -> se3.Array:
        """odom_T_base (4, 4), between its neighbours linear in translation, slerp in rotation.

        Raises:
            RejectedSetError: where the time is not between two poses close enough.
        """
        if not self._stamps_ns:
            raise RejectedSetError(Reason.NO_TRANSFORM, "no pose came yet")
        index = bisect_left(self._stamps_ns, stamp_ns)
        if index == len(self._stamps_ns):
            raise RejectedSetError(Reason.POSE_LATE, late_text(stamp_ns, self._stamps_ns[-1]))
        if self._stamps_ns[index] == stamp_ns:
            return self._poses[index]
        if index == 0:
            raise RejectedSetError(Reason.IMAGE_TOO_OLD, self._span_text())
        return self._between(index - 1, stamp_ns)

    def _between(self, index: int, stamp_ns: int) -> se3.Array:
        before_ns, after_ns = self._stamps_ns[index : index + 2]
        gap_s = (after_ns - before_ns) * 1e-9
        if gap_s > self._max_gap_s:
            raise RejectedSetError(
                Reason.POSE_GAP,
                f"no pose between {seconds_text(before_ns)} and {seconds_text(after_ns)}, expected "
                f"one each {self._max_gap_s:g} s",
            )
        fraction = (stamp_ns - before_ns) / (after_ns - before_ns)
        return se3.interpolate(self._poses[index], self._poses[index + 1], fraction)

    def _span_text(self) -> str:
        oldest_ns, newest_ns = self._stamps_ns[0], self._stamps_ns[-1]
        return (
            f"the oldest is at {seconds_text(oldest_ns)}, the newest at {seconds_text(newest_ns)}"
        )


class PoseTopic:
    """Subscribes to `nav_msgs/Odometry` or `geometry_msgs/PoseStamped`.

    A PoseStamped names no child frame: its pose is taken as that of the base.

    Args:
        node: that subscribes.
        config: topic and frames.
        arrivals: told of each message.
    """

    def __init__(self, node: Node, config: NodeConfig, arrivals: Arrivals) -> None:
        self._node = node
        self._arrivals = arrivals
        self._fixed_frame, self._base_frame = config.fixed_frame, config.base_frame
        self._lock = threading.Lock()
        self._buffer = PoseBuffer(config.pose.max_gap_s)
        self._refusal: RejectedSetError | None = None
        self.refused = 0
        qos = QoSProfile(depth=QUEUE_SIZE, reliability=ReliabilityPolicy.BEST_EFFORT)
        kind, callback = (
            (Odometry, self.take_odometry)
            if config.pose.source == "odometry"
            else (PoseStamped, self.take_pose)
        )
        self.topic = node.resolve_topic_name(config.pose.topic)
        self._subscription = node.create_subscription(kind, self.topic, callback, qos)

    def lookup(self, stamp_ns: int, deadline_s: float) -> se3.Array:
        """odom_T_base (4, 4) at a time, waiting until `time.monotonic` is the deadline.

        Raises:
            RejectedSetError: names the topic, both frames, the time, and the newest there is.
        """
        return self._arrivals.await_result(lambda: self._find(stamp_ns), deadline_s)

    def rewind(self, stamp_ns: int) -> None:
        """Forget poses of a time before it was set back to this."""
        with self._lock:
            newest_ns = self._buffer.newest_ns
            if newest_ns is not None and newest_ns - stamp_ns > REWIND_NS:
                self._buffer.clear()

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def take_odometry(self, message: Odometry) -> None:
        """A pose with the frame it is of."""
        self._take(message.header, message.child_frame_id, message.pose.pose)

    def take_pose(self, message: PoseStamped) -> None:
        """A pose of the base."""
        self._take(message.header, self._base_frame, message.pose)

    def _take(self, header: Header, child: str, pose: Pose) -> None:
        refusal = self._refusal_of(header.frame_id, child, pose)
        with self._lock:
            self._refusal = refusal
            if refusal is None:
                self._buffer.add(stamp_ns(header), _matrix(pose))
            else:
                self.refused += 1
        self._arrivals.announce()

    def _refusal_of(self, parent: str, child: str, pose: Pose) -> RejectedSetError | None:
        if (parent, child) != (self._fixed_frame, self._base_frame):
            return RejectedSetError(
                Reason.NO_TRANSFORM,
                f"expected {self._fixed_frame} <- {self._base_frame}, got {parent} <- {child}",
            )
        problem = problem_of_numbers(*_numbers(pose))
        return None if problem is None else RejectedSetError(Reason.INVALID_POSE, problem)

    def _find(self, stamp_ns: int) -> se3.Array:
        try:
            with self._lock:
                return self._buffer.at(stamp_ns)
        except RejectedSetError as error:
            named = error if error.reason in FINAL else self._refusal or error
            raise RejectedSetError(
                named.reason,
                f"{self.topic}: {self._fixed_frame} <- {self._base_frame} "
                f"at {seconds_text(stamp_ns)}: {named.detail}",
            ) from None


def _numbers(pose: Pose) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Position in metres, and quaternion x, y, z, w."""
    p, q = pose.position, pose.orientation
    return (p.x, p.y, p.z), (q.x, q.y, q.z, q.w)


def _matrix(pose: Pose) -> se3.Array:
    position_m, quat_xyzw = _numbers(pose)
    return se3.from_quaternion_translation(quat_xyzw, position_m)
