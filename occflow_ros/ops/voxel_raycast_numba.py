"""Voxel traversal on a CPU, compiled by numba at the first call.

Importing this file imports numba; `ops.voxel_raycast` does so where it calls it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit

from occflow_ros.ops.compiled import compiled
from occflow_ros.ops.torch_threads import share

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_OPTIONS = {"nogil": True, "error_model": "numpy"}  # exact: no reordering, no fused operations
_TILES_PER_THREAD = 4


def cast(occupied: npt.NDArray[np.bool_], starts: Floats, slopes: Floats) -> tuple[Floats, Indices]:
    """Distance and index of the first occupied voxel, as `voxel_raycast._with_numpy` has them."""
    rays = len(starts)
    distance_m, index = np.empty(rays), np.empty(rays, dtype=np.int64)
    starts, slopes = np.ascontiguousarray(starts), np.ascontiguousarray(slopes)
    tiles = min(rays, _TILES_PER_THREAD * torch.get_num_threads())

    def work(tile: int) -> None:
        part = rays * tile // tiles, rays * (tile + 1) // tiles
        _cast_part(occupied, starts, slopes, distance_m, index, part)

    share(work, tiles)
    return distance_m, index


@njit(**_OPTIONS)
def _slab(start: Any, slope: Any, count: Any) -> Any:
    """Events (distance, downwards) at which a ray enters and leaves 0 ≤ x < count."""
    if slope > 0.0:
        return (-start / slope, False), ((count - start) / slope, False)
    if slope < 0.0:
        return ((count - start) / slope, True), (-start / slope, True)
    inside = start >= 0.0 and start < count
    return (-np.inf if inside else np.inf, False), (np.inf, False)


@njit(**_OPTIONS)
def _before(a: Any, b: Any) -> Any:
    return a[0] < b[0] or (a[0] == b[0] and a[1] < b[1])


@njit(**_OPTIONS)
def _face(cell: Any, start: Any, slope: Any) -> Any:
    """Distance to the face through which a ray leaves a cell along one axis."""
    if slope > 0.0:
        return (cell + 1 - start) / slope
    return (cell - start) / slope if slope < 0.0 else np.inf


@njit(**_OPTIONS)
def _first_cell(start: Any, slope: Any, count: Any, enter: Any) -> Any:
    """Cell along one axis in which a ray is at an event; past a face that it crosses there."""
    cell = min(max(int(np.floor(start + slope * enter[0])), 0), count - 1)
    if not _before(enter, (_face(cell, start, slope), slope < 0.0)):
        cell += 1 if slope > 0.0 else -1
    return cell


@njit(**_OPTIONS)
def _cast_one(occupied: Any, starts: Any, slopes: Any) -> Any:
    """Distance and row-major index for one ray."""
    nothing = np.inf, -1
    nx, ny, nz = occupied.shape
    x0, y0, z0 = starts
    dx, dy, dz = slopes
    enter, leave = (0.0, False), (np.inf, True)
    for start, slope, count in ((x0, dx, nx), (y0, dy, ny), (z0, dz, nz)):
        near, far = _slab(start, slope, count)
        enter = near if _before(enter, near) else enter
        leave = far if _before(far, leave) else leave
    if not _before(enter, leave):
        return nothing
    x = _first_cell(x0, dx, nx, enter)
    y = _first_cell(y0, dy, ny, enter)
    z = _first_cell(z0, dz, nz, enter)
    face_x, face_y, face_z = _face(x, x0, dx), _face(y, y0, dy), _face(z, z0, dz)
    at_m = enter[0]
    while not occupied[x, y, z]:
        at_m = min(face_x, face_y, face_z)
        up_first = (
            (face_x == at_m and dx > 0.0)
            or (face_y == at_m and dy > 0.0)
            or (face_z == at_m and dz > 0.0)
        )
        if face_x == at_m and (dx > 0.0) == up_first:
            x += 1 if up_first else -1
            face_x = _face(x, x0, dx)
        if face_y == at_m and (dy > 0.0) == up_first:
            y += 1 if up_first else -1
            face_y = _face(y, y0, dy)
        if face_z == at_m and (dz > 0.0) == up_first:
            z += 1 if up_first else -1
            face_z = _face(z, z0, dz)
        if not (0 <= x < nx and 0 <= y < ny and 0 <= z < nz):
            return nothing
    return at_m, (x * ny + y) * nz + z


@compiled(**_OPTIONS)
def _cast_part(
    occupied: Any, starts: Floats, slopes: Floats, distance_m: Floats, index: Indices, part: Any
) -> None:
    """A range of the rays; shapes as in `voxel_raycast._with_numpy`, outputs (R,)."""
    for ray in range(*part):
        start = starts[ray, 0], starts[ray, 1], starts[ray, 2]
        slope = slopes[ray, 0], slopes[ray, 1], slopes[ray, 2]
        distance_m[ray], index[ray] = _cast_one(occupied, start, slope)
