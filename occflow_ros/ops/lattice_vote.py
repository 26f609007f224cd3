"""Votes of one volume, moved rigidly, for the voxels of a part of a fixed lattice."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Literal

import numpy as np
import numpy.typing as npt

Backend = Literal["numba", "numpy"]
Volume = npt.NDArray[np.uint8]
Votes = npt.NDArray[np.int32]
Affine = npt.NDArray[np.float64]

NO_VOTE = 255
"""In place of the number of a candidate."""


def add_votes(
    votes: Votes,
    lower: tuple[int, int, int],
    box: npt.NDArray[np.int64],
    volume: Volume,
    weights: Votes,
    affine: Affine,
    backend: Backend = "numba",
) -> None:
    """Add to each voxel of the lattice the vote of the voxel that its centre lies in.

    So every voxel inside the volume gets one vote, however the volume is turned. Places are
    computed in float64, in one order, and from indices of the whole lattice: both backends give the
    same, and so does any division into parts.

    Args:
        votes: (X, Y, Z, S) int32 for each of S candidates, changed in place.
        lower: index of the first voxel of `votes` in the lattice.
        box: (2, 3) first index, and that past the last, of voxels that may lie in the volume.
        volume: (U, V, W) uint8 candidates, `NO_VOTE` where there is none.
        weights: (U, V, W) int32 of the votes.
        affine: (3, 4) from an index of the lattice to where the centre of that voxel lies in the
            volume, in voxels from its lower corner.
        backend: "numba" for the kernel, "numpy" for its readable twin.

    Raises:
        ValueError: where shapes or types do not belong together.
        ImportError: where numba is asked for and not installed.
    """
    if votes.ndim != 4 or votes.dtype != np.int32:
        raise ValueError(f"votes: expected (X, Y, Z, S) int32, got {votes.shape} {votes.dtype}")
    if volume.dtype != np.uint8 or weights.dtype != np.int32 or volume.shape != weights.shape:
        raise ValueError(
            f"expected a volume of uint8 and as many int32 weights, got {volume.shape} "
            f"{volume.dtype} and {weights.shape} {weights.dtype}"
        )
    first = np.maximum(box[0], lower)
    last = np.minimum(box[1], np.array(lower) + votes.shape[:3])
    if (first >= last).any():
        return
    part = votes[tuple(slice(a, b) for a, b in zip(first - lower, last - lower))]
    add = _kernels().add_votes if backend == "numba" else _with_numpy
    add(part, first, volume, weights, affine)


def _kernels() -> ModuleType:
    try:
        return importlib.import_module("occflow_ros.ops.lattice_vote_numba")
    except ImportError as error:
        raise ImportError(
            "add_votes: expected numba, got none: pip install numba, or ask for backend='numpy'"
        ) from error


def _with_numpy(
    votes: Votes, first: npt.NDArray[np.int64], volume: Volume, weights: Votes, affine: Affine
) -> None:
    x, y, z = np.ogrid[tuple(slice(a, a + n) for a, n in zip(first, votes.shape))]
    inside = np.ones(votes.shape[:3], bool)
    cells = []
    for (a, b, c, start), count in zip(affine, volume.shape):
        cell = np.floor(((start + a * x) + b * y) + c * z)  # (X, Y, Z)
        inside &= (cell >= 0) & (cell < count)
        cells.append(cell)
    where = tuple(cell[inside].astype(np.int64) for cell in cells)  # 3 × (M,)
    candidate, weight = volume[where], weights[where]
    says = candidate != NO_VOTE
    target = tuple(axis[says] for axis in np.nonzero(inside))
    votes[(*target, candidate[says])] += weight[says]
