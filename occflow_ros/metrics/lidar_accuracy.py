"""Accuracy where there is no exact truth but LiDAR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from occflow_ros.data.drive import Box, CameraSet, Drive
from occflow_ros.data.scene import VoxelScene
from occflow_ros.data.sensors import read_lidar
from occflow_ros.geometry import se3
from occflow_ros.metrics.accuracy import Accuracy, flat_ground
from occflow_ros.metrics.velocity import velocity_error
from occflow_ros.metrics.voxel_iou import count_occupancy
from occflow_ros.structures import VoxelGrid


def load_lidar(
    drive: Drive, camera_set: CameraSet, grid: VoxelGrid, odom_T_base: se3.Array | None = None
) -> VoxelScene | None:
    """Voxels that hold LiDAR points, None without a sweep.

    A voxel with a point in an annotated box takes the velocity of the box; all others stand.

    Args:
        drive: whose set it is.
        camera_set: the set.
        grid: of the voxels.
        odom_T_base: (4, 4) pose of the grid's frame; None: that of the first camera's image, as in
            the node.

    Raises:
        DataError: where the sweep cannot be read.
    """
    if camera_set.lidar is None or drive.base_T_lidar is None:
        return None
    points_lidar_m = read_lidar(camera_set.lidar.path).astype(np.float64)
    odom_T_lidar = camera_set.lidar.odom_T_base @ drive.base_T_lidar
    points_odom_m = se3.transform_points(odom_T_lidar, points_lidar_m)
    if odom_T_base is None:
        odom_T_base = camera_set.images.get(next(iter(drive.cameras)), camera_set).odom_T_base
    points_m = se3.transform_points(se3.inverse(odom_T_base), points_odom_m)
    index, inside = grid.index_of(torch.from_numpy(points_m))
    voxels = tuple(index[inside].T.numpy())
    occupied = np.zeros(grid.shape, dtype=bool)
    occupied[voxels] = True
    velocity_mps = np.zeros((*grid.shape, 2), dtype=np.float32)
    annotated_m = se3.transform_points(se3.inverse(camera_set.odom_T_base), points_odom_m)
    velocity_mps[voxels] = _velocity_of_boxes(annotated_m[inside.numpy()], camera_set.boxes or ())
    return VoxelScene(grid, occupied, velocity_mps)


def against_lidar(prediction: VoxelScene, hit: VoxelScene, ground_z_m: float = 0.0) -> Accuracy:
    """Accuracy of one set against the voxels that hold LiDAR points.

    A voxel without points may be free, hidden or out of the scanner's reach, so the precision
    read from these counts is a lower bound.
    """
    everywhere = np.ones(hit.grid.shape, dtype=bool)
    found = prediction.occupied & hit.moving
    predicted, true = prediction.velocity_mps, hit.velocity_mps
    return Accuracy(
        against="lidar",
        sets=1,
        occupancy=count_occupancy(prediction.occupied, hit.occupied, everywhere),
        flat_ground=count_occupancy(
            flat_ground(prediction.grid, ground_z_m), hit.occupied, everywhere
        ),
        velocity=velocity_error(predicted, true, found),
        zero_velocity=velocity_error(np.zeros_like(true), true, found),
    )


def _velocity_of_boxes(points_m: se3.Array, boxes: Sequence[Box]) -> npt.NDArray[np.float32]:
    """Velocity (N, 2) of the box that each point (N, 3) lies in, zero where it lies in none."""
    velocity_mps = np.zeros((len(points_m), 2), dtype=np.float32)
    for box in boxes:
        if box.velocity_mps is not None:
            velocity_mps[box.contains(points_m)] = box.velocity_mps
    return velocity_mps
