"""Votes of voxels on a CPU, compiled by numba at the first call.

Importing this file imports numba; `ops.voxel_vote` does so where it calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

from occflow_ros.ops.compiled import compiled
from occflow_ros.ops.torch_threads import share
from occflow_ros.ops.voxel_raycast_numba import OPTIONS
from occflow_ros.structures import UNKNOWN_CLASS_ID

_SLAB_VOXELS = 2**16  # of the target at a time: their votes stay in the cache of a core
_SLACK = 1e-6  # voxels; far more than the rounding of a position


def vote(
    volumes: Tensor,
    places: Sequence[int],
    affine: npt.NDArray[np.float64],
    weights: Tensor,
    own: Tensor,
    classes: int,
    empty: int,
) -> Tensor:
    """As `voxel_vote._with_torch`, the target in slabs along x, each by one thread."""
    winner = torch.empty_like(own)
    inputs = (
        *(tensor.contiguous().numpy() for tensor in (volumes, weights, own)),
        np.array(places, np.int64),
        affine,
    )
    count, plane = own.shape[0], own.shape[1] * own.shape[2]
    slabs = min(count, -(-count * plane // _SLAB_VOXELS))

    def work(slab: int) -> None:
        part = count * slab // slabs, count * (slab + 1) // slabs
        _vote_slab(inputs, (classes, empty, UNKNOWN_CLASS_ID), part, winner.numpy())

    share(work, slabs)
    return winner


@njit(**OPTIONS)
def _span(start: Any, slope: Any, low: Any, high: Any, first: Any, last: Any) -> Any:
    """Those j of first ≤ j < last at which low ≤ start + slope · j ≤ high, or a few more."""
    if abs(slope) * (last - first) < _SLACK:
        middle = start + slope * first
        return (first, last) if low - _SLACK <= middle <= high + _SLACK else (first, first)
    at_low, at_high = (low - start) / slope, (high - start) / slope
    begin, end = min(at_low, at_high), max(at_low, at_high)
    begin, end = max(begin - 1.0, float(first)), min(end + 2.0, float(last))
    return (int(np.floor(begin)), int(np.floor(end))) if begin < end else (first, first)


@njit(**OPTIONS)
def _columns(row: Any, transform: Any, shape: Any, part: Any) -> Any:
    """Columns of a row (x is given) of the source that may reach into the slab, a range of y."""
    first, last = 0, shape[1]
    for axis in range(2):
        low, high = (float(part[0]), float(part[1])) if axis == 0 else (0.0, float(shape[1]))
        rise = transform[axis, 2] * (shape[2] - 1)
        low, high = low - max(rise, 0.0), high - min(rise, 0.0)
        first, last = _span(row[axis], transform[axis, 1], low, high, first, last)
    return first, last


@njit(**OPTIONS)
def _voxels(column: Any, transform: Any, shape: Any, part: Any, voxel: Any) -> None:
    """Row-major indices in the slab of where a column of the source goes, past its end outside."""
    first, last = part
    _, ny, nz = shape
    x0, y0, z0 = column
    dx, dy, dz = transform[0, 2], transform[1, 2], transform[2, 2]
    outside = (last - first) * ny * nz
    for k in range(nz):
        x, y, z = x0 + dx * k, y0 + dy * k, z0 + dz * k
        inside = (x >= first) & (x < last) & (y >= 0.0) & (y < ny) & (z >= 0.0) & (z < nz)
        index = ((np.int32(x) - first) * ny + np.int32(y)) * nz + np.int32(z)
        voxel[k] = index if inside else outside


@njit(**OPTIONS)
def _winner(votes: Any, own: Any) -> Any:
    """Class with the most votes; the target's own if it is among them, else the smallest."""
    best = 0
    for number in range(1, len(votes)):
        if votes[number] > votes[best]:
            best = number
    return own if votes[own] == votes[best] else best


@compiled(**OPTIONS)
def _vote_slab(inputs: Any, numbers: Any, part: Any, winner: Any) -> None:
    """Votes of all sources in the part first ≤ x < last of the target."""
    volumes, weights, own, places, affine = inputs
    classes, empty, unknown = numbers
    shape = own.shape
    nx, ny, nz = shape
    size = (part[1] - part[0]) * ny * nz
    free, taken = np.zeros(size + 1, np.int32), np.zeros(size + 1, np.int32)
    votes = np.zeros((size + 1, classes), np.int32)
    voxel = np.empty(nz, np.int32)
    for source in range(len(places)):
        volume, transform = volumes[places[source]], affine[source]
        for i in range(nx):
            row = (
                transform[0, 3] + transform[0, 0] * i,
                transform[1, 3] + transform[1, 0] * i,
                transform[2, 3] + transform[2, 0] * i,
            )
            for j in range(*_columns(row, transform, shape, part)):
                column = (
                    row[0] + transform[0, 1] * j,
                    row[1] + transform[1, 1] * j,
                    row[2] + transform[2, 1] * j,
                )
                _voxels(column, transform, shape, part, voxel)
                for k in range(nz):
                    number = volume[i, j, k]
                    if number == empty:
                        free[voxel[k]] += weights[i, j, k]
                    elif number != unknown:
                        votes[voxel[k], number] += weights[i, j, k]
                        taken[voxel[k]] += weights[i, j, k]
    index = 0
    for i in range(part[0], part[1]):
        for j in range(ny):
            for k in range(nz):
                if free[index] > taken[index]:  # so no class can have more
                    winner[i, j, k] = empty
                else:
                    votes[index, empty] = free[index]
                    winner[i, j, k] = _winner(votes[index], own[i, j, k])
                index += 1
