"""Refined predictions as a bag that `occflow view`, RViz and Foxglove play.

    ~/occupancy_flow, ~/classes                    OccupancyFlow, ClassLegend
    ~/occupancy/points                             PointCloud2
    ~/occupancy/markers, ~/flow/markers            MarkerArray, as the node publishes them

Of a source that is a bag, everything else is copied as it is: images, calibration, transforms,
diagnostics. Costmaps of the onboard prediction are left out, and so are predictions that the
recording left out. Refinement votes for classes, not for probabilities: that of what is occupied is
1. A velocity that was unknown comes back as 0, in a recording without motion as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from occflow_ros.data.recorded_predictions import (
    LEGEND_TYPE,
    PREDICTION_TYPE,
    TRANSFORMS_TYPE,
    decode,
    namespace,
    only_topic,
    open_bag,
    read_messages,
    stamp_ns,
)
from occflow_ros.data.vocabulary import OCCUPANCY, UNKNOWN, Vocabulary
from occflow_ros.errors import DataError
from occflow_ros.messages import serialised
from occflow_ros.messages.markers import VoxelMarkers
from occflow_ros.messages.voxel_arrays import VoxelArrays, centers_m
from occflow_ros.node_config import DisplayConfig
from occflow_ros.offboard.bag_file import BagFile, new_bag
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.recording import RecordedFrame, RecordingInfo
from occflow_ros.structures import UNKNOWN_CLASS_ID

TOPIC = "/occflow/occupancy_flow"
FIXED_FRAME, BASE_FRAME = "odom", "base_link"

Progress = Callable[[Iterable[int], int], Iterable[int]]
"""Wraps an iterable of so many places, and yields them on."""

_FIRST_NS = 1_000_000_000  # ROS reads a stamp of 0 as "the latest"
_ONLY_INTERVAL_S = 0.5  # of a recording with one frame


def write_bag_like(source: Path, refined: FrameStore, out: Path, overwrite: bool = False) -> None:
    """Write a bag with everything of another one, but for its predictions.

    Args:
        source: the bag that was refined.
        refined: its predictions, by reference time.
        out: folder of the bag.
        overwrite: replace a folder that is not empty.

    Raises:
        DataError: where the source cannot be read or has none of the frames.
        OutputError: where `out` is occupied or cannot be written.
    """
    with new_bag(out, overwrite) as bag, open_bag(source) as reader:
        topic = only_topic(source, reader)
        topics = _PredictionTopics(bag, topic, refined.info)
        left = {name: place for place, name in enumerate(refined.info.frame_names)}
        own = namespace(topic)
        for connection in reader.connections:
            if not _is_prediction(connection.topic, topic, own):
                bag.add_like(connection, reader)
        topics.begin(reader.start_time)
        for connection, received_ns, data in read_messages(reader):
            if connection.topic == topic:
                message = decode(reader, data, connection.msgtype)
                place = left.pop(str(stamp_ns(message.header)), None)
                if place is not None:
                    interval_s = float(message.interval)
                    topics.write(received_ns, message.header, interval_s, refined.load(place))
            elif not _is_prediction(connection.topic, topic, own):
                bag.write(connection.topic, connection.msgtype, received_ns, data)
        if left:
            raise DataError(
                f"{source}: expected predictions of {len(refined.info)} reference times, got none "
                f"of {len(left)} of them, such as {next(iter(left))} ns"
            )


def write_bag(
    refined: FrameStore, out: Path, overwrite: bool = False, progress: Progress | None = None
) -> None:
    """Write a bag with predictions, the way of the base and the cameras' calibration.

    A recording that begins before 1 s is shifted to begin then.

    Args:
        refined: the predictions.
        out: folder of the bag.
        overwrite: replace a folder that is not empty.
        progress: wraps the places of the frames.

    Raises:
        DataError: where a frame is missing.
        OutputError: where `out` is occupied or cannot be written.
    """
    info, places = refined.info, range(len(refined.info))
    shift_ns = max(0, _FIRST_NS - info.stamps_ns[0])
    intervals_s = [*np.diff(info.times_s).tolist(), _last_interval_s(info)]
    with new_bag(out, overwrite) as bag:
        topics = _PredictionTopics(bag, TOPIC, info)
        scene = _SceneTopics(bag, info)
        topics.begin(info.stamps_ns[0] + shift_ns)
        scene.begin(info.stamps_ns[0] + shift_ns)
        for place in places if progress is None else progress(places, len(places)):
            stamp = info.stamps_ns[place] + shift_ns
            scene.write(stamp, place)
            header = serialised.header_of(stamp, BASE_FRAME)
            topics.write(stamp, header, intervals_s[place], refined.load(place))


def voxel_arrays(
    frame: RecordedFrame, info: RecordingInfo, header: Any, interval_s: float
) -> VoxelArrays:
    """The occupied voxels of a frame.

    Args:
        frame: of the recording.
        info: of the recording.
        header: with reference time and ego frame.
        interval_s: time over which velocities are the mean.
    """
    class_id = frame.class_id.reshape(-1)  # (X·Y·Z)
    index = np.flatnonzero(class_id != info.vocabulary.empty).astype(np.uint32)
    velocity_mps = np.full((len(index), 2), np.nan, np.float32)
    if frame.velocity_mps is not None:
        velocity_mps = frame.velocity_mps.reshape(-1, 2)[index]  # (M, 2)
    return VoxelArrays(
        header=header,
        grid=info.grid,
        interval_s=interval_s,
        index=index,
        center_m=centers_m(index, info.grid),
        probability=np.ones(len(index), np.float32),
        velocity_mps=velocity_mps,
        class_id=_numbers(info.vocabulary)[class_id[index]] if class_names_of(info) else None,
    )


def class_names_of(info: RecordingInfo) -> tuple[str, ...]:
    """What a legend says of a recording; empty where it has no classes."""
    vocabulary = info.vocabulary
    if vocabulary == OCCUPANCY:
        return ()
    return tuple(name for name in vocabulary.names if name != UNKNOWN)


def _numbers(vocabulary: Vocabulary) -> np.ndarray:
    """Number in a legend of each class, without one where nobody knows it."""
    known = np.array([name != UNKNOWN for name in vocabulary.names])
    return np.where(known, np.cumsum(known) - 1, UNKNOWN_CLASS_ID).astype(np.uint8)


class _PredictionTopics:
    """The topics of the node beside its prediction.

    Args:
        bag: to write into.
        topic: of the predictions.
        info: of their recording.
    """

    def __init__(self, bag: BagFile, topic: str, info: RecordingInfo) -> None:
        names, own = class_names_of(info), namespace(topic)
        self._bag, self._info, self._names = bag, info, names
        display = DisplayConfig(color="class") if names else DisplayConfig()
        markers = VoxelMarkers(info.grid, display, names)
        self._legend = f"{own}/classes"
        self._outputs: dict[tuple[str, str], Callable[[VoxelArrays], bytes]] = {
            (topic, PREDICTION_TYPE): serialised.prediction_message,
            (f"{own}/occupancy/points", serialised.POINTS_TYPE): serialised.points_message,
            (f"{own}/occupancy/markers", serialised.MARKERS_TYPE): markers.occupancy,
            (f"{own}/flow/markers", serialised.MARKERS_TYPE): markers.flow,
        }
        for name, kind in self._outputs:
            bag.add(name, kind)
        if names:
            bag.add(self._legend, LEGEND_TYPE, kept=True)

    def begin(self, received_ns: int) -> None:
        """Say once what the classes are called."""
        if self._names:
            data = serialised.legend_message(self._names)
            self._bag.write(self._legend, LEGEND_TYPE, received_ns, data)

    def write(self, received_ns: int, header: Any, interval_s: float, frame: RecordedFrame) -> None:
        """Write one prediction in all its forms."""
        voxels = voxel_arrays(frame, self._info, header, interval_s)
        for (name, kind), build in self._outputs.items():
            self._bag.write(name, kind, received_ns, build(voxels))


class _SceneTopics:
    """Where the base and its cameras are."""

    def __init__(self, bag: BagFile, info: RecordingInfo) -> None:
        self._bag, self._info = bag, info
        bag.add("/tf", TRANSFORMS_TYPE)
        bag.add("/tf_static", TRANSFORMS_TYPE, kept=True)
        for camera in info.cameras:
            bag.add(f"/{camera.name}/camera_info", serialised.CAMERA_INFO_TYPE)

    def begin(self, received_ns: int) -> None:
        mounts = [(_optical(camera.name), camera.base_T_camera) for camera in self._info.cameras]
        data = serialised.transforms_message(0, BASE_FRAME, mounts)
        self._bag.write("/tf_static", TRANSFORMS_TYPE, received_ns, data)

    def write(self, stamp: int, place: int) -> None:
        pose = self._info.world_T_base[place]
        data = serialised.transforms_message(stamp, FIXED_FRAME, [(BASE_FRAME, pose)])
        self._bag.write("/tf", TRANSFORMS_TYPE, stamp, data)
        for camera in self._info.cameras:
            data = serialised.camera_info_message(camera, stamp, _optical(camera.name))
            topic = f"/{camera.name}/camera_info"
            self._bag.write(topic, serialised.CAMERA_INFO_TYPE, stamp, data)


def _optical(camera_name: str) -> str:
    return f"{camera_name}_optical_frame"


def _last_interval_s(info: RecordingInfo) -> float:
    times_s = info.times_s
    return float(times_s[-1] - times_s[-2]) if len(times_s) > 1 else _ONLY_INTERVAL_S


def _is_prediction(topic: str, predictions: str, own: str) -> bool:
    """Whether a topic says in its form what the predictions do, and so would be the old word."""
    costmap = f"{own}/costmap"
    beside = (
        f"{own}/{name}"
        for name in ("classes", "occupancy/points", "occupancy/markers", "flow/markers", "costmap")
    )
    return topic == predictions or topic in beside or topic.startswith(f"{costmap}/")
