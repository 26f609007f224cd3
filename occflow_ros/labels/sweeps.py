"""LiDAR sweeps in the fixed frame, their points told apart by the boxes of their time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.data.sensors import read_lidar
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3
from occflow_ros.labels.options import LabelOptions
from occflow_ros.labels.tracks import Knot, Tracks, boxes_at

CLEARANCE_M = 0.1
"""Points lower above the underside of a box may be of the ground, and are of neither."""

_BITS = 21  # of a cell's number along each axis

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep in the fixed frame.

    Args:
        origin_m: (3,) of the LiDAR.
        points_m: (N, 3) its returns.
        objects: by track, its box and which of the points (N,) are of it.
        is_static: (N,) outside of all boxes.
    """

    origin_m: se3.Array
    points_m: se3.Array
    objects: Mapping[str, tuple[Knot, Mask]]
    is_static: Mask


@dataclass(frozen=True, slots=True)
class Rays:
    """What a sweep says of the static world, thinned, in the fixed frame.

    Args:
        origin_m: (3,) of the LiDAR.
        static_m: (S, 3) returns outside of all boxes.
        other_m: (M, 3) the other returns, up to which the way is free too.
    """

    origin_m: se3.Array
    static_m: se3.Array
    other_m: se3.Array


def read_sweep(drive: Drive, camera_set: CameraSet, tracks: Tracks, options: LabelOptions) -> Sweep:
    """The sweep of a set that has one; raises DataError where it cannot be read."""
    if drive.base_T_lidar is None or camera_set.lidar is None:
        raise DataError(f"{drive.name}: expected a LiDAR sweep at {camera_set.stamp_ns} ns")
    points_m = read_lidar(camera_set.lidar.path).astype(np.float64)
    points_m = points_m[np.hypot(points_m[:, 0], points_m[:, 1]) >= options.min_range_m]
    odom_T_lidar = camera_set.lidar.odom_T_base @ drive.base_T_lidar
    points_m = se3.transform_points(odom_T_lidar, points_m)
    boxes = boxes_at(tracks, camera_set.lidar.stamp_ns)
    return split(odom_T_lidar[:3, 3], points_m, boxes, options.box_margin_m)


def split(
    origin_m: se3.Array, points_m: se3.Array, boxes: Mapping[str, Knot], margin_m: float
) -> Sweep:
    """Tell points (N, 3) of the fixed frame apart by boxes; in two at once, the first has them."""
    is_static = np.ones(len(points_m), dtype=bool)
    objects = {}
    for track, knot in boxes.items():
        half_m = 0.5 * np.array(knot.size_lwh_m)
        apart_m = np.abs(points_m - knot.odom_T_box[:3, 3])
        is_near: Mask = np.logical_and.reduce(apart_m <= np.linalg.norm(half_m + margin_m), axis=1)
        near = is_near.nonzero()[0]
        local_m = se3.transform_points(se3.inverse(knot.odom_T_box), points_m[near])  # (P, 3)
        sides = (np.abs(local_m[:, :2]) <= half_m[:2] + margin_m).all(axis=1)
        inside = sides & (np.abs(local_m[:, 2]) <= half_m[2] + margin_m)
        of_object = inside & is_static[near] & (local_m[:, 2] >= CLEARANCE_M - half_m[2])
        mask = np.zeros(len(points_m), dtype=bool)
        mask[near[of_object]] = True
        objects[track] = knot, mask
        is_static[near[inside]] = False
    return Sweep(origin_m, points_m, objects, is_static)


def rays_of(sweep: Sweep, cell_m: float) -> Rays:
    """One ray for all returns of a sweep that end in the same cell."""
    static_m, other_m = sweep.points_m[sweep.is_static], sweep.points_m[~sweep.is_static]
    return Rays(sweep.origin_m, thin(static_m, cell_m), thin(other_m, cell_m))


def thin(points_m: se3.Array, cell_m: float) -> se3.Array:
    """The first point (M, 3) in each cell out of points (N, 3), in their order."""
    cell = np.floor(points_m / cell_m).astype(np.int64) & ((1 << _BITS) - 1)
    key = cell[:, 0] << 2 * _BITS | cell[:, 1] << _BITS | cell[:, 2]
    return points_m[np.sort(np.unique(key, return_index=True)[1])]
