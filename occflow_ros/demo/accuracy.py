"""How right predictions were: against the exact truth where there is one, else against LiDAR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from occflow_ros.data.classes import FREE
from occflow_ros.data.drive import Box, CameraSet, Drive, OccupancyTruth
from occflow_ros.data.sensors import read_lidar
from occflow_ros.data.truth import read_truth
from occflow_ros.geometry import se3
from occflow_ros.metrics.coarsen import coarsen_truth
from occflow_ros.metrics.velocity import VelocityError, velocity_error
from occflow_ros.metrics.voxel_iou import OccupancyCounts, count_occupancy
from occflow_ros.structures import VoxelGrid
from occflow_ros.viz.scene import MOVING_MPS, VoxelScene


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Prediction against truth, for one set or summed over several.

    Args:
        against: what the truth is.
        sets: how many sets were compared.
        occupancy: the prediction, over observed voxels.
        flat_ground: the same for a flat layer of road and nothing else.
        velocity: over voxels of moving objects that the prediction found.
        zero_velocity: the same for a prediction that everything stands.
        standing: over found voxels that stand: the motion made up there.
    """

    against: Literal["occupancy", "lidar"]
    sets: int
    occupancy: OccupancyCounts
    flat_ground: OccupancyCounts
    velocity: VelocityError = VelocityError()
    zero_velocity: VelocityError = VelocityError()
    standing: VelocityError = VelocityError()

    def __add__(self, other: Accuracy) -> Accuracy:
        if self.against != other.against:
            raise ValueError(f"expected accuracy against {self.against}, got {other.against}")
        return Accuracy(
            against=self.against,
            sets=self.sets + other.sets,
            occupancy=self.occupancy + other.occupancy,
            flat_ground=self.flat_ground + other.flat_ground,
            velocity=self.velocity + other.velocity,
            zero_velocity=self.zero_velocity + other.zero_velocity,
            standing=self.standing + other.standing,
        )


def load_truth(camera_set: CameraSet, grid: VoxelGrid) -> OccupancyTruth | None:
    """The exact truth of a set on the prediction's grid, None where there is none for this grid."""
    if camera_set.occupancy is None:
        return None
    truth = read_truth(camera_set.occupancy)
    same_box = np.allclose((truth.lower_m, truth.upper_m), (grid.lower_m, grid.upper_m))
    if not same_box or any(fine % coarse for fine, coarse in zip(truth.grid.shape, grid.shape)):
        return None
    return coarsen_truth(truth, grid.shape)


def truth_scene(truth: OccupancyTruth) -> VoxelScene:
    """The truth as the pictures show it: everything that some camera of the set sees."""
    occupied = (truth.semantics != FREE) & truth.observed
    return VoxelScene(truth.grid, occupied, np.nan_to_num(truth.velocity_mps))


def against_truth(prediction: VoxelScene, truth: OccupancyTruth) -> Accuracy:
    """Accuracy of one set against the exact truth on the same grid."""
    occupied = truth.semantics != FREE
    found = occupied & prediction.occupied & truth.observed
    speed = np.linalg.norm(truth.velocity_mps, axis=-1)  # NaN, neither moving nor not, if unknown
    predicted, true = prediction.velocity_mps, truth.velocity_mps
    return Accuracy(
        against="occupancy",
        sets=1,
        occupancy=count_occupancy(prediction.occupied, occupied, truth.observed),
        flat_ground=count_occupancy(flat_ground(prediction.grid), occupied, truth.observed),
        velocity=velocity_error(predicted, true, found & (speed > MOVING_MPS)),
        zero_velocity=velocity_error(np.zeros_like(true), true, found & (speed > MOVING_MPS)),
        standing=velocity_error(predicted, true, found & (speed <= MOVING_MPS)),
    )


def load_lidar(drive: Drive, camera_set: CameraSet, grid: VoxelGrid) -> VoxelScene | None:
    """Voxels that hold LiDAR points, None without a sweep.

    A voxel with a point in an annotated box takes the velocity of the box; all others stand.
    """
    if camera_set.lidar is None or drive.base_T_lidar is None:
        return None
    points_lidar_m = read_lidar(camera_set.lidar.path).astype(np.float64)
    odom_T_lidar = camera_set.lidar.odom_T_base @ drive.base_T_lidar
    points_odom_m = se3.transform_points(odom_T_lidar, points_lidar_m)
    reference = camera_set.images.get(next(iter(drive.cameras)), camera_set)  # as in the node
    points_m = se3.transform_points(se3.inverse(reference.odom_T_base), points_odom_m)
    index, inside = grid.index_of(torch.from_numpy(points_m))
    voxels = tuple(index[inside].T.numpy())
    occupied = np.zeros(grid.shape, dtype=bool)
    occupied[voxels] = True
    velocity_mps = np.zeros((*grid.shape, 2), dtype=np.float32)
    annotated_m = se3.transform_points(se3.inverse(camera_set.odom_T_base), points_odom_m)
    velocity_mps[voxels] = _velocity_of_boxes(annotated_m[inside.numpy()], camera_set.boxes or ())
    return VoxelScene(grid, occupied, velocity_mps)


def against_lidar(prediction: VoxelScene, hit: VoxelScene) -> Accuracy:
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
        flat_ground=count_occupancy(flat_ground(prediction.grid), hit.occupied, everywhere),
        velocity=velocity_error(predicted, true, found),
        zero_velocity=velocity_error(np.zeros_like(true), true, found),
    )


def flat_ground(grid: VoxelGrid) -> npt.NDArray[np.bool_]:
    """(X, Y, Z) occupied only in the layer that holds the height of the ego origin."""
    occupied = np.zeros(grid.shape, dtype=bool)
    index, _ = grid.index_of(torch.zeros(3))
    occupied[:, :, int(index[2])] = True
    return occupied


def _velocity_of_boxes(points_m: se3.Array, boxes: Sequence[Box]) -> npt.NDArray[np.float32]:
    """Velocity (N, 2) of the box that each point (N, 3) lies in, zero where it lies in none."""
    velocity_mps = np.zeros((len(points_m), 2), dtype=np.float32)
    for box in boxes:
        if box.velocity_mps is not None:
            velocity_mps[box.contains(points_m)] = box.velocity_mps
    return velocity_mps
