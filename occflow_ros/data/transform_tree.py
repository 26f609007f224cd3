"""Poses between the frames of a recorded bag, from its tf2 messages."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader

from occflow_ros.data.recorded_predictions import (
    TRANSFORMS_TYPE,
    decode,
    messages_of,
    stamp_ns,
)
from occflow_ros.geometry.se3 import (
    Array,
    from_quaternion_translation,
    interpolate,
    inverse,
)


@dataclass(slots=True)
class _Edge:
    parent: str
    static: bool
    stamps_ns: list[int] = field(default_factory=list)  # ascending
    parent_T_child: list[Array] = field(default_factory=list)

    def insert(self, stamp: int, parent_T_child: Array) -> None:
        at = bisect_left(self.stamps_ns, stamp)
        if at == len(self.stamps_ns) or self.stamps_ns[at] != stamp:
            self.stamps_ns.insert(at, stamp)
            self.parent_T_child.insert(at, parent_T_child)

    def at(self, stamp: int) -> Array | None:
        """The transform at a time, interpolated; None outside of what was recorded."""
        if self.static:
            return self.parent_T_child[-1]
        after = bisect_left(self.stamps_ns, stamp)
        if after == len(self.stamps_ns):
            return None
        if self.stamps_ns[after] == stamp:
            return self.parent_T_child[after]
        if after == 0:
            return None
        earlier, later = self.stamps_ns[after - 1 : after + 1]
        fraction = (stamp - earlier) / (later - earlier)
        return interpolate(self.parent_T_child[after - 1], self.parent_T_child[after], fraction)


class TransformTree:
    """Transforms by time; each frame has one parent."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    def add(self, message: Any, static: bool) -> None:
        """Take in a decoded `tf2_msgs/TFMessage`; transforms that are not rigid are left out."""
        for transform in message.transforms:
            rotation, translation = transform.transform.rotation, transform.transform.translation
            try:
                parent_T_child = from_quaternion_translation(
                    (rotation.x, rotation.y, rotation.z, rotation.w),
                    (translation.x, translation.y, translation.z),
                )
            except ValueError:
                continue
            if not np.isfinite(parent_T_child).all():
                continue
            child, parent = _plain(transform.child_frame_id), _plain(transform.header.frame_id)
            edge = self._edges.setdefault(child, _Edge(parent, static))
            edge.insert(stamp_ns(transform.header), parent_T_child)

    def root(self, frame: str) -> str:
        """The frame at the top of the tree that holds `frame`; itself where it has no parent."""
        seen = {frame := _plain(frame)}
        while (edge := self._edges.get(frame)) is not None and edge.parent not in seen:
            seen.add(frame := edge.parent)
        return frame

    def to_root(self, frame: str, stamp: int) -> Array | None:
        """root_T_frame at a time in nanoseconds; None where a part of the way is not known."""
        frame = _plain(frame)
        root = self.root(frame)
        if frame not in self._edges:
            return None
        pose: Array | None = None
        while frame != root:
            edge = self._edges[frame]
            step = edge.at(stamp)
            if step is None:
                return None
            pose = step if pose is None else step @ pose
            frame = edge.parent
        return pose

    def between(self, target: str, source: str, stamp: int) -> Array | None:
        """target_T_source where `target` is above `source` or both have known poses."""
        if self.root(source) == _plain(target):
            return self.to_root(source, stamp)
        above, below = self.to_root(target, stamp), self.to_root(source, stamp)
        if above is None or below is None or self.root(target) != self.root(source):
            return None
        return inverse(above) @ below


def read_transforms(reader: AnyReader) -> TransformTree:
    """All transforms of a bag."""
    tree = TransformTree()
    for connection, _, data in messages_of(reader, TRANSFORMS_TYPE):
        message = decode(reader, data, connection.msgtype)
        tree.add(message, static=connection.topic.endswith("tf_static"))
    return tree


def _plain(frame: str) -> str:
    """Without the leading slash of ROS 1."""
    return frame.removeprefix("/")
