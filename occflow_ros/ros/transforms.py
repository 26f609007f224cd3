"""Poses from TF at the stamps of images; what is missing is a named rejection, never identity."""

from __future__ import annotations

import time

import numpy as np
from geometry_msgs.msg import Transform
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros import Buffer, TransformException, TransformListener

from occflow_ros.geometry import se3
from occflow_ros.ros.rejection import Reason, RejectedSetError
from occflow_ros.ros.stamps import seconds_text


class Transforms:
    """Transforms between named frames at a time.

    Lookups wait in the thread that calls; the node's executor, in another one, fills the buffer.

    Args:
        node: that listens to `/tf` and `/tf_static`.
    """

    def __init__(self, node: Node) -> None:
        self._buffer = Buffer(node=node)
        self._listener = TransformListener(self._buffer, node)

    def lookup(self, target: str, source: str, stamp_ns: int, deadline_s: float) -> se3.Array:
        """target_T_source (4, 4) at a time.

        Args:
            target: frame.
            source: frame.
            stamp_ns: when.
            deadline_s: of `time.monotonic`; until then a transform may still arrive.

        Raises:
            RejectedSetError: names both frames and the time, with what TF says.
        """
        wait_s = max(0.0, deadline_s - time.monotonic())
        try:
            stamped = self._buffer.lookup_transform(
                target, source, Time(nanoseconds=stamp_ns), Duration(seconds=wait_s)
            )
            return matrix(stamped.transform)
        except (TransformException, ValueError) as error:
            raise RejectedSetError(
                Reason.NO_TRANSFORM, f"{target} <- {source} at {seconds_text(stamp_ns)}: {error}"
            ) from None


def matrix(transform: Transform) -> se3.Array:
    """The message as a 4×4; raises ValueError where it is not a finite rigid transform."""
    rotation, translation = transform.rotation, transform.translation
    result = se3.from_quaternion_translation(
        (rotation.x, rotation.y, rotation.z, rotation.w),
        (translation.x, translation.y, translation.z),
    )
    se3.check_rigid(result)
    return result


def transform_message(dst_T_src: se3.Array) -> Transform:
    """A 4×4 as a message."""
    quat_xyzw, translation_m = se3.to_quaternion_translation(np.asarray(dst_T_src))
    message = Transform()
    for name, value in zip("xyzw", quat_xyzw.tolist()):
        setattr(message.rotation, name, value)
    for name, value in zip("xyz", translation_m.tolist()):
        setattr(message.translation, name, value)
    return message
