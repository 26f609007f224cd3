"""The messages of predictions, transforms and cameras as CDR, made with `rosbags` alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from occflow_ros.data.drive import Camera
from occflow_ros.data.recorded_predictions import LEGEND_TYPE, PREDICTION_TYPE, TRANSFORMS_TYPE
from occflow_ros.geometry.se3 import Array, to_quaternion_translation
from occflow_ros.messages.message_types import message_types
from occflow_ros.messages.voxel_arrays import (
    POINT_DTYPE,
    POINT_STEP,
    VoxelArrays,
    points_of,
    probability_levels,
    velocity_levels,
)
from occflow_ros.viz.palette import class_colors

POINTS_TYPE = "sensor_msgs/msg/PointCloud2"
MARKERS_TYPE = "visualization_msgs/msg/MarkerArray"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"

_POINT_TYPES = {"f": 7, "u": 2}  # FLOAT32 and UINT8 of sensor_msgs/PointField
_NS_PER_S = 1_000_000_000


def header_of(stamp_ns: int, frame_id: str) -> Any:
    """A `std_msgs/Header`."""
    return _make(
        "std_msgs/msg/Header", _make("builtin_interfaces/msg/Time", *_time(stamp_ns)), frame_id
    )


def prediction_message(voxels: VoxelArrays) -> bytes:
    """`OccupancyFlow`; see `msg/OccupancyFlow.msg` for its units."""
    velocity_x, velocity_y = velocity_levels(voxels).T
    class_id = np.empty(0, np.uint8) if voxels.class_id is None else voxels.class_id
    message = message_types().types[PREDICTION_TYPE](
        header=voxels.header,
        origin=_make("geometry_msgs/msg/Point", *voxels.grid.lower_m),
        voxel_size=_make("geometry_msgs/msg/Vector3", *voxels.grid.voxel_size_m),
        shape=np.array(voxels.grid.shape, np.uint32),
        index=voxels.index,
        probability=probability_levels(voxels),
        velocity_x=np.ascontiguousarray(velocity_x),
        velocity_y=np.ascontiguousarray(velocity_y),
        interval=voxels.interval_s,
        class_id=class_id,
    )
    return _bytes(message, PREDICTION_TYPE)


def legend_message(class_names: Sequence[str]) -> bytes:
    """`ClassLegend` of classes numbered by their place among the names."""
    colors = class_colors(class_names) / 255.0  # (n, 3)
    message = message_types().types[LEGEND_TYPE](
        id=np.arange(len(class_names), dtype=np.uint8),
        name=list(class_names),
        color=[_make("std_msgs/msg/ColorRGBA", *rgb, 1.0) for rgb in colors.tolist()],
    )
    return _bytes(message, LEGEND_TYPE)


def points_message(voxels: VoxelArrays) -> bytes:
    """Voxel centres as a cloud: x y z (m), probability, vx vy (m/s), class (255: unknown)."""
    points = points_of(voxels)
    assert POINT_DTYPE.names is not None and POINT_DTYPE.fields is not None
    fields = [
        _make("sensor_msgs/msg/PointField", name, offset, _POINT_TYPES[kind.kind], 1)
        for name, (kind, offset, *_) in POINT_DTYPE.fields.items()
    ]
    message = message_types().types[POINTS_TYPE](
        header=voxels.header,
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=False,
        point_step=POINT_STEP,
        row_step=POINT_STEP * len(points),
        data=np.frombuffer(points.tobytes(), np.uint8),
        is_dense=True,
    )
    return _bytes(message, POINTS_TYPE)


def transforms_message(stamp_ns: int, parent: str, children: Iterable[tuple[str, Array]]) -> bytes:
    """`TFMessage` of frames and their parent_T_child."""
    message = message_types().types[TRANSFORMS_TYPE](
        [
            _make(
                "geometry_msgs/msg/TransformStamped",
                header_of(stamp_ns, parent),
                child,
                _transform(parent_T_child),
            )
            for child, parent_T_child in children
        ]
    )
    return _bytes(message, TRANSFORMS_TYPE)


def camera_info_message(camera: Camera, stamp_ns: int, frame_id: str) -> bytes:
    """`CameraInfo` of an unrectified monocular camera."""
    message = message_types().types[CAMERA_INFO_TYPE](
        header=header_of(stamp_ns, frame_id),
        height=camera.height_px,
        width=camera.width_px,
        distortion_model=camera.distortion_model,
        d=np.array(camera.distortion, np.float64),
        k=camera.K.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack((camera.K, np.zeros((3, 1)))).ravel(),
        binning_x=0,
        binning_y=0,
        roi=_make("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False),
    )
    return _bytes(message, CAMERA_INFO_TYPE)


def _transform(parent_T_child: Array) -> Any:
    quat_xyzw, translation_m = to_quaternion_translation(parent_T_child)
    return _make(
        "geometry_msgs/msg/Transform",
        _make("geometry_msgs/msg/Vector3", *translation_m.tolist()),
        _make("geometry_msgs/msg/Quaternion", *quat_xyzw.tolist()),
    )


def _time(stamp_ns: int) -> tuple[int, int]:
    return divmod(stamp_ns, _NS_PER_S)


def _make(kind: str, *values: Any) -> Any:
    return message_types().types[kind](*values)


def _bytes(message: Any, kind: str) -> bytes:
    return bytes(message_types().serialize_cdr(message, kind))
