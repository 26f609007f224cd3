"""What the page shows of a recorded bag: predictions, poses and small camera images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rosbags.highlevel import AnyReader

from occflow_ros.data.recorded_predictions import (
    PREDICTION_TYPE,
    ClassLegends,
    grid_of,
    only_topic,
    open_bag,
    stamp_ns,
)
from occflow_ros.data.transform_tree import TransformTree, read_transforms
from occflow_ros.errors import DataError
from occflow_ros.geometry.se3 import Array
from occflow_ros.structures import VoxelGrid
from occflow_ros.viz.mosaic import arrange

COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
RAW_TYPE = "sensor_msgs/msg/Image"
THUMBNAIL_WIDTH_PX = 320
MAX_IMAGE_DISTANCE_S = 0.25
MAX_SETS = 120
_THUMBNAIL_QUALITY = 75
_TO_BGR = {
    "rgb8": (3, cv2.COLOR_RGB2BGR),
    "bgr8": (3, None),
    "rgba8": (4, cv2.COLOR_RGBA2BGR),
    "bgra8": (4, cv2.COLOR_BGRA2BGR),
    "mono8": (1, cv2.COLOR_GRAY2BGR),
}


@dataclass(frozen=True, slots=True)
class RecordedSet:
    """One `OccupancyFlow` message, its arrays as they were published.

    Args:
        stamp_ns: reference time of the camera set.
        index: (n,) uint32 row-major indices of the occupied voxels, ascending.
        probability: (n,) uint8 in units of `RecordedRun.probability_scale`.
        velocity: (n, 2) int16 along x and y in units of `RecordedRun.velocity_scale_mps`.
        class_id: (n,) uint8, or (0,) where no classes were estimated.
        fixed_T_base: pose of the ego frame, None where the bag does not have it.
        thumbnails: JPEG file content by camera name; a camera may be missing.
    """

    stamp_ns: int
    index: npt.NDArray[np.uint32]
    probability: npt.NDArray[np.uint8]
    velocity: npt.NDArray[np.int16]
    class_id: npt.NDArray[np.uint8]
    fixed_T_base: Array | None
    thumbnails: Mapping[str, bytes]

    def __post_init__(self) -> None:
        n = len(self.index)
        for field, value, counts in (
            ("probability", self.probability, (n,)),
            ("velocity", self.velocity, (n,)),
            ("class_id", self.class_id, (0, n)),
        ):
            if len(value) not in counts:
                raise ValueError(f"{field}: expected {n} values, got {len(value)}")


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A recorded run.

    Args:
        grid: of all predictions.
        probability_scale: probability of one unit.
        velocity_scale_mps: velocity of one unit.
        velocity_unknown: both components of a velocity that was not estimated.
        base_frame: ego frame that the grid is fixed to.
        fixed_frame: frame of the poses; the ego frame where the bag has none.
        camera_rows: names as the cameras look out of the vehicle, those ahead first.
        class_names: by number, as recorded beside the predictions; empty where none are.
        sets: in time order.
        recorded: number of sets in the bag, from which `sets` are taken.
    """

    grid: VoxelGrid
    probability_scale: float
    velocity_scale_mps: float
    velocity_unknown: int
    base_frame: str
    fixed_frame: str
    camera_rows: Sequence[Sequence[str]]
    class_names: Sequence[str]
    sets: Sequence[RecordedSet]
    recorded: int


