"""How right a prediction is beside trivial answers: over voxels and along the rays of a LiDAR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from occflow_ros.data.classes import FREE, GROUND
from occflow_ros.data.drive import CameraSet, Drive, OccupancyTruth
from occflow_ros.data.scene import MOVING_MPS, VoxelScene
from occflow_ros.data.truth import read_truth
from occflow_ros.geometry import se3
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.metrics.coarsen import truth_on_grid
from occflow_ros.metrics.ray_ends import at_hits
from occflow_ros.metrics.ray_iou import RayCounts, count_rays, ray_origins, ray_set, within
from occflow_ros.metrics.velocity import TRUE_POSITIVE_M, VelocityError, velocity_error
from occflow_ros.metrics.voxel_iou import OccupancyCounts, count_occupancy
from occflow_ros.ops.voxel_raycast import cast_rays
from occflow_ros.structures import VoxelGrid


@dataclass(frozen=True, slots=True)
class SetTruth:
    """The exact truth of one set.

    Args:
        fine: on its own grid.
        coarse: on the prediction's grid.
    """

    fine: OccupancyTruth
    coarse: OccupancyTruth


@dataclass(frozen=True, slots=True)
class RayAccuracy(Accumulator):
    """Along the rays of RayIoU, whatever the class; the truth is on its own, finer grid.

    Args:
        all_rays: the prediction over all rays that hit something in the truth.
        all_rays_flat: the same for flat ground.
        objects: the prediction over rays that hit something other than ground in the truth.
        objects_flat: the same for flat ground.
        velocity: where rays hit a moving object and the prediction ends within 2 m of it.
        zero_velocity: there, for a prediction that everything stands.
    """

    all_rays: RayCounts = RayCounts()
    all_rays_flat: RayCounts = RayCounts()
    objects: RayCounts = RayCounts()
    objects_flat: RayCounts = RayCounts()
    velocity: VelocityError = VelocityError()
    zero_velocity: VelocityError = VelocityError()


@dataclass(frozen=True, slots=True)
class Accuracy(Accumulator):
    """Prediction against truth, for one set or summed over several.

    Args:
        against: what the truth is.
        sets: how many sets were compared.
        occupancy: the prediction, over observed voxels.
        flat_ground: the same for a flat layer of road and nothing else.
        velocity: over voxels of moving objects that the prediction found.
        zero_velocity: the same for a prediction that everything stands.
        standing: over found voxels that stand: the motion made up there.
        rays: along rays; without any against LiDAR points.
    """

    against: Literal["occupancy", "lidar"] = "occupancy"
    sets: int = 0
    occupancy: OccupancyCounts = OccupancyCounts()
    flat_ground: OccupancyCounts = OccupancyCounts()
    velocity: VelocityError = VelocityError()
    zero_velocity: VelocityError = VelocityError()
    standing: VelocityError = VelocityError()
    rays: RayAccuracy = RayAccuracy()


def load_truth(camera_set: CameraSet, grid: VoxelGrid) -> SetTruth | None:
    """The exact truth of a set, None where there is none for the prediction's grid.

    Raises:
        DataError: where the file cannot be read.
    """
    if camera_set.occupancy is None:
        return None
    fine = read_truth(camera_set.occupancy)
    coarse = truth_on_grid(fine, grid)
    return None if coarse is None else SetTruth(fine, coarse)


def sensor_positions(drive: Drive) -> se3.Array:
    """Where rays may start, (N, 3) in the drive's fixed frame, in time order.

    The positions of the LiDAR at all sets; of the first camera where the drive has no LiDAR.
    """
    camera = next(iter(drive.cameras.values()))
    files, mount = [one.lidar for one in drive.sets], drive.base_T_lidar
    if mount is None or not any(files):
        files, mount = [one.images.get(camera.name) for one in drive.sets], camera.base_T_camera
    positions = [(file.odom_T_base @ mount)[:3, 3] for file in files if file is not None]
    return np.array(positions).reshape(-1, 3)  # (N, 3)


def against_truth(
    prediction: VoxelScene, truth: SetTruth, odom_T_base: se3.Array, positions_odom_m: se3.Array
) -> Accuracy:
    """Accuracy of one set against the exact truth.

    Args:
        prediction: of the set.
        truth: of the set, on the prediction's grid too.
        odom_T_base: (4, 4) pose of the set.
        positions_odom_m: (N, 3) from `sensor_positions`.
    """
    return _over_voxels(
        prediction,
        truth.coarse,
        along_rays(prediction, truth.fine, ray_origins(odom_T_base, positions_odom_m)),
    )


def _over_voxels(prediction: VoxelScene, truth: OccupancyTruth, rays: RayAccuracy) -> Accuracy:
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
        rays=rays,
    )


def along_rays(
    prediction: VoxelScene, truth: OccupancyTruth, origins_m: npt.NDArray[np.float64]
) -> RayAccuracy:
    """Accuracy of one set along rays.

    Args:
        prediction: on any grid.
        truth: on any other one of the same frame.
        origins_m: (O, 3) where rays start; none give no counts.
    """
    rays = ray_set(origins_m)
    true = cast_rays(truth.semantics != FREE, truth.grid, *rays)
    found = cast_rays(prediction.occupied, prediction.grid, *rays)
    flat = cast_rays(flat_ground(prediction.grid), prediction.grid, *rays)
    is_object = ~np.isin(at_hits(truth.semantics, true, FREE), GROUND)
    true_mps = at_hits(truth.velocity_mps, true, 0.0)
    moving = np.linalg.norm(true_mps, axis=-1) > MOVING_MPS
    met = moving & within(true.distance_m, found.distance_m, TRUE_POSITIVE_M)
    return RayAccuracy(
        all_rays=count_rays(true.distance_m, found.distance_m),
        all_rays_flat=count_rays(true.distance_m, flat.distance_m),
        objects=count_rays(true.distance_m, found.distance_m, is_object),
        objects_flat=count_rays(true.distance_m, flat.distance_m, is_object),
        velocity=velocity_error(at_hits(prediction.velocity_mps, found, 0.0), true_mps, met),
        zero_velocity=velocity_error(np.zeros_like(true_mps), true_mps, met),
    )


def flat_ground(grid: VoxelGrid, ground_z_m: float = 0.0) -> npt.NDArray[np.bool_]:
    """(X, Y, Z) occupied only in the layer that holds the height of the ground."""
    occupied = np.zeros(grid.shape, dtype=bool)
    index, _ = grid.index_of(torch.tensor((0.0, 0.0, ground_z_m)))
    occupied[:, :, int(index[2])] = True
    return occupied


def flat_scene(grid: VoxelGrid, ground_z_m: float) -> VoxelScene:
    """`flat_ground`, standing."""
    standing = np.zeros((*grid.shape, 2), np.float32)
    return VoxelScene(grid, flat_ground(grid, ground_z_m), standing)
