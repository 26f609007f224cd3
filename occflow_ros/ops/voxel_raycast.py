"""First occupied voxel along rays through a dense grid, by exact voxel traversal."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import numpy as np
import numpy.typing as npt

from occflow_ros.structures import VoxelGrid

Backend = Literal["numba", "numpy"]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class RayHits:
    """Where rays meet the first occupied voxel.

    Args:
        distance_m: (R,) to where the ray enters it, 0 where the origin lies in it, inf where the
            ray meets none.
        index: (R,) its row-major index, −1 where the ray meets none.
    """

    distance_m: Floats
    index: Indices


def cast_rays(
    occupied: Mask,
    grid: VoxelGrid,
    origins_m: npt.ArrayLike,
    directions: npt.ArrayLike,
    backend: Backend = "numba",
) -> RayHits:
    """First occupied voxel along each ray.

    Walks from voxel to voxel as Amanatides and Woo do, in float64; the distance to each face is
    computed from the origin, so errors do not add up. A voxel contains its lower faces and not its
    upper ones, and is met where a point of the ray lies in it: through an edge or a corner a ray
    passes directly into the voxel across, unless the edge itself belongs to another one.

    Args:
        occupied: (X, Y, Z).
        grid: where the volume lies.
        origins_m: (R, 3), or (3,) for all rays, in the frame of the grid; may lie outside.
        directions: (R, 3) unit vectors; components may be zero.
        backend: the compiled kernel or its readable twin, which give the same numbers.

    Raises:
        ValueError: where the shapes do not belong together, or a ray is not finite or has no unit
            direction.
        ImportError: where numba is asked for and not installed.
    """
    directions = np.asarray(directions, dtype=np.float64)
    _check_directions(directions)
    if occupied.shape != grid.shape or occupied.dtype != np.bool_:
        raise ValueError(
            f"occupied: expected {grid.shape} bool, got {occupied.shape} {occupied.dtype}"
        )
    origins_m = np.asarray(origins_m, dtype=np.float64)
    if origins_m.shape not in ((3,), directions.shape) or not np.isfinite(origins_m).all():
        raise ValueError(
            f"origins_m: expected (3,) or {directions.shape} finite, got {origins_m.shape}"
        )
    size_m = np.array(grid.voxel_size_m)
    starts = np.broadcast_to((origins_m - np.array(grid.lower_m)) / size_m, directions.shape)
    cast = _kernels().cast if backend == "numba" else _with_numpy
    distance_m, index = cast(np.ascontiguousarray(occupied), starts, directions / size_m)
    return RayHits(distance_m, index)


def _check_directions(directions: Floats) -> None:
    if directions.ndim != 2 or directions.shape[1] != 3:
        raise ValueError(f"directions: expected (R, 3), got {directions.shape}")
    off = np.abs(np.linalg.norm(directions, axis=1) - 1.0)
    if not (off <= _UNIT_TOLERANCE).all():
        raise ValueError(f"directions: expected unit vectors, got lengths off by {off.max()}")


def _kernels() -> ModuleType:
    try:
        return importlib.import_module("occflow_ros.ops.voxel_raycast_numba")
    except ImportError as error:
        raise ImportError(
            "cast_rays: expected numba, got none: pip install numba, or ask for backend='numpy'"
        ) from error


def _with_numpy(occupied: Mask, starts: Floats, slopes: Floats) -> tuple[Floats, Indices]:
    """All rays one step at a time.

    Faces are ordered by (distance, whether the ray is in the voxel behind only after the face):
    upwards, the face itself belongs to the next voxel, downwards to the one that is left.

    Args:
        occupied: (X, Y, Z).
        starts: (R, 3) origins in voxels from the lower corner.
        slopes: (R, 3) voxels per metre along the ray.
    """
    count = len(starts)
    distance_m, index = np.full(count, np.inf), np.full(count, -1, dtype=np.int64)
    shape, down = np.array(occupied.shape), slopes < 0
    enter_m, enter_down, meets = _entry(shape, starts, slopes)
    with np.errstate(invalid="ignore"):
        position = starts + slopes * enter_m[:, None]
    cell = np.clip(np.floor(np.where(meets[:, None], position, 0.0)).astype(np.int64), 0, shape - 1)
    face_m = _next_face(cell, starts, slopes)
    behind = (face_m < enter_m[:, None]) | (
        (face_m == enter_m[:, None]) & (down <= enter_down[:, None])
    )
    cell += np.where(behind, np.sign(slopes), 0).astype(np.int64)
    rays, at_m = meets.nonzero()[0], enter_m
    while len(rays):
        x, y, z = cell[rays].T
        hit = occupied[x, y, z]
        distance_m[rays[hit]] = at_m[rays[hit]]
        index[rays[hit]] = np.ravel_multi_index(cell[rays[hit]].T, occupied.shape)
        rays = rays[~hit]
        face_m = _next_face(cell[rays], starts[rays], slopes[rays])
        at_m[rays] = face_m.min(axis=1, initial=np.inf)
        crossed = face_m == at_m[rays, None]
        up_first = crossed & ~down[rays]
        crossed = np.where(up_first.any(axis=1, keepdims=True), up_first, crossed)
        cell[rays] += np.where(crossed, np.sign(slopes[rays]), 0).astype(np.int64)
        rays = rays[((cell[rays] >= 0) & (cell[rays] < shape)).all(axis=1)]
    return distance_m, index


def _entry(shape: Indices, starts: Floats, slopes: Floats) -> tuple[Floats, Mask, Mask]:
    """Where rays enter the box of the grid, whether downwards, and whether they meet it, (R,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        near_m = (np.where(slopes < 0, shape, 0) - starts) / slopes  # (R, 3)
        far_m = (np.where(slopes < 0, 0, shape) - starts) / slopes
    still, between = slopes == 0, (starts >= 0) & (starts < shape)
    near_m = np.where(still, np.where(between, -np.inf, np.inf), near_m)
    far_m = np.where(still, np.inf, far_m)
    enter_m = np.maximum(near_m.max(axis=1, initial=-np.inf), 0.0)
    leave_m = far_m.min(axis=1, initial=np.inf)
    down = slopes < 0
    enter_down = ((near_m == enter_m[:, None]) & down).any(axis=1)
    leave_down = ~((far_m == leave_m[:, None]) & ~down).any(axis=1)
    meets = (enter_m < leave_m) | ((enter_m == leave_m) & (enter_down < leave_down))
    return enter_m, enter_down, meets


def _next_face(cell: Indices, starts: Floats, slopes: Floats) -> Floats:
    """Distance (R, 3) to the face through which rays leave a cell along each axis."""
    with np.errstate(divide="ignore", invalid="ignore"):
        face_m = (cell + (slopes > 0) - starts) / slopes
    return np.where(slopes == 0, np.inf, face_m)
