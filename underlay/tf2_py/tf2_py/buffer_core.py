"""The tree of frames and the lookups through it."""

import threading
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import chain

from geometry_msgs.msg import TransformStamped
from rclpy.logging import get_logger
from rclpy.time import Time

from tf2_py import conversions, frame_report
from tf2_py.cache import LATEST_NS, Cache, Edge, StaticCache, TimeCache, display
from tf2_py.conversions import DurationLike, TimeLike
from tf2_py.exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from tf2_py.rigid import IDENTITY, Rigid, compose, invert

DEFAULT_CACHE_NS = 10_000_000_000

EdgeAt = Callable[[Cache], Edge | None]


class BufferCore:
    """Buffered transforms of a tree of frames; every method may be called from any thread.

    Args:
        cache_time: history kept for each dynamic frame, a Duration or its message; 10 s if absent.

    Times are `rclpy.time.Time` or `builtin_interfaces.msg.Time`; zero means the latest time at
    which the whole chain is known. A transform returned maps points of the source (child) frame
    into the target (parent) frame.
    """

    def __init__(self, cache_time: DurationLike | None = None) -> None:
        self._cache_ns = (
            DEFAULT_CACHE_NS
            if cache_time is None
            else conversions.nanoseconds("duration", cache_time)
        )
        self._caches: dict[str, Cache] = {}
        self._authorities: dict[str, str] = {}
        self._frames: dict[str, None] = {}  # in order of first appearance
        self._lock = threading.RLock()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform that holds at its stamp; a malformed or too old one is logged."""
        self._insert(transform, authority, is_static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform that holds at every time; a malformed one is logged."""
        self._insert(transform, authority, is_static=True)

    def _insert(self, transform: TransformStamped, authority: str, *, is_static: bool) -> None:
        problem = conversions.problem_of(transform)
        if problem is None:
            child, edge = conversions.edge_from_msg(transform)
            with self._lock:
                kept = self._cache_of(child, is_static).insert(edge)
                self._frames.update(dict.fromkeys((child, edge.parent)))
                self._authorities[child] = authority
            problem = (
                None
                if kept
                else (
                    f"TF_OLD_DATA: Ignoring data from the past for frame {child} "
                    f"at time {display(edge.stamp_ns)}"
                )
            )
        if problem is not None:
            get_logger("tf2").warning(f'{problem}, according to authority "{authority}"')

    def _cache_of(self, child: str, is_static: bool) -> Cache:
        """The history of a frame, begun anew where it turns from dynamic to static or back."""
        cache = self._caches.get(child)
        if cache is None or isinstance(cache, StaticCache) != is_static:
            cache = StaticCache() if is_static else TimeCache(self._cache_ns)
            self._caches[child] = cache
        return cache

    def clear(self) -> None:
        """Forget the history of every dynamic frame."""
        with self._lock:
            for cache in self._caches.values():
                cache.clear()

    def lookup_transform_core(
        self, target_frame: str, source_frame: str, time: TimeLike
    ) -> TransformStamped:
        """Look up target ← source at a time, without waiting.

        Raises:
            LookupException: a frame is unknown.
            InvalidArgumentException: a frame name is empty or begins with a slash.
            ConnectivityException: no chain joins the frames.
            ExtrapolationException: a link of the chain has no data around the time.
        """
        time_ns = conversions.nanoseconds("time", time)
        with self._lock:
            pose, time_ns = self._lookup("lookupTransform", target_frame, source_frame, time_ns)
        return conversions.msg_from_rigid(target_frame, source_frame, time_ns, pose)

    def lookup_transform_full_core(
        self,
        target_frame: str,
        target_time: TimeLike,
        source_frame: str,
        source_time: TimeLike,
        fixed_frame: str,
    ) -> TransformStamped:
        """Look up target at one time ← source at another, `fixed_frame` joining the two times.

        Raises:
            as `lookup_transform_core`, for any of the three frames.
        """
        target_ns = conversions.nanoseconds("time", target_time)
        source_ns = conversions.nanoseconds("time", source_time)
        with self._lock:
            pose, time_ns = self._lookup_full(
                "lookupTransform", target_frame, target_ns, source_frame, source_ns, fixed_frame
            )
        return conversions.msg_from_rigid(target_frame, source_frame, time_ns, pose)

    def can_transform_core(
        self, target_frame: str, source_frame: str, time: TimeLike
    ) -> tuple[bool, str]:
        """Whether a lookup would succeed now, and the reason if not."""
        time_ns = conversions.nanoseconds("time", time)
        return self._succeeds(
            lambda: self._lookup("canTransform", target_frame, source_frame, time_ns)
        )

    def can_transform_full_core(
        self,
        target_frame: str,
        target_time: TimeLike,
        source_frame: str,
        source_time: TimeLike,
        fixed_frame: str,
    ) -> tuple[bool, str]:
        """Whether a lookup through a fixed frame would succeed now, and the reason if not."""
        target_ns = conversions.nanoseconds("time", target_time)
        source_ns = conversions.nanoseconds("time", source_time)
        return self._succeeds(
            lambda: self._lookup_full(
                "canTransform", target_frame, target_ns, source_frame, source_ns, fixed_frame
            )
        )

    def _succeeds(self, lookup: Callable[[], object]) -> tuple[bool, str]:
        try:
            with self._lock:
                lookup()
        except TransformException as error:
            return False, str(error)
        return True, ""

    def get_latest_common_time(self, target_frame: str, source_frame: str) -> Time:
        """The latest time at which every dynamic link between two frames has data.

        Raises:
            LookupException, InvalidArgumentException, ConnectivityException.
        """
        with self._lock:
            for frame in (target_frame, source_frame):
                self._check_frame("get_latest_common_time", frame)
            latest_ns = self._latest_common_ns(target_frame, source_frame)
        return Time(nanoseconds=latest_ns)

    def all_frames_as_yaml(self) -> str:
        """Parent, broadcaster, rate and buffered span of every frame, as a YAML document."""
        with self._lock:
            return frame_report.as_yaml(self._caches, self._authorities)

    def all_frames_as_string(self) -> str:
        """One line for every frame that names its parent."""
        with self._lock:
            return frame_report.as_lines(self._caches)

    def _frameExists(self, frame_id: str) -> bool:
        return frame_id in self._frames

    def _getFrameStrings(self) -> list[str]:
        return list(self._frames)

    def _lookup_full(
        self, call: str, target: str, target_ns: int, source: str, source_ns: int, fixed: str
    ) -> tuple[Rigid, int]:
        for name, frame in (("target", target), ("source", source), ("fixed", fixed)):
            self._check_frame(f"{call} argument {name}_frame", frame)
        fixed_T_source, _ = self._lookup(call, fixed, source, source_ns)
        target_T_fixed, time_ns = self._lookup(call, target, fixed, target_ns)
        return compose(target_T_fixed, fixed_T_source), time_ns

    def _lookup(self, call: str, target: str, source: str, time_ns: int) -> tuple[Rigid, int]:
        """target_T_source and the time it holds at; a frame in itself needs no data."""
        if target != source:
            self._check_frame(f"{call} argument target_frame", target)
            self._check_frame(f"{call} argument source_frame", source)
        if time_ns == LATEST_NS:
            time_ns = self._latest_common_ns(target, source)
        try:
            up, down = self._path(target, source, lambda cache: cache.at(time_ns))
        except ExtrapolationException as error:
            raise ExtrapolationException(
                f"{error}, when looking up transform from frame [{source}] to frame [{target}]"
            ) from None
        return compose(invert(_climbed(down)), _climbed(up)), time_ns

    def _check_frame(self, argument: str, frame: str) -> None:
        if frame in self._frames:
            return
        if not frame or frame.startswith("/"):
            rule = "start with a '/'" if frame else "be empty"
            raise InvalidArgumentException(
                f'Invalid argument "{frame}" passed to {argument} - in tf2 frame_ids cannot {rule}'
            )
        raise LookupException(f'"{frame}" passed to {argument} does not exist. ')

    def _latest_common_ns(self, target: str, source: str) -> int:
        """The earliest of the links' latest stamps; zero where all links are static."""
        if target == source:
            cache = self._caches.get(source)
            edge = cache.latest() if cache is not None else None
            return edge.stamp_ns if edge else LATEST_NS
        up, down = self._path(target, source, lambda cache: cache.latest())
        dynamic_ns = [edge.stamp_ns for edge in chain(up, down) if edge.stamp_ns != LATEST_NS]
        return min(dynamic_ns, default=LATEST_NS)

    def _path(self, target: str, source: str, edge_at: EdgeAt) -> tuple[list[Edge], list[Edge]]:
        """Links that climb from the source, and from the target, to the nearest common frame.

        Missing data above that frame does not matter, so a gap on the way up from the source
        is an error only if the target's climb does not meet the part below it.
        """
        up, gap = self._climb_or_gap(source, target, edge_at)
        height = {frame: index for index, frame in enumerate([source, *(e.parent for e in up)])}
        climb = self._climb(target, source, edge_at)
        down: list[Edge] = []
        frame = target
        while frame not in height:
            edge = next(climb, None)
            if edge is None:
                raise gap or _unconnected(target, source)
            down.append(edge)
            frame = edge.parent
        return up[: height[frame]], down

    def _climb_or_gap(
        self, frame: str, until: str, edge_at: EdgeAt
    ) -> tuple[list[Edge], ExtrapolationException | None]:
        """Links as far up as there is data, and what is missing above them."""
        edges: list[Edge] = []
        try:
            edges.extend(self._climb(frame, until, edge_at))
        except ExtrapolationException as gap:
            return edges, gap
        return edges, None

    def _climb(self, frame: str, until: str, edge_at: EdgeAt) -> Iterator[Edge]:
        """Links from a frame to the root, or to `until` if it lies on the way."""
        for _ in range(len(self._caches) + 1):
            cache = self._caches.get(frame)
            edge = edge_at(cache) if cache is not None and frame != until else None
            if edge is None:
                return
            yield edge
            frame = edge.parent
        raise LookupException(
            "The tf tree is invalid because it contains a loop.\n"
            + frame_report.as_lines(self._caches)
        )


def _climbed(edges: list[Edge]) -> Rigid:
    """top_T_start of links that climb from start to top."""
    return reduce(lambda pose, edge: compose(edge.parent_T_child, pose), edges, IDENTITY)


def _unconnected(target: str, source: str) -> ConnectivityException:
    return ConnectivityException(
        f"Could not find a connection between '{target}' and '{source}' "
        "because they are not part of the same tree.Tf has two or more unconnected trees."
    )
