"""A drive as a rosbag2 MCAP: the messages of a replay, each at its stamp."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.serialization import serialize_message

from occflow_ros.data.drive import Drive
from occflow_ros.output import output_folder
from occflow_ros.ros.bag import Bag
from occflow_ros.ros.drive_messages import TF_STATIC, DriveMessages, Transport
from occflow_ros.ros.timeline import Event, Timeline

Progress = Callable[[Iterable[Event], int], Iterable[Event]]


@dataclass(frozen=True, slots=True)
class Converted:
    """What a bag holds.

    Args:
        messages: how many.
        duration_s: from the first stamp to the last.
        shift_ns: what was added to the drive's stamps.
    """

    messages: int
    duration_s: float
    shift_ns: int


def convert(
    drive: Drive, out: Path, transport: Transport, lidar: bool, overwrite: bool, progress: Progress
) -> Converted:
    """Write the bag; its folder appears when it is whole.

    Args:
        drive: with at least one set.
        out: folder of the bag.
        transport: raw: decoded images; compressed: the files' bytes.
        lidar: with the sweeps, where there are any.
        overwrite: replace a folder that is not empty.
        progress: passes on the events, of which there are so many.

    Raises:
        DataError: names a file that cannot be read.
        OutputError: where `out` is occupied or cannot be written.
    """
    out = out.absolute()
    timeline = Timeline(drive, lidar)
    messages = DriveMessages(drive, transport, timeline.has_lidar)
    written = 0
    with output_folder(out, overwrite) as partial:
        bag_folder = partial / out.name  # the file has the name of its folder
        with closing(Bag(bag_folder)) as bag:
            connections = {
                name: bag.add_topic(f"/{name.lstrip('/')}", _kind(topic.message_class), [topic.qos])
                for name, topic in messages.topics.items()
            }
            for stamp_ns, name, message in _stamped(timeline, messages, progress):
                bag.write(connections[name], stamp_ns, serialize_message(message))
                written += 1
        for path in bag_folder.iterdir():
            path.rename(partial / path.name)
        bag_folder.rmdir()
    return Converted(written, timeline.duration_ns * 1e-9, timeline.shift_ns)


def _stamped(
    timeline: Timeline, messages: DriveMessages, progress: Progress
) -> Iterator[tuple[int, str, Any]]:
    """Time in the bag, topic and message of everything, in order."""
    yield timeline.first_ns + timeline.shift_ns, TF_STATIC, messages.static()
    for event in progress(timeline, len(timeline)):
        stamp_ns = event.stamp_ns + timeline.shift_ns
        for name, message in messages.of(event, stamp_ns):
            yield stamp_ns, name, message


def _kind(message_class: type) -> str:
    """Such as `sensor_msgs/msg/Image`."""
    return f"{message_class.__module__.partition('.')[0]}/msg/{message_class.__name__}"
