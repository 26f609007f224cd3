"""Predictions to messages, built from arrays: no Python object per voxel."""

from __future__ import annotations

import array
from dataclasses import dataclass, replace

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
IndexArray = npt.NDArray[np.uint32]

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
        velocity_mps: (M, 2) velocity over ground along ego x and y; NaN where unknown.
        class_id: (M,) numbered as `~/classes` says, `UNKNOWN_CLASS_ID` where unknown; None where
            no classes are estimated.
    """

    header: Header
    grid: VoxelGrid
    interval_s: float
    index: IndexArray
    center_m: FloatArray
    probability: FloatArray
    velocity_mps: FloatArray
    class_id: npt.NDArray[np.uint8] | None = None

    @property
    def speed_mps(self) -> FloatArray:
        """(M,) speed over ground."""
        x_mps, y_mps = self.velocity_mps.T
        return np.sqrt(x_mps * x_mps + y_mps * y_mps)

    def select(self, chosen: npt.NDArray[np.integer]) -> VoxelArrays:
        """Some of the voxels, (n,) positions in ascending order."""
        return replace(
            self,
            index=self.index[chosen],
            center_m=self.center_m.take(chosen, axis=0, mode="clip"),
            probability=self.probability[chosen],
            velocity_mps=self.velocity_mps.take(chosen, axis=0, mode="clip"),
            class_id=None if self.class_id is None else self.class_id[chosen],
        )


def voxel_arrays(prediction: OccupancyFlow, frame_id: str) -> VoxelArrays:
    """The occupied voxels of a prediction whose ego frame is `frame_id`."""
    voxels = prediction.sparse()
    index = voxels.index.cpu().numpy().astype(np.uint32)
    return VoxelArrays(
        header=header_message(prediction.stamp_ns, frame_id),
        grid=prediction.grid,
        interval_s=prediction.interval_s,
        index=index,
        center_m=_centers_m(index, prediction.grid),
        probability=voxels.probability.float().cpu().numpy(),
        velocity_mps=voxels.velocity_mps.float().cpu().numpy(),
        class_id=None if voxels.class_id is None else voxels.class_id.cpu().numpy(),
    )


def cells_of(index: IndexArray, grid: VoxelGrid) -> tuple[IndexArray, IndexArray, IndexArray]:
    """Row-major indices (M,) to those along x, y and z, (M,) each."""
    _, ny, nz = (np.uint32(count) for count in grid.shape)
    column = index // nz
    x = column // ny
    return x, column - x * ny, index - column * nz


def probability_levels(voxels: VoxelArrays) -> npt.NDArray[np.uint8]:
    """Occupancy probability in steps of 1/255, (M,)."""
    return np.rint(voxels.probability / OccupancyFlowMessage.PROBABILITY_SCALE).astype(np.uint8)


def occupancy_flow_message(voxels: VoxelArrays) -> OccupancyFlowMessage:
    """The sparse message; see `msg/OccupancyFlow.msg` for its units."""
    velocity_x, velocity_y = _velocity_levels(voxels).T
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
    points = np.zeros(len(voxels.index), POINT_DTYPE)
    points["x"], points["y"], points["z"] = voxels.center_m.T
    points["probability"] = voxels.probability
    points["vx"], points["vy"] = voxels.velocity_mps.T
    unknown = OccupancyFlowMessage.CLASS_UNKNOWN
    points["class"] = unknown if voxels.class_id is None else voxels.class_id
    return point_cloud2.create_cloud(voxels.header, POINT_FIELDS, points, POINT_STEP)


def _centers_m(index: IndexArray, grid: VoxelGrid) -> FloatArray:
    centers_m = np.empty((len(index), 3), np.float32)
    for axis, cells in enumerate(cells_of(index, grid)):
        position = np.arange(grid.shape[axis]) + 0.5
        along_m = grid.lower_m[axis] + position * grid.voxel_size_m[axis]
        centers_m[:, axis] = along_m.astype(np.float32).take(cells, mode="clip")
    return centers_m


def _velocity_levels(voxels: VoxelArrays) -> npt.NDArray[np.int16]:
    """Velocity in steps of the message, (M, 2), clipped to its range."""
    limit = np.iinfo(np.int16).max
    levels = np.rint(voxels.velocity_mps / OccupancyFlowMessage.VELOCITY_SCALE)
    np.clip(levels, -limit, limit, out=levels)
    levels[np.isnan(levels[:, 0] + levels[:, 1])] = OccupancyFlowMessage.VELOCITY_UNKNOWN
    return levels.astype(np.int16)
