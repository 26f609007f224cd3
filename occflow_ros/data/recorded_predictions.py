"""Predictions that a node has published, read from a recorded bag with `rosbags` alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag2 import ReaderError

from occflow_ros.data.scene import VoxelScene
from occflow_ros.errors import DataError
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

TRANSFORMS_TYPE = "tf2_msgs/msg/TFMessage"
PREDICTION_TYPE = "occflow_ros/msg/OccupancyFlow"
LEGEND_TYPE = "occflow_ros/msg/ClassLegend"

_DIGITS = 9


def read_predictions(path: Path) -> dict[int, VoxelScene]:
    """All predictions of a bag by their reference time in nanoseconds.

    Raises:
        DataError: where the bag is missing or cannot be read, or a prediction is damaged.
    """
    scenes: dict[int, VoxelScene] = {}
    with open_bag(path) as reader:
        legends = ClassLegends(reader)
        for connection, _, data in messages_of(reader, PREDICTION_TYPE):
            message = decode(reader, data, connection.msgtype)
            try:
                scenes[stamp_ns(message.header)] = scene_of(message, legends.of(connection.topic))
            except (ValueError, IndexError) as error:
                raise DataError(
                    f"{path}: expected predictions on their grid, got one at "
                    f"{stamp_ns(message.header)} ns that is not: {error}"
                ) from None
    return scenes


@contextmanager
def open_bag(path: Path) -> Iterator[AnyReader]:
    """A bag to read; message definitions come from the bag itself.

    Raises:
        DataError: where the bag is missing or cannot be read.
    """
    with ExitStack() as stack:
        with _damage_named(path):
            reader = stack.enter_context(AnyReader([path]))
        try:
            yield reader
        except (AnyReaderError, ReaderError, OSError) as error:
            raise DataError(f"{path}: expected a readable rosbag2 folder: {error}") from None


def messages_of(reader: AnyReader, *types: str) -> Iterator[tuple[Connection, int, bytes]]:
    """Messages of these types with when they were received, in that order; none: nothing.

    Raises:
        DataError: where the bag is damaged.
    """
    wanted = [one for one in reader.connections if one.msgtype in types]
    return read_messages(reader, wanted) if wanted else iter(())


def read_messages(
    reader: AnyReader,
    connections: Collection[Connection] = (),
    start_ns: int | None = None,
    stop_ns: int | None = None,
) -> Iterator[tuple[Connection, int, bytes]]:
    """Messages as `AnyReader` reads them; raises DataError where the bag is damaged."""
    with _damage_named(reader.paths[0]):
        yield from reader.messages(connections, start_ns, stop_ns)


def decode(reader: AnyReader, data: bytes, kind: str) -> Any:
    """A message of a type; raises DataError where its bytes are none."""
    with _damage_named(reader.paths[0]):
        return reader.deserialize(data, kind)


@contextmanager
def _damage_named(path: object) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # rosbags reads damaged bytes as lengths, text and keys
        raise DataError(
            f"{path}: expected a readable rosbag2 folder, got a missing or damaged one: "
            f"{str(error) or type(error).__name__}; `mcap recover` saves what a file holds that "
            "was cut off"
        ) from None


def only_topic(path: Path, reader: AnyReader) -> str:
    """The one topic of predictions; raises DataError where there are others than one."""
    topics = sorted({one.topic for one in reader.connections if one.msgtype == PREDICTION_TYPE})
    if len(topics) != 1:
        found = ", ".join(topics) or "none"
        raise DataError(f"{path}: expected one topic of {PREDICTION_TYPE}, got {found}")
    return topics[0]


class ClassLegends:
    """Names of the classes, from the legends that nodes publish beside their predictions.

    Args:
        reader: of the bag.
    """

    def __init__(self, reader: AnyReader) -> None:
        self._names: dict[str, tuple[str, ...]] = {}
        for connection, _, data in messages_of(reader, LEGEND_TYPE):
            message = decode(reader, data, connection.msgtype)
            self._names[namespace(connection.topic)] = _names_by_number(message)

    def of(self, topic: str) -> tuple[str, ...]:
        """Names of the classes of a topic of predictions, by number; empty where unknown.

        A bag with one legend alone needs not have it beside the topic, which may be renamed.
        """
        alone = next(iter(self._names.values())) if len(self._names) == 1 else ()
        return self._names.get(namespace(topic), alone)


def namespace(topic: str) -> str:
    """What a topic's name begins with, without the slash before the last part."""
    return topic.rpartition("/")[0]


def _names_by_number(legend: Any) -> tuple[str, ...]:
    numbers = [int(number) for number in legend.id]
    names = dict(zip(numbers, legend.name))
    return tuple(
        names.get(number, f"class {number}") for number in range(max(names, default=-1) + 1)
    )


def scene_of(message: Any, class_names: tuple[str, ...] = ()) -> VoxelScene:
    """A decoded `OccupancyFlow` message as dense volumes; unknown velocities become zero.

    Args:
        message: of a bag.
        class_names: by number; without them the classes are left out.
    """
    grid = grid_of(message)
    occupied = np.zeros(grid.num_voxels, dtype=bool)
    occupied[message.index] = True
    velocity = np.zeros((grid.num_voxels, 2), dtype=np.float32)
    raw = np.stack((message.velocity_x, message.velocity_y), axis=-1)  # (M, 2)
    known = raw != message.VELOCITY_UNKNOWN
    velocity[message.index] = np.where(known, raw * np.float32(message.VELOCITY_SCALE), 0.0)
    class_id = None
    if class_names and len(message.class_id):
        class_id = np.full(grid.num_voxels, UNKNOWN_CLASS_ID, dtype=np.uint8)
        class_id[message.index] = message.class_id
    return VoxelScene(
        grid=grid,
        occupied=occupied.reshape(grid.shape),
        velocity_mps=velocity.reshape(*grid.shape, 2),
        class_id=None if class_id is None else class_id.reshape(grid.shape),
        class_names=() if class_id is None else class_names,
    )


def grid_of(message: Any) -> VoxelGrid:
    """The grid of a decoded `OccupancyFlow` message; raises ValueError where it is none."""
    origin, size = message.origin, message.voxel_size
    x, y, z = (int(count) for count in message.shape)
    lower = np.array((origin.x, origin.y, origin.z))
    upper = lower + np.array((size.x, size.y, size.z)) * (x, y, z)
    # Their sums differ from the corners that the sender knows in the last digits.
    return VoxelGrid(_three(lower), _three(upper.round(_DIGITS)), (x, y, z))


def stamp_ns(header: Any) -> int:
    """Nanoseconds of a decoded `std_msgs/Header`."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def _three(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
