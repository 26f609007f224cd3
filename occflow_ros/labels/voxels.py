"""Classes and velocities of the voxels that points of static things and objects lie in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.geometry import se3
from occflow_ros.labels.ground import TOLERANCE_M, Ground
from occflow_ros.labels.sweeps import CLEARANCE_M
from occflow_ros.labels.tracks import Motion
from occflow_ros.structures import VoxelGrid

GROUND_CLASS = NAMES.index("driveable_surface")
STANDING_CLASS = NAMES.index("manmade")

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PlacedObject:
    """An annotated object at the time of a set.

    Args:
        base_T_box: (4, 4).
        size_lwh_m: length, width, height of its box.
        points_m: (N, 3) of its surface in base.
        class_id: of `occflow_ros.data.classes`.
        motion: of its box.
    """

    base_T_box: se3.Array
    size_lwh_m: tuple[float, float, float]
    points_m: se3.Array
    class_id: int
    motion: Motion


@dataclass(frozen=True, slots=True)
class Voxels:
    """What fills voxels.

    Args:
        semantics: (X, Y, Z) uint8, FREE where there is no point.
        velocity_mps: (X, Y, Z, 2) float32 over ground along ego x and y, NaN where unknown.
    """

    semantics: npt.NDArray[np.uint8]
    velocity_mps: npt.NDArray[np.float32]

    @property
    def occupied(self) -> Mask:
        """(X, Y, Z) bool."""
        return self.semantics != FREE

    @property
    def standing(self) -> Mask:
        """(X, Y, Z) bool, occupied by anything but the ground."""
        return self.occupied & (self.semantics != GROUND_CLASS)

    def fill_ground(self, where: Mask) -> None:
        """Make free voxels (X, Y, Z) ground."""
        self.semantics[where & ~self.occupied] = GROUND_CLASS


def fill_voxels(
    grid: VoxelGrid,
    static_m: se3.Array,
    ground: Ground,
    objects: Sequence[PlacedObject],
    standing_is_static: bool,
) -> Voxels:
    """Fill the voxels that points lie in; objects win over what stands, and that over the ground.

    The ground below an object lies half in its box, in voxels where tyres and feet are; it belongs
    to the object.

    Args:
        grid: of the voxels.
        static_m: (N, 3) points outside of all boxes, in base.
        ground: its height, which tells points of the ground from those of what stands on it.
        objects: annotated at this time.
        standing_is_static: what stands on the ground does not move, since all that does has a box;
            else its velocity is unknown.
    """
    semantics = np.full(grid.num_voxels, FREE, dtype=np.uint8)
    velocity_mps = np.zeros((grid.num_voxels, 2), dtype=np.float32)
    stands = static_m[:, 2] > ground.at(static_m) + TOLERANCE_M
    semantics[voxels_of(grid, static_m[~stands])] = GROUND_CLASS
    standing = voxels_of(grid, static_m[stands])
    semantics[standing] = STANDING_CLASS
    if not standing_is_static:
        velocity_mps[standing] = np.nan
    for placed in objects:
        inside = voxels_in_box(grid, placed, below_m=CLEARANCE_M)
        index = np.union1d(
            voxels_of(grid, placed.points_m), inside[semantics[inside] == GROUND_CLASS]
        )
        semantics[index] = placed.class_id
        velocity_mps[index] = _velocity_mps(grid, index, placed)
    return Voxels(semantics.reshape(grid.shape), velocity_mps.reshape(*grid.shape, 2))


def voxels_of(grid: VoxelGrid, points_m: se3.Array) -> Indices:
    """Row-major indices (M,) of the voxels that hold points (N, 3) of the grid."""
    index, inside = grid.index_of(torch.from_numpy(points_m))
    return np.unique(np.ravel_multi_index(tuple(index[inside].numpy().T), grid.shape))


def voxels_in_box(grid: VoxelGrid, placed: PlacedObject, below_m: float = 0.0) -> Indices:
    """Row-major indices (M,) of the voxels whose centres lie in a box, or so far below it."""
    half_m = 0.5 * np.array(placed.size_lwh_m)
    lowest_m = -half_m - (0.0, 0.0, below_m)
    radius_m = np.linalg.norm(lowest_m)
    ends_m = placed.base_T_box[:3, 3] + np.array([[-radius_m], [radius_m]])  # (2, 3)
    (x0, y0, z0), (x1, y1, z1) = grid.index_of(torch.from_numpy(ends_m))[0].tolist()
    x, y, z = np.mgrid[x0 : x1 + 1, y0 : y1 + 1, z0 : z1 + 1]
    index = np.ravel_multi_index((x.ravel(), y.ravel(), z.ravel()), grid.shape)
    centers_m = grid.centers_of(torch.from_numpy(index)).numpy()
    local_m = se3.transform_points(se3.inverse(placed.base_T_box), centers_m)
    chosen: Indices = index[((local_m >= lowest_m) & (local_m <= half_m)).all(axis=1)]
    return chosen


def inside_boxes(grid: VoxelGrid, objects: Sequence[PlacedObject]) -> Mask:
    """Voxels (X, Y, Z) whose centres lie in the box of an object."""
    mask = np.zeros(grid.shape, dtype=bool)
    for placed in objects:
        mask.flat[voxels_in_box(grid, placed)] = True
    return mask


def _velocity_mps(
    grid: VoxelGrid, index: npt.NDArray[np.int64], placed: PlacedObject
) -> npt.NDArray[np.float64]:
    """Rigid motion v + ω × r of an object at voxels (M,), as (M, 2)."""
    arm_m = grid.centers_of(torch.from_numpy(index)).numpy() - placed.base_T_box[:3, 3]  # (M, 3)
    rate = placed.motion.yaw_rate_rad_per_s
    turning_mps = rate * np.stack((-arm_m[:, 1], arm_m[:, 0]), axis=-1)
    velocity_mps: npt.NDArray[np.float64] = np.array(placed.motion.velocity_mps) + turning_mps
    return velocity_mps
