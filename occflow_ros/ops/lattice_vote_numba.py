"""Votes for a lattice on a CPU, compiled by numba at the first call.

Importing this file imports numba; `ops.lattice_vote` does so where it calls it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from occflow_ros.ops.compiled import compiled
from occflow_ros.ops.lattice_vote import NO_VOTE
from occflow_ros.ops.torch_threads import share
from occflow_ros.ops.voxel_raycast_numba import OPTIONS

_TILES_PER_THREAD = 4


def add_votes(
    votes: npt.NDArray[np.int32],
    first: npt.NDArray[np.int64],
    volume: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.int32],
    affine: npt.NDArray[np.float64],
) -> None:
    """As `lattice_vote._with_numpy`, in slabs along x, each by one thread."""
    count = len(votes)
    slabs = min(count, _TILES_PER_THREAD * torch.get_num_threads())

    def work(slab: int) -> None:
        part = count * slab // slabs, count * (slab + 1) // slabs
        _add(votes, part, first, volume, weights, affine, NO_VOTE)

    share(work, slabs)


@compiled(**OPTIONS)
def _add(
    votes: Any, part: Any, first: Any, volume: Any, weights: Any, affine: Any, no_vote: Any
) -> None:
    nu, nv, nw = volume.shape
    for i in range(part[0], part[1]):
        x = first[0] + i
        u0 = affine[0, 3] + affine[0, 0] * x
        v0 = affine[1, 3] + affine[1, 0] * x
        w0 = affine[2, 3] + affine[2, 0] * x
        for j in range(votes.shape[1]):
            y = first[1] + j
            u1, v1, w1 = u0 + affine[0, 1] * y, v0 + affine[1, 1] * y, w0 + affine[2, 1] * y
            for k in range(votes.shape[2]):
                z = first[2] + k
                u, v, w = u1 + affine[0, 2] * z, v1 + affine[1, 2] * z, w1 + affine[2, 2] * z
                if 0.0 <= u < nu and 0.0 <= v < nv and 0.0 <= w < nw:
                    candidate = volume[int(u), int(v), int(w)]
                    if candidate != no_vote:
                        votes[i, j, k, candidate] += weights[int(u), int(v), int(w)]
