"""Voxel traversal on a CPU, compiled by numba at the first call.

Importing this file imports numba; `ops.voxel_raycast` does so where it calls it.
`voxel_raycast_cupy` holds the same in CUDA.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit

from occflow_ros.ops.compiled import compiled
from occflow_ros.ops.packed_voxels import Mask, PackedVoxels, as_bytes
from occflow_ros.ops.torch_threads import share

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

OPTIONS = {"nogil": True, "error_model": "numpy"}  # exact: no reordering, no fused operations
_TILES_PER_THREAD = 4


def cast(
    occupied: Mask | PackedVoxels, starts: Floats, slopes: Floats, rays: int
) -> tuple[Floats, Indices]:
    """Distance and index of the first occupied voxel, as `voxel_raycast._with_numpy` has them."""
    distance_m, index = np.empty(rays), np.empty(rays, dtype=np.int64)
    tiles = min(rays, _TILES_PER_THREAD * torch.get_num_threads())
    voxels, shift = as_bytes(occupied)
    inputs, outputs = (voxels, shift, occupied.shape, starts, slopes), (distance_m, index)

    def work(tile: int) -> None:
        _cast_part(inputs, outputs, (rays * tile // tiles, rays * (tile + 1) // tiles))

    share(work, tiles)
    return distance_m, index


@njit(**OPTIONS)
def _slab(start: Any, slope: Any, count: Any) -> Any:
    """Events (distance, downwards) at which a ray enters and leaves 0 ≤ x < count."""
    if slope > 0.0:
        return (-start / slope, False), ((count - start) / slope, False)
    if slope < 0.0:
        return ((count - start) / slope, True), (-start / slope, True)
    inside = start >= 0.0 and start < count
    return (-np.inf if inside else np.inf, False), (np.inf, False)


@njit(**OPTIONS)
def _before(a: Any, b: Any) -> Any:
    return a[0] < b[0] or (a[0] == b[0] and a[1] < b[1])


@njit(**OPTIONS)
def face(cell: Any, start: Any, slope: Any) -> Any:
    """Distance to the face through which a ray leaves a cell along one axis."""
    if slope > 0.0:
        return (cell + 1 - start) / slope
    return (cell - start) / slope if slope < 0.0 else np.inf


@njit(**OPTIONS)
def _first_cell(start: Any, slope: Any, count: Any, enter: Any) -> Any:
    """Cell along one axis in which a ray is at an event; past a face that it crosses there."""
    cell = min(max(int(np.floor(start + slope * enter[0])), 0), count - 1)
    if not _before(enter, (face(cell, start, slope), slope < 0.0)):
        cell += 1 if slope > 0.0 else -1
    return cell


@njit(**OPTIONS)
def _way(cell: Any, start: Any, slope: Any, count: Any) -> Any:
    """Step along one axis, the cell outside at its end, and the distances to the next two faces."""
    step, end = (1, count) if slope > 0.0 else (-1, -1)
    return step, end, face(cell, start, slope), face(cell + step, start, slope)


@njit(**OPTIONS)
def _cast_one(voxels: Any, shift: Any, shape: Any, starts: Any, slopes: Any) -> Any:
    """Distance and row-major index for one ray.

    Along each axis the face after the next one is computed ahead, so that no step waits for its
    division. Nearly all steps cross one face alone; the last branch has the others.
    """
    nothing = np.inf, -1
    nx, ny, nz = shape
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
    step_x, end_x, face_x, next_x = _way(x, x0, dx, nx)
    step_y, end_y, face_y, next_y = _way(y, y0, dy, ny)
    step_z, end_z, face_z, next_z = _way(z, z0, dz, nz)
    stride_x, stride_y = step_x * ny * nz, step_y * nz
    at_m, index = enter[0], (x * ny + y) * nz + z
    while not (voxels[index >> shift] >> (index & ((1 << shift) - 1))) & 1:
        if face_x < face_y and face_x < face_z:
            at_m, x, index = face_x, x + step_x, index + stride_x
            if x == end_x:
                return nothing
            face_x, next_x = next_x, face(x + step_x, x0, dx)
        elif face_y < face_x and face_y < face_z:
            at_m, y, index = face_y, y + step_y, index + stride_y
            if y == end_y:
                return nothing
            face_y, next_y = next_y, face(y + step_y, y0, dy)
        elif face_z < face_x and face_z < face_y:
            at_m, z, index = face_z, z + step_z, index + step_z
            if z == end_z:
                return nothing
            face_z, next_z = next_z, face(z + step_z, z0, dz)
        else:
            at_m = min(face_x, face_y, face_z)
            up_first = (
                (face_x == at_m and dx > 0.0)
                or (face_y == at_m and dy > 0.0)
                or (face_z == at_m and dz > 0.0)
            )
            if face_x == at_m and (dx > 0.0) == up_first:
                x += step_x
                face_x, next_x = next_x, face(x + step_x, x0, dx)
            if face_y == at_m and (dy > 0.0) == up_first:
                y += step_y
                face_y, next_y = next_y, face(y + step_y, y0, dy)
            if face_z == at_m and (dz > 0.0) == up_first:
                z += step_z
                face_z, next_z = next_z, face(z + step_z, z0, dz)
            if x == end_x or y == end_y or z == end_z:
                return nothing
            index = (x * ny + y) * nz + z
    return at_m, index


@compiled(**OPTIONS)
def _cast_part(inputs: Any, outputs: Any, part: Any) -> None:
    """A range of the rays; arguments as in `cast`, outputs (R,)."""
    voxels, shift, shape, starts, slopes = inputs
    distance_m, index = outputs
    rays_per_start = len(index) // len(starts)
    for ray in range(*part):
        s, d = ray // rays_per_start, ray % len(slopes)
        start = starts[s, 0], starts[s, 1], starts[s, 2]
        slope = slopes[d, 0], slopes[d, 1], slopes[d, 2]
        distance_m[ray], index[ray] = _cast_one(voxels, shift, shape, start, slope)
