"""What stands at the ends of rays, and where rays end by the convention of published rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE
from occflow_ros.metrics.ray_iou import Floats
from occflow_ros.metrics.ray_metrics import RayEnds
from occflow_ros.ops.voxel_raycast import RayHits
from occflow_ros.structures import VoxelGrid


def ray_ends(
    hits: RayHits, classes: npt.NDArray[np.integer] | None, velocity_mps: npt.NDArray[np.float32]
) -> RayEnds:
    """The ends of rays that were cast through a volume.

    Args:
        hits: of R rays.
        classes: (X, Y, Z) of the volume, None where it has none.
        velocity_mps: (X, Y, Z, 2) of the volume.
    """
    return RayEnds(
        distance_m=hits.distance_m,
        classes=None if classes is None else at_hits(classes, hits, FREE),
        velocity_mps=at_hits(velocity_mps, hits, 0.0),
    )


def at_hits(volume: npt.NDArray, hits: RayHits, elsewhere: float) -> npt.NDArray:
    """Values (R, ...) of a volume (X, Y, Z, ...) at the voxels hit, `elsewhere` without a hit."""
    values = volume.reshape(-1, *volume.shape[3:])[hits.index]  # (R, ...)
    values[hits.index < 0] = elsewhere
    return values


def leaving_m(hits: RayHits, grid: VoxelGrid, origins_m: Floats, directions: Floats) -> Floats:
    """Where rays end in the public code of SparseOcc, OpenOcc and Let Occ Flow.

    That is where a ray leaves the voxel it hits, and where it leaves the grid if it hits none. To
    score as that code does, replace the distance of both ends, that of the truth only where it hits
    something.

    Args:
        hits: of R rays.
        grid: through which they were cast.
        origins_m: as `cast_rays` takes them.
        directions: as `cast_rays` takes them.

    Returns:
        (R,) of a ray that does not meet the grid at all, no distance of use.
    """
    hit, ahead = hits.index >= 0, directions > 0
    voxel = np.stack(np.unravel_index(np.where(hit, hits.index, 0), grid.shape), axis=-1)
    voxel = voxel.reshape(*np.broadcast_shapes(origins_m.shape, directions.shape))  # (..., D, 3)
    border = np.where(ahead, grid.shape, 0)
    face = np.where(hit.reshape(*voxel.shape[:-1], 1), voxel + ahead, border)
    face_m = np.array(grid.lower_m) + face * np.array(grid.voxel_size_m)
    with np.errstate(divide="ignore", invalid="ignore"):
        along_m = np.where(directions == 0, np.inf, (face_m - origins_m) / directions)
    leaves_m: Floats = along_m.min(axis=-1).reshape(-1)  # (R,)
    return leaves_m
