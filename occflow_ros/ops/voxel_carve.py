"""All voxels that segments cross, by exact voxel traversal."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Literal

import numpy as np
import numpy.typing as npt

from occflow_ros.structures import VoxelGrid

Backend = Literal["numba", "numpy"]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def carve(
    blocked: Mask,
    grid: VoxelGrid,
    origins_m: npt.ArrayLike,
    ends_m: npt.ArrayLike,
    backend: Backend = "numba",
) -> Mask:
    """Voxels that segments cross before the one in which they end.

    A segment that comes to a blocked voxel goes no further; that voxel counts as crossed. What a
    ray of a LiDAR proves free is what it crosses up to its return with nothing blocked; what a
    camera sees is what its rays cross, blocked by what is occupied.

    Walks as `ops.voxel_raycast` does (Amanatides and Woo, 1987): a voxel contains its lower faces
    and not its upper ones, and is crossed where a point of the segment lies in it.

    Args:
        blocked: (X, Y, Z).
        grid: where the volume lies.
        origins_m: (R, 3), or (3,) for all segments, in the frame of the grid; may lie outside.
        ends_m: (R, 3) the same; may lie outside.
        backend: the compiled kernel or its readable twin, which give the same voxels.

    Returns:
        (X, Y, Z) crossed by one segment at least.

    Raises:
        ValueError: where the shapes do not belong together or a point is not finite.
        ImportError: where numba is asked for and not installed.
    """
    if blocked.shape != grid.shape or blocked.dtype != np.bool_:
        raise ValueError(
            f"blocked: expected {grid.shape} bool, got {blocked.shape} {blocked.dtype}"
        )
    ends_m, origins_m = (np.asarray(points, dtype=np.float64) for points in (ends_m, origins_m))
    if ends_m.ndim != 2 or ends_m.shape[1] != 3 or not np.isfinite(ends_m).all():
        raise ValueError(f"ends_m: expected (R, 3) finite, got {ends_m.shape}")
    if origins_m.shape not in ((3,), ends_m.shape) or not np.isfinite(origins_m).all():
        raise ValueError(
            f"origins_m: expected (3,) or {ends_m.shape} finite, got {origins_m.shape}"
        )
    lower_m, size_m = np.array(grid.lower_m), np.array(grid.voxel_size_m)
    ends = np.ascontiguousarray((ends_m - lower_m) / size_m)
    starts = np.ascontiguousarray(np.broadcast_to((origins_m - lower_m) / size_m, ends.shape))
    crossed = np.zeros(grid.shape, dtype=bool)
    walk = _kernels().carve if backend == "numba" else _with_numpy
    walk(np.ascontiguousarray(blocked), starts, ends, crossed)
    return crossed


def _kernels() -> ModuleType:
    try:
        return importlib.import_module("occflow_ros.ops.voxel_carve_numba")
    except ImportError as error:
        raise ImportError(
            "carve: expected numba, got none: pip install numba, or ask for backend='numpy'"
        ) from error


def _with_numpy(blocked: Mask, starts: Floats, ends: Floats, crossed: Mask) -> None:
    """All segments one step at a time; a face at the same place is crossed upwards first.

    Args:
        blocked: (X, Y, Z).
        starts: (R, 3) in voxels from the lower corner.
        ends: (R, 3) the same.
        crossed: (X, Y, Z), written in place.
    """
    shape = np.array(blocked.shape)
    cell, last, slopes = _cell(starts), _cell(ends), ends - starts
    step = np.sign(slopes).astype(np.int64)
    going = (cell != last).any(axis=1)
    while going.any():
        starts, slopes, cell, last, step = (
            values[going] for values in (starts, slopes, cell, last, step)
        )
        inside = ((cell >= 0) & (cell < shape)).all(axis=1)
        x, y, z = cell[inside].T
        crossed[x, y, z] = True
        stopped = np.zeros(len(cell), dtype=bool)
        stopped[inside] = blocked[x, y, z]
        gone = (((cell < 0) & (step <= 0)) | ((cell >= shape) & (step >= 0))).any(axis=1)
        at, face = _next_face(cell, starts, slopes, step)
        upwards = face & (step > 0)
        face = np.where(upwards.any(axis=1, keepdims=True), upwards, face)
        cell += np.where(face, step, 0)
        going = ~stopped & ~gone & (at < 1.0) & (cell != last).any(axis=1)


def _cell(position: Floats) -> Indices:
    return np.floor(position).astype(np.int64)


def _next_face(cell: Indices, starts: Floats, slopes: Floats, step: Indices) -> tuple[Floats, Mask]:
    """Share (R,) of each segment at which it leaves its cell, and along which axes (R, 3)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        face_at = (cell + (step > 0) - starts) / slopes
    face_at = np.where(step == 0, np.inf, face_at)
    at = face_at.min(axis=1, initial=np.inf)
    return at, face_at == at[:, None]
