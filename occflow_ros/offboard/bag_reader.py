"""A recorded bag of any node that publishes `OccupancyFlow`, as a recording.

One pass over the bag finds the predictions, the pose of each from `/tf`, the cameras from
CameraInfo and `/tf_static`, and the classes from the legend. Frames are decoded when they are asked
for, one at a time, so that memory does not grow with the bag; of the scan, `/tf` is held.

A prediction that is damaged, holds nothing, has no pose or comes again is left out, and `notes`
counts them. What is occupied by a class that nobody knows counts as `others` where the legend has
that name, else as a class `unknown` that the vocabulary gets for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rosbags.highlevel import AnyReader

from occflow_ros.data.drive import Camera
from occflow_ros.data.recorded_predictions import (
    PREDICTION_TYPE,
    ClassLegends,
    decode,
    grid_of,
    messages_of,
    only_topic,
    open_bag,
    read_messages,
    scene_of,
    stamp_ns,
)
from occflow_ros.data.transform_tree import TransformTree, read_transforms
from occflow_ros.data.vocabulary import OCCUPANCY, UNKNOWN, Vocabulary, vocabulary_of
from occflow_ros.errors import DataError
from occflow_ros.geometry.se3 import Array
from occflow_ros.messages.camera_info import camera_of
from occflow_ros.messages.serialised import CAMERA_INFO_TYPE
from occflow_ros.offboard.drive_poses import drive_poses
from occflow_ros.offboard.recording import RecordedFrame, RecordingInfo
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

_OTHERS = "others"
_NUMBERS = 256


@dataclass(frozen=True, slots=True)
class MessageKey:
    """Which message of a topic: of those received at one time, the n-th."""

    received_ns: int
    repeat: int


@dataclass(frozen=True, slots=True)
class BagRecording:
    """The predictions of one topic of a bag.

    Args:
        path: of the bag.
        topic: of the predictions.
        info: of the frames.
        class_names: of the legend; empty where no classes are estimated.
        messages: that hold the frames, one per frame.
        notes: what was left out and why, in words.
    """

    path: Path
    topic: str
    info: RecordingInfo
    class_names: tuple[str, ...]
    messages: tuple[MessageKey, ...]
    notes: tuple[str, ...]

    def frames(self, indices: Iterable[int]) -> Iterator[RecordedFrame]:
        """As `Recording`."""
        wanted = tuple(indices)
        if not wanted:
            return
        table = class_table(self.info.vocabulary, self.class_names)
        held: dict[int, RecordedFrame] = {}  # those that were received before their turn
        left = iter(wanted)
        place: int | None = next(left)
        for found, message in self._messages(wanted):
            held[found] = _frame(message, self.class_names, table, self.info.vocabulary.empty)
            while place in held:
                yield held.pop(place)
                place = next(left, None)
        if place is not None:
            name = self.info.frame_names[place]
            raise DataError(f"{self.path}: prediction of {name} ns was there, and is no more")

    def _messages(self, places: tuple[int, ...]) -> Iterator[tuple[int, Any]]:
        """Decoded messages of some frames in the order in which they were received."""
        by_key = {self.messages[place]: place for place in places}
        received_ns = [key.received_ns for key in by_key]
        with open_bag(self.path) as reader:
            span = (min(received_ns), max(received_ns) + 1)
            for key, data in keyed_messages(reader, self.topic, *span):
                if (place := by_key.get(key)) is None:
                    continue
                yield place, decode(reader, data, PREDICTION_TYPE)


def keyed_messages(
    reader: AnyReader, topic: str, start_ns: int | None = None, stop_ns: int | None = None
) -> Iterator[tuple[MessageKey, bytes]]:
    """Predictions of a topic as bytes; of a part of the time it must hold all of one time."""
    wanted = [one for one in reader.connections if one.topic == topic]
    counter = KeyCounter()
    for _, received_ns, data in read_messages(reader, wanted, start_ns, stop_ns):
        yield counter.next(received_ns), data


class KeyCounter:
    """Keys of the messages of a topic, given when each was received."""

    def __init__(self) -> None:
        self._last = MessageKey(-1, 0)

    def next(self, received_ns: int) -> MessageKey:
        """Of the next message."""
        again = received_ns == self._last.received_ns
        self._last = MessageKey(received_ns, self._last.repeat + 1 if again else 0)
        return self._last


def open_bag_recording(path: Path, data: Sequence[Path] = ()) -> BagRecording:
    """Scan a bag.

    Args:
        path: rosbag2 folder, or an `.mcap` file.
        data: folders with the drive that was replayed, where the bag lacks `/tf`; its poses are
            interpolated.

    Raises:
        DataError: where it cannot be read, has no predictions with poses or those of several
            topics, or grid, ego frame or classes change amid it, naming the first such frame.
    """
    with open_bag(path) as reader:
        return _scan(path, reader, only_topic(path, reader), data)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the scan keeps of a prediction."""

    key: MessageKey
    grid: VoxelGrid
    base_frame: str
    has_classes: bool
    unknown: bool


