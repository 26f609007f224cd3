"""Predictions to messages, built from arrays: no Python object per voxel."""

from __future__ import annotations

import array

import numpy as np
from geometry_msgs.msg import Point, Vector3
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2

from occflow_ros.messages.voxel_arrays import (
    POINT_STEP,
    VoxelArrays,
    centers_m,
    points_of,
    probability_levels,
    velocity_levels,
)
from occflow_ros.msg import OccupancyFlow as OccupancyFlowMessage
from occflow_ros.ros.stamps import header_message
from occflow_ros.structures import OccupancyFlow

POINT_FIELDS = [
    PointField(name=name, offset=4 * position, datatype=PointField.FLOAT32, count=1)
    for position, name in enumerate(("x", "y", "z", "probability", "vx", "vy"))
] + [PointField(name="class", offset=24, datatype=PointField.UINT8, count=1)]


def voxel_arrays(prediction: OccupancyFlow, frame_id: str) -> VoxelArrays:
    """The occupied voxels of a prediction whose ego frame is `frame_id`."""
    voxels = prediction.sparse()
    index = voxels.index.cpu().numpy().astype(np.uint32)
    return VoxelArrays(
        header=header_message(prediction.stamp_ns, frame_id),
        grid=prediction.grid,
        interval_s=prediction.interval_s,
        index=index,
        center_m=centers_m(index, prediction.grid),
        probability=voxels.probability.float().cpu().numpy(),
        velocity_mps=voxels.velocity_mps.float().cpu().numpy(),
        class_id=None if voxels.class_id is None else voxels.class_id.cpu().numpy(),
    )


def occupancy_flow_message(voxels: VoxelArrays) -> OccupancyFlowMessage:
    """The sparse message; see `msg/OccupancyFlow.msg` for its units."""
    velocity_x, velocity_y = velocity_levels(voxels).T
    class_id = () if voxels.class_id is None else voxels.class_id.tobytes()
    (x_m, y_m, z_m), (dx_m, dy_m, dz_m) = voxels.grid.lower_m, voxels.grid.voxel_size_m
    return OccupancyFlowMessage(
        header=voxels.header,
        origin=Point(x=x_m, y=y_m, z=z_m),
        voxel_size=Vector3(x=dx_m, y=dy_m, z=dz_m),
        shape=np.array(voxels.grid.shape, np.uint32),
        index=array.array("I", voxels.index.tobytes()),
        probability=array.array("B", probability_levels(voxels).tobytes()),
        velocity_x=array.array("h", velocity_x.tobytes()),
        velocity_y=array.array("h", velocity_y.tobytes()),
        interval=voxels.interval_s,
        class_id=array.array("B", class_id),
    )


def points_message(voxels: VoxelArrays) -> PointCloud2:
    """Voxel centres as a cloud: x y z (m), probability, vx vy (m/s), class (255: unknown)."""
    return point_cloud2.create_cloud(voxels.header, POINT_FIELDS, points_of(voxels), POINT_STEP)
