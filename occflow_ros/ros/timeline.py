"""What a replay sends, in the order of the stamps it sends it with."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from occflow_ros.data.drive import Drive, SensorFile
from occflow_ros.geometry.se3 import Array
from occflow_ros.ros.stamps import NS_PER_S

DEFAULT_PERIOD_NS = NS_PER_S // 2


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to send.

    Args:
        stamp_ns: time of the message, in the drive's own time.
        set_index: of the camera set it belongs to.
        odom_T_base: (4, 4) pose of the base at that time.
        camera: name, where it is an image.
        file: image or sweep; None where only the pose is sent.
    """

    stamp_ns: int
    set_index: int
    odom_T_base: Array
    camera: str | None = None
    file: SensorFile | None = None


class Timeline:
    """Events of a drive in time order, over and over with stamps that keep increasing.

    ROS reads a stamp of 0 as "the latest", so a drive that begins before 1 s is shifted to 1 s.

    Args:
        drive: with at least one set.
        lidar: whether sweeps are sent.
    """

    def __init__(self, drive: Drive, lidar: bool) -> None:
        self._drive = drive
        self._events = sorted(_events(drive, lidar), key=lambda event: event.stamp_ns)
        self.first_ns = self._events[0].stamp_ns
        self.shift_ns = max(0, NS_PER_S - self.first_ns)

    @property
    def has_lidar(self) -> bool:
        """Whether any event is a sweep."""
        return any(event.file is not None and event.camera is None for event in self._events)

    @property
    def duration_ns(self) -> int:
        """From the first stamp to the last."""
        return self._events[-1].stamp_ns - self.first_ns

    @property
    def period_ns(self) -> int:
        """From the first stamp of one round to that of the next: duration and one set interval."""
        stamps = [camera_set.stamp_ns for camera_set in self._drive.sets]
        intervals = [later - earlier for earlier, later in pairwise(stamps)]
        interval_ns = int(statistics.median(intervals)) if intervals else DEFAULT_PERIOD_NS
        return self.duration_ns + interval_ns

    def round_shift_ns(self, round_index: int) -> int:
        """What is added to the drive's stamps in a round, counted from 0."""
        return self.shift_ns + round_index * self.period_ns

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def reference_ns(self, set_index: int) -> int:
        """Stamp of the first camera's image in a set; of the set where that image is missing."""
        camera_set = self._drive.sets[set_index]
        image = camera_set.images.get(next(iter(self._drive.cameras)))
        return camera_set.stamp_ns if image is None else image.stamp_ns


def _events(drive: Drive, lidar: bool) -> Iterator[Event]:
    for index, camera_set in enumerate(drive.sets):
        yield Event(camera_set.stamp_ns, index, camera_set.odom_T_base)
        for name, image in camera_set.images.items():
            yield Event(image.stamp_ns, index, image.odom_T_base, name, image)
        if lidar and camera_set.lidar is not None:
            sweep = camera_set.lidar
            yield Event(sweep.stamp_ns, index, sweep.odom_T_base, None, sweep)