def _scan(path: Path, reader: AnyReader, topic: str, data: Sequence[Path]) -> BagRecording:
    class_names = ClassLegends(reader).of(topic)
    found, skipped = _predictions(path, reader, topic, class_names)
    first = _only_kind(path, found)
    class_names = class_names if first.has_classes else ()
    way = _way(path, reader, first.base_frame, list(found), data)
    skipped["without a pose"] = len(found) - len(way.poses)
    info = RecordingInfo(
        name=_name(path),
        grid=first.grid,
        vocabulary=_vocabulary(class_names, any(found[stamp].unknown for stamp in way.poses)),
        frame_names=tuple(map(str, way.poses)),
        stamps_ns=tuple(way.poses),
        world_T_base=np.stack(list(way.poses.values())),  # (T, 4, 4)
        cameras=way.cameras,
    )
    counted = [f"{count} predictions {why} left out" for why, count in skipped.items() if count]
    return BagRecording(
        path=path,
        topic=topic,
        info=info,
        class_names=class_names,
        messages=tuple(found[stamp].key for stamp in way.poses),
        notes=(*counted, *way.notes),
    )


def _name(path: Path) -> str:
    path = path.resolve()
    return path.stem if path.is_file() else path.name


@dataclass(frozen=True, slots=True)
class _Way:
    """Poses by stamp where they are known, the cameras on the base, and what is said of them."""

    poses: Mapping[int, Array]
    cameras: tuple[Camera, ...]
    notes: tuple[str, ...] = ()


def _way(
    path: Path, reader: AnyReader, base_frame: str, stamps: Sequence[int], data: Sequence[Path]
) -> _Way:
    tree = read_transforms(reader)
    found = {stamp: tree.to_root(base_frame, stamp) for stamp in stamps}
    poses = {stamp: pose for stamp, pose in found.items() if pose is not None}
    if poses:
        return _Way(poses, *_cameras(reader, tree, base_frame, next(iter(poses))))
    if not data:
        raise DataError(
            f"{path}: expected /tf with the pose of {base_frame} at the times of predictions, got "
            f"none for {len(stamps)} of them; record /tf and /tf_static, or give the drive that "
            "was replayed by --data"
        )
    drive, poses = drive_poses(data, stamps)
    return _Way(poses, tuple(drive.cameras.values()))


def _predictions(
    path: Path, reader: AnyReader, topic: str, class_names: tuple[str, ...]
) -> tuple[dict[int, _Found], Counter[str]]:
    """What can be used, by reference time in time order, and why others cannot."""
    found: dict[int, _Found] = {}
    unknown = ~np.isin(np.arange(_NUMBERS), _numbers_of_things(class_names))
    skipped: Counter[str] = Counter()
    for key, data in keyed_messages(reader, topic):
        try:
            message = decode(reader, data, PREDICTION_TYPE)
            one = _Found(
                key=key,
                grid=_checked_grid(message),
                base_frame=message.header.frame_id,
                has_classes=bool(class_names and len(message.class_id)),
                unknown=bool(unknown[message.class_id].any()),
            )
        except (DataError, ValueError):
            skipped["that are damaged"] += 1
            continue
        if not len(message.index):
            skipped["that hold nothing"] += 1
            continue
        skipped["that come again"] += stamp_ns(message.header) in found
        found[stamp_ns(message.header)] = one
    if not found:
        why = ", ".join(f"{count} {why}" for why, count in skipped.items()) or "no message"
        raise DataError(f"{path}: expected predictions on {topic}, got {why}")
    return dict(sorted(found.items())), skipped


