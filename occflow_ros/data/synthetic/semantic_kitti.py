"""The world as SemanticKITTI has it: a stereo pair under a LiDAR of 64 beams, and true voxels.

Voxels are those of the LiDAR's frame. Each holds what fills it at the time of its frame, moving
things at their place there; real labels add up sweeps and so show moving things as traces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from occflow_ros.data import semantic_kitti
from occflow_ros.data.classes import FREE
from occflow_ros.data.drive import Drive, OccupancyTruth
from occflow_ros.data.kitti_odometry import VALIDATION
from occflow_ros.data.synthetic.occupancy import occupancy_truth
from occflow_ros.data.synthetic.rig import Rig
from occflow_ros.data.synthetic.world import World
from occflow_ros.geometry import se3
from occflow_ros.ops.voxel_carve import carve
from occflow_ros.structures import VoxelGrid

SEQUENCE = VALIDATION[0]
MAX_VIEWS = 3
RAYS_PER_VOXEL = 2

Mask = npt.NDArray[np.bool_]


def in_lidar_frame(header: Drive) -> Drive:
    """The drive with its LiDAR's frame as the base, named as the sequence of the validation."""
    if header.base_T_lidar is None:
        raise ValueError("base_T_lidar: expected a LiDAR, got none")
    lidar_T_base = se3.inverse(header.base_T_lidar)
    return replace(
        header,
        name=SEQUENCE,
        cameras={
            name: replace(camera, base_T_camera=lidar_T_base @ camera.base_T_camera)
            for name, camera in header.cameras.items()
        },
        base_T_lidar=np.eye(4),
    )


def voxel_truth(
    world: World, time_s: float, rig: Rig, view_times_s: Sequence[float]
) -> tuple[OccupancyTruth, Mask]:
    """True voxels on SemanticKITTI's grid in the LiDAR's frame, and which the LiDAR can see.

    The first say of no voxel that a camera observes it: the data set has no mask of cameras.

    The second are those in line of sight of the LiDAR at this time or at one of others, up to
    `MAX_VIEWS` in all; the benchmark calls the rest invalid.

    Args:
        world: what is true.
        time_s: of the frame.
        rig: whose LiDAR is mounted without rotation.
        view_times_s: when the LiDAR looked, those from where it stands in the grid count.

    Raises:
        ValueError: where the LiDAR is rotated against the base.
    """
    if not np.allclose(rig.base_T_lidar[:3, :3], np.eye(3)):
        raise ValueError("base_T_lidar: expected no rotation")
    grid = semantic_kitti.GRID
    in_base = occupancy_truth(world, time_s, _moved(grid, rig.base_T_lidar[:3, 3]), [])
    truth = replace(in_base, lower_m=grid.lower_m, upper_m=grid.upper_m)
    lidar_T_odom = se3.inverse(world.odom_T_base(time_s) @ rig.base_T_lidar)
    views = [
        (lidar_T_odom @ world.odom_T_base(view_s) @ rig.base_T_lidar)[:3, 3]
        for view_s in view_times_s
    ]
    origins_m = np.array([np.zeros(3), *_spread(_inside(views, grid), MAX_VIEWS - 1)])
    return truth, in_line_of_sight(truth.semantics != FREE, grid, origins_m)


def in_line_of_sight(occupied: Mask, grid: VoxelGrid, origins_m: se3.Array) -> Mask:
    """Voxels (X, Y, Z) that a ray from one of the origins crosses, and surfaces beside them.

    Rays go to points all over the surface of the box, `RAYS_PER_VOXEL` along the edge of a voxel.
    An occupied voxel is seen where a free one at its faces is: a ray that meets the road at a
    grazing angle would not come past the first voxels of the road.

    Args:
        occupied: (X, Y, Z) what stops rays.
        grid: where the voxels lie.
        origins_m: (O, 3) in the frame of the grid.
    """
    ends_m = _surface_m(grid)
    seen = np.zeros(grid.shape, bool)
    for origin_m in origins_m:
        seen |= carve(occupied, grid, origin_m, ends_m)
    return seen | (occupied & _beside(seen & ~occupied))


def _beside(voxels: Mask) -> Mask:
    """Voxels (X, Y, Z) that share a face with one of these."""
    beside = np.zeros_like(voxels)
    for axis in range(3):
        into, source = (np.swapaxes(mask, 0, axis) for mask in (beside, voxels))  # views
        into[1:] |= source[:-1]
        into[:-1] |= source[1:]
    return beside


def _surface_m(grid: VoxelGrid) -> se3.Array:
    """Points (R, 3) on all six faces of the box, half a voxel outside."""
    lower, upper, size = (np.array(v) for v in (grid.lower_m, grid.upper_m, grid.voxel_size_m))
    counts = RAYS_PER_VOXEL * np.array(grid.shape)
    inner = [
        lower[axis] + (np.arange(counts[axis]) + 0.5) * size[axis] / RAYS_PER_VOXEL
        for axis in range(3)
    ]
    faces = []
    for axis in range(3):
        outer = np.array((lower[axis] - 0.5 * size[axis], upper[axis] + 0.5 * size[axis]))
        axes = [outer if other == axis else inner[other] for other in range(3)]
        faces.append(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))  # (F, 3)
    return np.concatenate(faces)


def _moved(grid: VoxelGrid, offset_m: se3.Array) -> VoxelGrid:
    lower, upper = np.array(grid.lower_m) + offset_m, np.array(grid.upper_m) + offset_m
    x, y, z = lower.tolist()
    end_x, end_y, end_z = upper.tolist()
    return VoxelGrid((x, y, z), (end_x, end_y, end_z), grid.shape)


def _inside(points_m: Sequence[se3.Array], grid: VoxelGrid) -> list[se3.Array]:
    """Points in the box, the first voxels along x left out: there the frame itself looks from."""
    x, y, z = grid.lower_m
    lower = np.array((x + grid.voxel_size_m[0], y, z))
    return [point for point in points_m if ((point > lower) & (point < grid.upper_m)).all()]


def _spread(points_m: list[se3.Array], count: int) -> list[se3.Array]:
    """At most `count` of them, evenly spread and with the last one."""
    chosen = np.linspace(0, len(points_m) - 1, count + 1).round().astype(int)[1:]
    return [points_m[index] for index in sorted(set(chosen.tolist()))] if points_m else []
