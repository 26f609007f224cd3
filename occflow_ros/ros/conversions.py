"""Predictions to messages, built from arrays: no Python object per voxel."""

from __future__ import annotations

import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Point, Vector3
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from occflow_ros.msg import OccupancyFlow as OccupancyFlowMessage
from occflow_ros.ros.stamps import header_message
from occflow_ros.structures import OccupancyFlow, VoxelGrid

FloatArray = npt.NDArray[np.float32]

POINT_STEP = 28
POINT_FIELDS = [
    PointField(name=name, offset=4 * position, datatype=PointField.FLOAT32, count=1)
    for position, name in enumerate(("x", "y", "z", "probability", "vx", "vy"))
] + [PointField(name="class", offset=24, datatype=PointField.UINT8, count=1)]
POINT_DTYPE = point_cloud2.dtype_from_fields(POINT_FIELDS, POINT_STEP)


@dataclass(frozen=True, slots=True)
class VoxelArrays:
    """The occupied voxels of one prediction, on the host.

    Args:
        header: reference time and ego frame.
        grid: that the voxels belong to.
        interval_s: time over which the velocity is the mean.
        index: (M,) row-major index into the grid, ascending.
        center_m: (M, 3) centres in the ego frame.
        probability: (M,) occupancy probability.
        velocity_mps: (M, 2) velocity over ground along ego x and y.
    """

    header: Header
    grid: VoxelGrid
    interval_s: float
    index: npt.NDArray[np.uint32]
    center_m: FloatArray
    probability: FloatArray
    velocity_mps: FloatArray


def voxel_arrays(prediction: OccupancyFlow, frame_id: str) -> VoxelArrays:
    """The occupied voxels of a prediction whose ego frame is `frame_id`."""
    grid, voxels = prediction.grid, prediction.sparse()
    return VoxelArrays(
        header=header_message(prediction.stamp_ns, frame_id),
        grid=grid,
        interval_s=prediction.interval_s,
        index=voxels.index.cpu().numpy().astype(np.uint32),
        center_m=grid.centers_of(voxels.index.cpu()).float().numpy(),
        probability=voxels.probability.float().cpu().numpy(),
        velocity_mps=voxels.velocity_mps.float().cpu().numpy(),
    )


def occupancy_flow_message(voxels: VoxelArrays) -> OccupancyFlowMessage:
    """The sparse message; see `msg/OccupancyFlow.msg` for its units."""
    kind = OccupancyFlowMessage
    probability = np.rint(voxels.probability / kind.PROBABILITY_SCALE).astype(np.uint8)
    limit = np.iinfo(np.int16).max
    velocity = np.rint(voxels.velocity_mps / kind.VELOCITY_SCALE).clip(-limit, limit)
    velocity_x, velocity_y = velocity.astype(np.int16).T
    (x_m, y_m, z_m), (dx_m, dy_m, dz_m) = voxels.grid.lower_m, voxels.grid.voxel_size_m
    return kind(
        header=voxels.header,
        origin=Point(x=x_m, y=y_m, z=z_m),
        voxel_size=Vector3(x=dx_m, y=dy_m, z=dz_m),
        shape=np.array(voxels.grid.shape, np.uint32),
        index=array.array("I", voxels.index.tobytes()),
        probability=array.array("B", probability.tobytes()),
        velocity_x=array.array("h", velocity_x.tobytes()),
        velocity_y=array.array("h", velocity_y.tobytes()),
        interval=voxels.interval_s,
    )


def points_message(voxels: VoxelArrays) -> PointCloud2:
    """Voxel centres as a cloud: x y z (m), probability, vx vy (m/s), class (255: unknown)."""
    points = np.zeros(len(voxels.index), POINT_DTYPE)
    points["x"], points["y"], points["z"] = voxels.center_m.T
    points["probability"] = voxels.probability
    points["vx"], points["vy"] = voxels.velocity_mps.T
    points["class"] = OccupancyFlowMessage.CLASS_UNKNOWN
    return point_cloud2.create_cloud(voxels.header, POINT_FIELDS, points, POINT_STEP)
