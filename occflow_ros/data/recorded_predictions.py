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
from occflow_ros.structures import VoxelGrid

PREDICTION_TYPE = "occflow_ros/msg/OccupancyFlow"


def read_predictions(path: Path) -> dict[int, VoxelScene]:
    """All predictions of a bag by their reference time in nanoseconds.

    Raises:
        DataError: where the bag is missing or cannot be read, or a prediction is damaged.
    """
    scenes: dict[int, VoxelScene] = {}
    with open_bag(path) as reader:
        wanted = [one for one in reader.connections if one.msgtype == PREDICTION_TYPE]
        for connection, _, data in reader.messages(wanted) if wanted else ():
            message: Any = reader.deserialize(data, connection.msgtype)
            try:
                scenes[stamp_ns(message.header)] = scene_of(message)
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


def scene_of(message: Any) -> VoxelScene:
    """A decoded `OccupancyFlow` message as dense volumes; unknown velocities become zero."""
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
    return VoxelScene(grid, occupied.reshape(shape), velocity.reshape(*shape, 2))


def stamp_ns(header: Any) -> int:
    """Nanoseconds of a decoded `std_msgs/Header`."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def _three(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