def read_run(path: Path, topic: str | None = None, max_sets: int = MAX_SETS) -> RecordedRun:
    """Read a bag of the recorder; message definitions come from the bag itself.

    Args:
        path: rosbag2 folder.
        topic: of the predictions, None for the only one.
        max_sets: of more, every second, third, … is taken.

    Raises:
        DataError: where the bag cannot be read or holds no predictions on one grid.
    """
    with open_bag(path) as reader:
        topic = topic or only_topic(path, reader)
        messages = _predictions(path, reader, topic)
        taken = dict(list(messages.items())[:: -(-len(messages) // max_sets)])
        tree = read_transforms(reader)
        images = _Images(reader, list(taken))
        first = next(iter(taken.values()))
        base_frame = first.header.frame_id
        try:
            return RecordedRun(
                grid=_only_grid(messages.values()),
                probability_scale=float(first.PROBABILITY_SCALE),
                velocity_scale_mps=float(first.VELOCITY_SCALE),
                velocity_unknown=int(first.VELOCITY_UNKNOWN),
                base_frame=base_frame,
                fixed_frame=tree.root(base_frame),
                camera_rows=_camera_rows(images.frames, tree, base_frame, next(iter(taken))),
                class_names=ClassLegends(reader).of(topic),
                sets=tuple(
                    _recorded_set(stamp, message, tree, images.thumbnails[stamp])
                    for stamp, message in taken.items()
                ),
                recorded=len(messages),
            )
        except ValueError as error:
            raise DataError(f"{path}: {topic}: {error}") from None


def camera_name(topic: str) -> str:
    """`/cam_front/image_raw/compressed` is of `cam_front`."""
    parts = topic.strip("/").split("/")
    plain = [part for part in parts if part != "compressed" and not part.startswith("image")]
    return "/".join(plain) or topic


def _predictions(path: Path, reader: AnyReader, topic: str) -> dict[int, Any]:
    """Messages by reference time, in time order."""
    wanted = [
        one for one in reader.connections if (one.topic, one.msgtype) == (topic, PREDICTION_TYPE)
    ]
    decoded: list[Any] = [
        reader.deserialize(data, connection.msgtype)
        for connection, _, data in (reader.messages(wanted) if wanted else ())
    ]
    if not decoded:
        raise DataError(f"{path}: expected messages of {PREDICTION_TYPE} on {topic}, got none")
    by_stamp: dict[int, Any] = {stamp_ns(message.header): message for message in decoded}
    return dict(sorted(by_stamp.items()))


def _only_grid(messages: Any) -> VoxelGrid:
    grids = {grid_of(message) for message in messages}
    if len(grids) != 1:
        raise ValueError(f"expected predictions on one grid, got {len(grids)} grids")
    return grids.pop()


class _Images:
    """Small images nearest to the wanted times.

    The bag is read twice, so that only images that are shown are decoded.
    """

    def __init__(self, reader: AnyReader, stamps: Sequence[int]) -> None:
        self.frames: dict[str, str] = {}
        self.thumbnails: dict[int, dict[str, bytes]] = {stamp: {} for stamp in stamps}
        self._reader = reader
        self._wanted = [c for c in reader.connections if c.msgtype in (COMPRESSED_TYPE, RAW_TYPE)]
        self._decode(self._nearest(stamps))

    def _messages(self) -> Any:
        for connection, _, data in self._reader.messages(self._wanted) if self._wanted else ():
            yield camera_name(connection.topic), self._reader.deserialize(data, connection.msgtype)

    def _nearest(self, stamps: Sequence[int]) -> dict[tuple[str, int], list[int]]:
        """For each image that is shown, by camera and stamp, the sets that show it."""
        found: dict[str, list[int]] = defaultdict(list)
        for name, message in self._messages():
            found[name].append(stamp_ns(message.header))
            self.frames[name] = message.header.frame_id
        shown: dict[tuple[str, int], list[int]] = defaultdict(list)
        for name, candidates in found.items():
            known = np.sort(np.array(candidates, dtype=np.int64))
            for stamp in stamps:
                nearest = int(known[np.abs(known - stamp).argmin()])
                if abs(nearest - stamp) <= MAX_IMAGE_DISTANCE_S * 1e9:
                    shown[name, nearest].append(stamp)
        return shown

    def _decode(self, shown: Mapping[tuple[str, int], Sequence[int]]) -> None:
        for name, message in self._messages():
            sets = shown.get((name, stamp_ns(message.header)), ())
            if sets and (small := thumbnail(message)) is not None:
                for stamp in sets:
                    self.thumbnails[stamp][name] = small


def thumbnail(message: Any) -> bytes | None:
    """A decoded Image or CompressedImage as a small JPEG; None where it cannot be decoded."""
    image = _bgr(message)
    if image is None:
        return None
    height = max(round(image.shape[0] * THUMBNAIL_WIDTH_PX / image.shape[1]), 1)
    small = cv2.resize(image, (THUMBNAIL_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY))
    return bytes(data.tobytes())


def _bgr(message: Any) -> npt.NDArray[np.uint8] | None:
    if not hasattr(message, "encoding"):
        decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
        return None if decoded is None else np.asarray(decoded, dtype=np.uint8)
    height, width, step = int(message.height), int(message.width), int(message.step)
    channels, code = _TO_BGR.get(message.encoding, (0, None))
    data = np.frombuffer(message.data, np.uint8)
    if not channels or not height or not width or data.size != height * step:
        return None
    rows = data.reshape(height, step)[:, : width * channels]
    if rows.shape[1] != width * channels:
        return None
    image = np.ascontiguousarray(rows).reshape(height, width, channels)
    return image if code is None else np.asarray(cv2.cvtColor(image, code), dtype=np.uint8)


def _camera_rows(
    frames: Mapping[str, str], tree: TransformTree, base_frame: str, stamp: int
) -> list[list[str]]:
    """Rows of a picture of the rig; one row by name where the bag has no extrinsics."""
    forward = {}
    for name, frame in frames.items():
        base_T_optical = tree.between(base_frame, frame, stamp)
        if base_T_optical is None:
            return [sorted(frames)]
        forward[name] = base_T_optical[:2, 2]  # optical frames look along z
    return arrange(forward) if forward else []


def _recorded_set(
    stamp: int, message: Any, tree: TransformTree, thumbnails: Mapping[str, bytes]
) -> RecordedSet:
    velocity_x, velocity_y = message.velocity_x, message.velocity_y
    if len(velocity_x) != len(velocity_y):
        raise ValueError(f"expected as many velocities along x as y, at {stamp} ns")
    index = np.asarray(message.index, dtype=np.uint32)
    if len(index) and int(index.max()) >= int(np.prod(message.shape)):
        raise ValueError(f"expected indices on the grid, got {index.max()} at {stamp} ns")
    if (np.diff(index.astype(np.int64)) <= 0).any():
        raise ValueError(f"expected ascending indices, at {stamp} ns")
    return RecordedSet(
        stamp_ns=stamp,
        index=index,
        probability=np.asarray(message.probability, dtype=np.uint8),
        velocity=np.stack((velocity_x, velocity_y), axis=-1).astype(np.int16),  # (n, 2)
        class_id=np.asarray(message.class_id, dtype=np.uint8),
        fixed_T_base=tree.to_root(message.header.frame_id, stamp),
        thumbnails=thumbnails,
    )
