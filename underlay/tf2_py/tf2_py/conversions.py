"""Messages to and from the buffer's own types."""

import math

from builtin_interfaces.msg import Duration as DurationMsg
from builtin_interfaces.msg import Time as TimeMsg
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time

from tf2_py.cache import Edge
from tf2_py.rigid import Rigid, normalize

NS_PER_S = 1_000_000_000

TimeLike = Time | TimeMsg
DurationLike = Duration | DurationMsg


def nanoseconds(what: str, value: TimeLike | DurationLike) -> int:
    """Nanoseconds of an rclpy Time or Duration, or of their messages.

    Raises:
        TypeError: value is none of these; `what` names it.
    """
    if hasattr(value, "nanosec"):
        return value.sec * NS_PER_S + value.nanosec
    if hasattr(value, "nanoseconds"):
        return value.nanoseconds
    raise TypeError(f"{what} must have sec and nanosec, or nanoseconds, got {type(value).__name__}")


def frame_names(transform: TransformStamped) -> tuple[str, str]:
    """Parent and child without the leading slash that ROS 1 wrote."""
    return transform.header.frame_id.removeprefix("/"), transform.child_frame_id.removeprefix("/")


def problem_of(transform: TransformStamped) -> str | None:
    """Why a transform cannot enter the buffer; None if it can."""
    parent, child = frame_names(transform)
    if not child:
        return "TF_NO_CHILD_FRAME_ID: Ignoring a transform without child_frame_id"
    if not parent:
        return f'TF_NO_FRAME_ID: Ignoring a transform of child_frame_id "{child}" without frame_id'
    if parent == child:
        return f'TF_SELF_TRANSFORM: Ignoring a transform from frame "{child}" to itself'
    pose = _pose(transform)
    numbers = (*pose.rotation, *pose.translation)
    if any(map(math.isnan, numbers)):
        return f'TF_NAN_INPUT: Ignoring a transform of child_frame_id "{child}" with NaN {numbers}'
    if not any(pose.rotation):
        return (
            "TF_DENORMALIZED_QUATERNION: Ignoring a transform of child_frame_id "
            f'"{child}" with the quaternion {pose.rotation}'
        )
    return None


def edge_from_msg(transform: TransformStamped) -> tuple[str, Edge]:
    """Child frame and link of a message that `problem_of` passes; its rotation is normalized."""
    parent, child = frame_names(transform)
    pose = _pose(transform)
    stamp_ns = nanoseconds("header.stamp", transform.header.stamp)
    return child, Edge(parent, stamp_ns, Rigid(normalize(pose.rotation), pose.translation))


def _pose(transform: TransformStamped) -> Rigid:
    t, q = transform.transform.translation, transform.transform.rotation
    return Rigid((q.x, q.y, q.z, q.w), (t.x, t.y, t.z))


def msg_from_rigid(
    target_frame: str, source_frame: str, time_ns: int, target_T_source: Rigid
) -> TransformStamped:
    """The lookup result: header.frame_id is the target, child_frame_id the source."""
    sec, nanosec = divmod(time_ns, NS_PER_S)
    msg = TransformStamped(child_frame_id=source_frame)
    msg.header.frame_id = target_frame
    msg.header.stamp = TimeMsg(sec=sec, nanosec=nanosec)
    t, q = msg.transform.translation, msg.transform.rotation
    t.x, t.y, t.z = target_T_source.translation
    q.x, q.y, q.z, q.w = normalize(target_T_source.rotation)
    return msg
