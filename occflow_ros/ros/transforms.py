"""Transforms from TF; what is missing is a named rejection, never identity."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Transform, TransformStamped
from rclpy.node import Node
from rclpy.time import Time
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, ExtrapolationException, TransformException, TransformListener

from occflow_ros.geometry import se3
from occflow_ros.ros.arrivals import Arrivals
from occflow_ros.ros.rejection import Reason, RejectedSetError
from occflow_ros.ros.stamps import seconds_text, stamp_ns
from occflow_ros.ros.time_guard import REWIND_NS

MAX_NORM_ERROR = 1e-2
"""Of a quaternion's squared length, as tf2 has it."""


@dataclass(frozen=True, slots=True)
class Link:
    """The newest transform of a frame.

    Args:
        parent: frame.
        is_static: whether it came on `/tf_static`.
        stamp_ns: when it holds; 0 of a static one.
        numbers: x, y, z and quaternion x, y, z, w of a static one; empty otherwise.
    """

    parent: str
    is_static: bool
    stamp_ns: int
    numbers: tuple[float, ...]


class TransformTree:
    """Transforms between named frames at a time.

    Lookups wait in the thread that calls; the node's executor, in another one, fills the buffer.
    Chains whose links all came on `/tf_static` are looked up once, until one of them changes.

    Args:
        node: that listens to `/tf` and `/tf_static`.
        arrivals: told of each message.
    """

    def __init__(self, node: Node, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._lock = threading.RLock()  # the node's thread may clear what the executor's fills
        self._links: dict[str, Link] = {}
        self._refused: dict[str, tuple[int, str]] = {}
        self._fixed: dict[tuple[str, str], se3.Array] = {}
        self.refused = 0
        self._buffer = Buffer()
        self._listener = _Listener(self._buffer, node, self)

    def lookup(self, target: str, source: str, stamp_ns: int, deadline_s: float) -> se3.Array:
        """target_T_source (4, 4), read-only where it is static.

        Args:
            target: frame.
            source: frame.
            stamp_ns: when.
            deadline_s: of `time.monotonic`; until then a transform may still arrive.

        Raises:
            RejectedSetError: names both frames, the time, and the newest there is.
        """
        fixed = self._fixed  # a change puts another in its place: none gets what is outdated
        if (known := fixed.get((target, source))) is not None:
            return known
        found = self._arrivals.await_result(
            lambda: self._find(target, source, stamp_ns), deadline_s
        )
        if self._is_static(target, source):
            found.flags.writeable = False
            fixed[target, source] = found
        return found

    def rewind(self, target: str, source: str, stamp_ns: int) -> None:
        """Forget all but static transforms, where this chain is of a time far after this."""
        newest_ns = self._newest_ns(target, source)
        if newest_ns is not None and newest_ns - stamp_ns > REWIND_NS:
            self._clear()

    def _newest_ns(self, target: str, source: str) -> int | None:
        """Until when a chain is known; None where it is not, 0 where it is static."""
        try:
            return int(self._buffer.get_latest_common_time(target, source).nanoseconds)
        except TransformException:
            return None

    def _clear(self) -> None:
        """Forget all but the static transforms, which are sent only once."""
        with self._lock:
            self._buffer.clear()
            self._links = {child: link for child, link in self._links.items() if link.is_static}
            self._refused = {}

    def close(self) -> None:
        """Unsubscribe."""
        self._listener.unregister()

    def take(self, transforms: Sequence[TransformStamped], is_static: bool) -> None:
        """Put valid transforms into the buffer; time that goes back empties it first."""
        with self._lock:
            for transform in transforms:
                if (problem := _problem_of(transform)) is not None:
                    self._refuse(transform, problem)
                else:
                    self._insert(transform, is_static)
        self._arrivals.announce()

    def _insert(self, transform: TransformStamped, is_static: bool) -> None:
        if is_static:
            self._buffer.set_transform_static(transform, "tf_static")
        else:
            self._rewind_before(transform)
            self._buffer.set_transform(transform, "tf")
        self._note(transform, is_static)

    def _rewind_before(self, transform: TransformStamped) -> None:
        link = self._links.get(_name(transform.child_frame_id))
        if link is not None and link.stamp_ns - stamp_ns(transform.header) > REWIND_NS:
            self._clear()

    def _note(self, transform: TransformStamped, is_static: bool) -> None:
        child, new = _name(transform.child_frame_id), _link_of(transform, is_static)
        old = self._links.get(child)
        self._links[child] = new
        if old is not None and (old.is_static or new.is_static) and old != new:
            self._fixed = {}

    def _refuse(self, transform: TransformStamped, problem: str) -> None:
        self.refused += 1
        when_ns = stamp_ns(transform.header)
        text = f"{transform.header.frame_id} <- {transform.child_frame_id}: {problem}"
        self._refused[_name(transform.child_frame_id)] = when_ns, text

    def _find(self, target: str, source: str, stamp_ns: int) -> se3.Array:
        try:
            stamped = self._buffer.lookup_transform_core(target, source, Time(nanoseconds=stamp_ns))
        except TransformException as error:
            raise self._rejection(target, source, stamp_ns, error) from None
        return matrix(stamped.transform)

    def _rejection(
        self, target: str, source: str, stamp_ns: int, error: TransformException
    ) -> RejectedSetError:
        newest_ns = self._newest_ns(target, source)
        what = f"{target} <- {source} at {seconds_text(stamp_ns)}: "
        if newest_ns is not None and stamp_ns <= newest_ns:
            newest = f"; the newest is at {seconds_text(newest_ns)}"
            return RejectedSetError(Reason.IMAGE_TOO_OLD, f"{what}{error}{newest}")
        if problem := self._refused_after(newest_ns, target, source):
            return RejectedSetError(Reason.INVALID_POSE, what + problem)
        if newest_ns is None or not isinstance(error, ExtrapolationException):
            return RejectedSetError(Reason.NO_TRANSFORM, what + str(error).strip())
        return RejectedSetError(Reason.POSE_LATE, what + late_text(stamp_ns, newest_ns))

    def _refused_after(self, newest_ns: int | None, target: str, source: str) -> str | None:
        """What is wrong with a transform of this chain that is newer than the valid ones."""
        for frame in (*self._to_root(target), *self._to_root(source)):
            when_ns, problem = self._refused.get(frame, (0, None))
            if problem and (newest_ns is None or when_ns > newest_ns):
                return problem
        return None

    def _is_static(self, target: str, source: str) -> bool:
        """Whether each link between two frames is known to be."""
        up, down = self._to_root(source), self._to_root(target)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            return False
        path = up[: up.index(common)] + down[: down.index(common)]
        links = [self._links.get(frame) for frame in path]
        return all(link is not None and link.is_static for link in links)

    def _to_root(self, frame: str) -> list[str]:
        """The frame and its ancestors."""
        frames = [frame]
        while (link := self._links.get(frames[-1])) is not None and link.parent not in frames:
            frames.append(link.parent)
        return frames


class _Listener(TransformListener):
    """Hands what comes to the tree, which decides what the buffer gets."""

    def __init__(self, buffer: Buffer, node: Node, tree: TransformTree) -> None:
        self._take: Callable[[Sequence[TransformStamped], bool], None] = tree.take
        super().__init__(buffer, node)

    def callback(self, data: TFMessage) -> None:
        """Of `/tf`."""
        self._take(data.transforms, False)

    def static_callback(self, data: TFMessage) -> None:
        """Of `/tf_static`."""
        self._take(data.transforms, True)


def late_text(stamp_ns: int, newest_ns: int) -> str:
    """What to say of a pose that has not come."""
    behind_s = (stamp_ns - newest_ns) * 1e-9
    return f"the newest is at {seconds_text(newest_ns)}, {behind_s:.3f} s before"


def problem_of_numbers(translation_m: Sequence[float], quat_xyzw: Sequence[float]) -> str | None:
    """Why these are no pose; None where they are."""
    numbers = (*translation_m, *quat_xyzw)
    if not all(map(math.isfinite, numbers)):
        return f"expected finite numbers, got {numbers}"
    if abs(sum(q * q for q in quat_xyzw) - 1.0) > MAX_NORM_ERROR:
        return f"expected a quaternion of length 1, got {tuple(quat_xyzw)}"
    return None


def matrix(transform: Transform) -> se3.Array:
    """The message as a 4×4."""
    translation_m, quat_xyzw = _numbers(transform)
    return se3.from_quaternion_translation(quat_xyzw, translation_m)


def transform_message(dst_T_src: se3.Array) -> Transform:
    """A 4×4 as a message."""
    quat_xyzw, translation_m = se3.to_quaternion_translation(np.asarray(dst_T_src))
    message = Transform()
    for name, value in zip("xyzw", quat_xyzw.tolist()):
        setattr(message.rotation, name, value)
    for name, value in zip("xyz", translation_m.tolist()):
        setattr(message.translation, name, value)
    return message


def _numbers(transform: Transform) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Translation in metres, and quaternion x, y, z, w."""
    t, q = transform.translation, transform.rotation
    return (t.x, t.y, t.z), (q.x, q.y, q.z, q.w)


def _problem_of(transform: TransformStamped) -> str | None:
    return problem_of_numbers(*_numbers(transform.transform))


def _link_of(transform: TransformStamped, is_static: bool) -> Link:
    translation_m, quat_xyzw = _numbers(transform.transform)
    return Link(
        parent=_name(transform.header.frame_id),
        is_static=is_static,
        stamp_ns=0 if is_static else stamp_ns(transform.header),
        numbers=(*translation_m, *quat_xyzw) if is_static else (),
    )


def _name(frame: str) -> str:
    """Without the leading slash that ROS 1 wrote, as tf2 stores it."""
    return frame.removeprefix("/")
