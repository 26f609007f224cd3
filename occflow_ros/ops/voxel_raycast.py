"""First occupied voxel along rays through a volume, by exact voxel traversal."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from occflow_ros.ops.packed_voxels import Mask, PackedVoxels
from occflow_ros.structures import VoxelGrid

Backend = Literal["numba", "numpy", "cupy"]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_INSTALL = {"numba": "numba", "cupy": "'occflow_ros[cupy]'"}
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
    occupied: Mask | PackedVoxels,
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
        occupied: (X, Y, Z) bool, or the same packed.
        grid: where the volume lies.
        origins_m: in the frame of the grid, where they may lie outside: (D, 3), one per direction;
            (3,) for all of them; or (O, 1, 3), each of which takes all directions, so that there
            are R = O · D rays, one origin after the other.
        directions: (D, 3) unit vectors; components may be zero.
        backend: the compiled kernel on a CPU, its readable twin, or the kernel on a CUDA GPU; all
            give the same numbers.

    Raises:
        ValueError: where the shapes do not belong together, or a ray is not finite or has no unit
            direction.
        ImportError: where numba or CuPy is asked for and not installed.
    """
    directions = np.asarray(directions, dtype=np.float64)
    _check_directions(directions)
    _check_volume(occupied, grid)
    origins_m = np.asarray(origins_m, dtype=np.float64)
    _check_origins(origins_m, directions)
    size_m = np.array(grid.voxel_size_m)
    starts = ((origins_m - np.array(grid.lower_m)) / size_m).reshape(-1, 3)
    rays = len(directions) * (len(starts) if origins_m.ndim == 3 else 1)
    if rays == 0:
        return RayHits(np.empty(0), np.empty(0, dtype=np.int64))
    cast = _with_numpy if backend == "numpy" else _kernel(backend)
    starts, slopes = np.ascontiguousarray(starts), np.ascontiguousarray(directions / size_m)
    return RayHits(*cast(occupied, starts, slopes, rays))


def _check_volume(occupied: Mask | PackedVoxels, grid: VoxelGrid) -> None:
    kind = np.dtype(bool) if isinstance(occupied, PackedVoxels) else occupied.dtype
    if occupied.shape != grid.shape or kind != np.bool_:
        raise ValueError(f"occupied: expected {grid.shape} bool, got {occupied.shape} {kind}")


def _check_origins(origins_m: Floats, directions: Floats) -> None:
    each_all = origins_m.ndim == 3 and origins_m.shape[1:] == (1, 3)
    fits = each_all or origins_m.shape in ((3,), directions.shape)
    if not fits or not np.isfinite(origins_m).all():
        raise ValueError(
            f"origins_m: expected (3,), {directions.shape} or (O, 1, 3) finite, "
            f"got {origins_m.shape}"
        )


def _check_directions(directions: Floats) -> None:
    if directions.ndim != 2 or directions.shape[1] != 3:
        raise ValueError(f"directions: expected (D, 3), got {directions.shape}")
    off = np.abs(np.linalg.norm(directions, axis=1) - 1.0)
    if not (off <= _UNIT_TOLERANCE).all():
        raise ValueError(f"directions: expected unit vectors, got lengths off by {off.max()}")


def _kernel(backend: Backend) -> Callable[..., tuple[Floats, Indices]]:
    if backend not in _INSTALL:
        raise ValueError(f"backend: expected numpy, {', '.join(_INSTALL)}, got {backend!r}")
    try:
        module = importlib.import_module(f"occflow_ros.ops.voxel_raycast_{backend}")
    except ImportError as error:
        raise ImportError(
            f"cast_rays: expected {backend}, got none: pip install {_INSTALL[backend]}, "
            "or ask for backend='numpy'"
        ) from error
    cast: Callable[..., tuple[Floats, Indices]] = module.cast
    return cast


def _with_numpy(
    occupied: Mask | PackedVoxels, starts: Floats, slopes: Floats, rays: int
) -> tuple[Floats, Indices]:
    """All rays one step at a time.

    Faces are ordered by (distance, whether the ray is in the voxel behind only after the face):
    upwards, the face itself belongs to the next voxel, downwards to the one that is left.

    Args:
        occupied: (X, Y, Z).
        starts: (S, 3) origins in voxels from the lower corner; each begins R / S rays in turn.
        slopes: (D, 3) voxels per metre along the ray; rays take them in turn, again and again.
        rays: R, a multiple of S and of D.
    """
    if isinstance(occupied, PackedVoxels):
        occupied = occupied.unpack()
    starts = starts.repeat(rays // len(starts), axis=0)  # (R, 3)
    slopes = np.tile(slopes, (rays // len(slopes), 1))  # (R, 3)
    distance_m, index = np.full(rays, np.inf), np.full(rays, -1, dtype=np.int64)
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
    left, at_m = meets.nonzero()[0], enter_m
    while len(left):
        x, y, z = cell[left].T
        hit = occupied[x, y, z]
        distance_m[left[hit]] = at_m[left[hit]]
        index[left[hit]] = np.ravel_multi_index(cell[left[hit]].T, occupied.shape)
        left = left[~hit]
        face_m = _next_face(cell[left], starts[left], slopes[left])
        at_m[left] = face_m.min(axis=1, initial=np.inf)
        crossed = face_m == at_m[left, None]
        up_first = crossed & ~down[left]
        crossed = np.where(up_first.any(axis=1, keepdims=True), up_first, crossed)
        cell[left] += np.where(crossed, np.sign(slopes[left]), 0).astype(np.int64)
        left = left[((cell[left] >= 0) & (cell[left] < shape)).all(axis=1)]
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
