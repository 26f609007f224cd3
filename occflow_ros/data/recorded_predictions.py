"""Predictions that a node has published, read from a recorded bag with `rosbags` alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import ReaderError

from occflow_ros.data.scene import VoxelScene
from occflow_ros.errors import DataError
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

PREDICTION_TYPE = "occflow_ros/msg/OccupancyFlow"
LEGEND_TYPE = "occflow_ros/msg/ClassLegend"


def read_predictions(path: Path) -> dict[int, VoxelScene]:
    """All predictions of a bag by their reference time in nanoseconds.

    Raises:
        DataError: where the bag is missing or cannot be read, or a prediction is damaged.
    """
    scenes: dict[int, VoxelScene] = {}
    with open_bag(path) as reader:
        legends = ClassLegends(reader)
        wanted = [one for one in reader.connections if one.msgtype == PREDICTION_TYPE]
        for connection, _, data in reader.messages(wanted) if wanted else ():
            message: Any = reader.deserialize(data, connection.msgtype)
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
    try:
        with AnyReader([path]) as reader:
            yield reader
    except (AnyReaderError, ReaderError, OSError) as error:
        raise DataError(f"{path}: expected a readable rosbag2 folder: {error}") from None


class ClassLegends:
    """Names of the classes, from the legends that nodes publish beside their predictions.

    Args:
        reader: of the bag.
    """

    def __init__(self, reader: AnyReader) -> None:
        self._names: dict[str, tuple[str, ...]] = {}
        wanted = [one for one in reader.connections if one.msgtype == LEGEND_TYPE]
        for connection, _, data in reader.messages(wanted) if wanted else ():
            message: Any = reader.deserialize(data, connection.msgtype)
            self._names[_namespace(connection.topic)] = _names_by_number(message)

    def of(self, topic: str) -> tuple[str, ...]:
        """Names of the classes of a topic of predictions, by number; empty where unknown.

        A bag with one legend alone needs not have it beside the topic, which may be renamed.
        """
        alone = next(iter(self._names.values())) if len(self._names) == 1 else ()
        return self._names.get(_namespace(topic), alone)


def _namespace(topic: str) -> str:
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
    shape = tuple(int(count) for count in message.shape)
    lower = np.array((message.origin.x, message.origin.y, message.origin.z))
    size = np.array((message.voxel_size.x, message.voxel_size.y, message.voxel_size.z))
    grid = VoxelGrid(_three(lower), _three(lower + size * shape), (shape[0], shape[1], shape[2]))
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
        occupied=occupied.reshape(shape),
        velocity_mps=velocity.reshape(*shape, 2),
        class_id=None if class_id is None else class_id.reshape(shape),
        class_names=() if class_id is None else class_names,
    )


def stamp_ns(header: Any) -> int:
    """Nanoseconds of a decoded `std_msgs/Header`."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def _three(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
