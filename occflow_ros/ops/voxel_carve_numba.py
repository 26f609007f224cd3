"""Walk along segments on a CPU, compiled by numba at the first call.

Importing this file imports numba; `ops.voxel_carve` does so where it calls it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from occflow_ros.ops.compiled import compiled
from occflow_ros.ops.voxel_raycast_numba import OPTIONS, face

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@njit(**OPTIONS)
def _step(slope: Any) -> Any:
    return int(slope > 0.0) - int(slope < 0.0)


@njit(**OPTIONS)
def _leaves(cell: Any, step: Any, count: Any) -> Any:
    """Whether a segment is beyond the grid along one axis and comes no nearer."""
    return (cell < 0 and step <= 0) or (cell >= count and step >= 0)


@njit(**OPTIONS)
def _carve_one(blocked: Any, start: Any, end: Any, crossed: Any) -> None:
    nx, ny, nz = blocked.shape
    x0, y0, z0 = start
    dx, dy, dz = end[0] - x0, end[1] - y0, end[2] - z0
    x, y, z = int(np.floor(x0)), int(np.floor(y0)), int(np.floor(z0))
    x1, y1, z1 = int(np.floor(end[0])), int(np.floor(end[1])), int(np.floor(end[2]))
    sx, sy, sz = _step(dx), _step(dy), _step(dz)
    at = 0.0
    while at < 1.0 and not (x == x1 and y == y1 and z == z1):
        if 0 <= x < nx and 0 <= y < ny and 0 <= z < nz:
            crossed[x, y, z] = True
            if blocked[x, y, z]:
                return
        elif _leaves(x, sx, nx) or _leaves(y, sy, ny) or _leaves(z, sz, nz):
            return
        face_x, face_y, face_z = face(x, x0, dx), face(y, y0, dy), face(z, z0, dz)
        at = min(face_x, face_y, face_z)
        up_first = (
            (face_x == at and sx > 0) or (face_y == at and sy > 0) or (face_z == at and sz > 0)
        )
        if face_x == at and (sx > 0) == up_first:
            x += sx
        if face_y == at and (sy > 0) == up_first:
            y += sy
        if face_z == at and (sz > 0) == up_first:
            z += sz


@compiled(**OPTIONS)
def carve(blocked: Mask, starts: Floats, ends: Floats, crossed: Mask) -> None:
    """Mark what segments cross; arguments as in `voxel_carve._with_numpy`."""
    for ray in range(len(starts)):
        start = starts[ray, 0], starts[ray, 1], starts[ray, 2]
        end = ends[ray, 0], ends[ray, 1], ends[ray, 2]
        _carve_one(blocked, start, end, crossed)