def _checked_grid(message: Any) -> VoxelGrid:
    """The grid of a message; raises ValueError where its voxels are not on it."""
    grid, count = grid_of(message), len(message.index)
    for name in ("probability", "velocity_x", "velocity_y"):
        if len(getattr(message, name)) != count:
            raise ValueError(f"{name}: expected {count} values")
    if len(message.class_id) not in (0, count):
        raise ValueError(f"class_id: expected {count} values or none")
    if count and int(message.index.max()) >= grid.num_voxels:
        raise ValueError(f"index: expected voxels of {grid}")
    return grid


def _only_kind(path: Path, found: Mapping[int, _Found]) -> _Found:
    """The first; raises DataError at the first that is of another kind."""
    first = next(iter(found.values()))
    for stamp, one in found.items():
        for what, expected, got in (
            ("the grid", first.grid, one.grid),
            ("the ego frame", first.base_frame, one.base_frame),
            ("classes", first.has_classes, one.has_classes),
        ):
            if got != expected:
                raise DataError(
                    f"{path}: expected {what} {expected} as before, got {got} in the prediction "
                    f"of {stamp} ns; cut the bag there"
                )
    return first


def _vocabulary(class_names: tuple[str, ...], unknown: bool) -> Vocabulary:
    if not class_names:
        return OCCUPANCY
    vocabulary = vocabulary_of(class_names)
    if not unknown or _OTHERS in vocabulary.names or UNKNOWN in vocabulary.names:
        return vocabulary
    names = (*vocabulary.names, UNKNOWN)
    return Vocabulary(names, vocabulary.empty, vocabulary.movable)


def class_table(vocabulary: Vocabulary, class_names: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """The class (256,) of what is occupied by each number of a message.

    Args:
        vocabulary: of the recording.
        class_names: of the legend that the numbers follow.
    """
    names = vocabulary.names
    unknown = next((name for name in (_OTHERS, UNKNOWN) if name in names), names[0])
    table = np.full(_NUMBERS, names.index(unknown), np.uint8)
    things = _numbers_of_things(class_names)
    table[things] = things
    return table


def _numbers_of_things(class_names: tuple[str, ...]) -> list[int]:
    """Numbers of a legend but for the empty class, which nothing that is listed can be of."""
    empty = vocabulary_of(class_names).empty
    return [number for number in range(len(class_names)) if number != empty]


def _frame(
    message: Any, class_names: tuple[str, ...], table: npt.NDArray[np.uint8], empty: int
) -> RecordedFrame:
    scene = scene_of(message, class_names)
    class_id = np.full(scene.grid.shape, UNKNOWN_CLASS_ID, np.uint8)
    class_id = class_id if scene.class_id is None else scene.class_id
    known = (message.velocity_x != message.VELOCITY_UNKNOWN).any()
    return RecordedFrame(
        class_id=np.where(scene.occupied, table[class_id], np.uint8(empty)),
        velocity_mps=scene.velocity_mps if known else None,
    )


def _cameras(
    reader: AnyReader, tree: TransformTree, base_frame: str, stamp: int
) -> tuple[tuple[Camera, ...], tuple[str, ...]]:
    """Cameras of the bag in the order of their topics, and what is said of those left out."""
    infos: dict[str, Any] = {}
    for connection, _, data in messages_of(reader, CAMERA_INFO_TYPE):
        if connection.topic not in infos:
            infos[connection.topic] = decode(reader, data, CAMERA_INFO_TYPE)
    cameras, missing = [], []
    for topic, message in sorted(infos.items()):
        base_T_camera = tree.between(base_frame, message.header.frame_id, stamp)
        if base_T_camera is None:
            missing.append(f"camera of {topic} left out: no transform to {base_frame}")
            continue
        try:
            name = topic.strip("/").removesuffix("/camera_info")
            cameras.append(camera_of(name, message, base_T_camera))
        except ValueError as error:
            missing.append(f"camera of {topic} left out: {error}")
    return tuple(cameras), tuple(missing)
