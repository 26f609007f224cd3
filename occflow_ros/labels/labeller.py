"""Labels of one camera set: the stages in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from occflow_ros.data.drive import CameraSet, Drive, OccupancyTruth
from occflow_ros.geometry import se3
from occflow_ros.labels.categories import class_of
from occflow_ros.labels.ground import CELL_M, estimate_ground
from occflow_ros.labels.objects import Objects
from occflow_ros.labels.options import LabelOptions
from occflow_ros.labels.sweeps import Rays, rays_of, read_sweep
from occflow_ros.labels.tracks import Tracks, motion_of
from occflow_ros.labels.visibility import crossed_by_rays, layers_above_ground, seen_by_cameras
from occflow_ros.labels.voxels import PlacedObject, fill_voxels, inside_boxes

_NS = 1e-9

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Label:
    """Labels of one set.

    Args:
        truth: occupancy and velocity; its `observed` is what LiDAR knows and a camera sees.
        known: (X, Y, Z) voxels that LiDAR has hit or passed through.
    """

    truth: OccupancyTruth
    known: Mask


class Labeller:
    """Makes the labels of any set of a drive; several threads may share one.

    Args:
        drive: with LiDAR.
        tracks: its annotations.
        objects: points of its objects.
        options: how.
    """

    def __init__(
        self, drive: Drive, tracks: Tracks, objects: Objects, options: LabelOptions
    ) -> None:
        self._drive = drive
        self._tracks = tracks
        self._objects = objects
        self._options = options
        self._rays = lru_cache(maxsize=2 * options.max_sweeps)(self._read_rays)

    def label(self, camera_set: CameraSet) -> Label:
        """Labels of one set; raises DataError where a sweep cannot be read."""
        grid, base_T_odom = self._options.grid, se3.inverse(camera_set.odom_T_base)
        sweeps = [self._rays(number) for number in self.sweeps_around(camera_set)]
        objects = self._place_objects(camera_set)
        static_m = _static_points(sweeps, base_T_odom, self._options)
        ground = estimate_ground(static_m, grid)
        voxels = fill_voxels(grid, static_m, ground, objects, camera_set.boxes is not None)
        crossed = crossed_by_rays(grid, base_T_odom, sweeps) & ~inside_boxes(grid, objects)
        above = layers_above_ground(grid, ground)
        voxels.fill_ground(crossed & (above == 0))
        known = voxels.occupied | crossed
        blocked = voxels.standing | (above < 0)
        seen = seen_by_cameras(grid, blocked, self._drive, camera_set)
        truth = OccupancyTruth(
            voxels.semantics, voxels.velocity_mps, known & seen, grid.lower_m, grid.upper_m
        )
        return Label(truth, known)

    def sweeps_around(self, camera_set: CameraSet) -> list[int]:
        """Numbers of the sets whose sweeps count, see `LabelOptions`."""
        near = [
            number
            for number, other in enumerate(self._drive.sets)
            if other.lidar is not None and self._is_near(other, camera_set)
        ]
        every = -(-len(near) // self._options.max_sweeps)
        return [n for n in near if n % every == 0 or self._drive.sets[n] is camera_set]

    def _is_near(self, other: CameraSet, camera_set: CameraSet) -> bool:
        apart_s = _NS * abs(other.stamp_ns - camera_set.stamp_ns)
        apart_m = np.linalg.norm((other.odom_T_base - camera_set.odom_T_base)[:3, 3])
        return apart_s <= self._options.window_s and bool(apart_m <= self._options.reach_m)

    def _read_rays(self, number: int) -> Rays:
        sweep = read_sweep(self._drive, self._drive.sets[number], self._tracks, self._options)
        return rays_of(sweep, self._options.cell_m)

    def _place_objects(self, camera_set: CameraSet) -> list[PlacedObject]:
        """The annotated objects, the farthest first, so that of two in a voxel the nearer wins."""
        boxes = sorted(
            camera_set.boxes or (), key=lambda box: -np.linalg.norm(box.base_T_box[:3, 3])
        )
        return [
            PlacedObject(
                base_T_box=box.base_T_box,
                size_lwh_m=box.size_lwh_m,
                points_m=se3.transform_points(
                    box.base_T_box, self._objects.get(box.id, np.zeros((0, 3)))
                ),
                class_id=class_of(box.category),
                motion=motion_of(self._tracks, box, camera_set.stamp_ns, camera_set.odom_T_base),
            )
            for box in boxes
        ]


def _static_points(
    sweeps: Sequence[Rays], base_T_odom: se3.Array, options: LabelOptions
) -> se3.Array:
    """Static points (N, 3) in base on the grid, and within a cell of the ground around it."""
    lower_m, upper_m = (np.array(corner) for corner in (options.grid.lower_m, options.grid.upper_m))
    parts = [np.zeros((0, 3))]
    for rays in sweeps:
        points_m = se3.transform_points(base_T_odom, rays.static_m)
        around = (points_m >= lower_m - CELL_M) & (points_m < upper_m + CELL_M)
        parts.append(points_m[around.all(axis=1)])
    return np.concatenate(parts)
