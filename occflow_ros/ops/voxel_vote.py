"""What voxels are, by vote of many volumes that are each moved rigidly onto one grid."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

Backend = Literal["numba", "torch"]
Floats = npt.NDArray[np.float64]

_VOXELS_TOGETHER = 2**24  # that the twin moves at a time, some 500 MB


def vote(
    volumes: Tensor,
    places: Sequence[int],
    target_T_sources: Floats,
    weights: Tensor,
    own: Tensor,
    grid: VoxelGrid,
    classes: int,
    empty: int,
    backend: Backend | None = None,
) -> Tensor:
    """argmax_c Σ_s Voxelize(T_s P_s, c): OccFiner, equations 7 to 9, with weights.

    The centre of each voxel of each source, those of empty ones too, is moved into the target and
    adds its weight to the class of its voxel there. Where classes have equally many votes, that of
    the target's own volume wins if it is among them, else the smallest number; so its own class
    stays where there is no vote. Places are computed in float64 and in one order, and votes are
    whole numbers: all backends and devices give the same.

    Args:
        volumes: (N, X, Y, Z) uint8 classes; voxels of `UNKNOWN_CLASS_ID` have no vote.
        places: S different ones of the N volumes, the sources.
        target_T_sources: (S, 4, 4) from the frame of each source into that of the target.
        weights: (X, Y, Z) int32 of the votes, not negative, by the place of the voxel in its own
            volume. The votes of a voxel must add up to less than 2³¹.
        own: (X, Y, Z) uint8 classes of the target.
        grid: of all volumes, each in its own frame.
        classes: how many there are.
        empty: the class that most voxels have.
        backend: "numba" for the kernel, on a CPU only; "torch" for its readable twin; None for the
            kernel on a CPU and the twin elsewhere.

    Returns:
        (X, Y, Z) uint8.

    Raises:
        ValueError: where shapes or types do not belong together.
        ImportError: where numba is asked for and not installed.
    """
    _check(volumes, places, target_T_sources, weights, own, grid)
    if not 0 <= empty < classes <= UNKNOWN_CLASS_ID:
        raise ValueError(f"expected 0 <= empty < classes <= 255, got {empty} and {classes}")
    affine = in_voxels(target_T_sources, grid)
    backend = backend or ("numba" if volumes.device.type == "cpu" else "torch")
    compute: Any = _kernels().vote if backend == "numba" else _with_torch
    return compute(volumes, places, affine, weights, own, classes, empty)


def in_voxels(target_T_sources: Floats, grid: VoxelGrid) -> Floats:
    """(S, 3, 4) from the index of a source's voxel to where its centre lies in the target.

    The place is in voxels from the lower corner of the grid, so that its floor is the voxel.

    Args:
        target_T_sources: (S, 4, 4) in metres.
        grid: of source and target.
    """
    lower_m, size_m = np.array(grid.lower_m), np.array(grid.voxel_size_m)
    rotation, translation_m = target_T_sources[:, :3, :3], target_T_sources[:, :3, 3]
    first_m = rotation @ (lower_m + 0.5 * size_m) + translation_m  # (S, 3) centre of voxel 0, 0, 0
    affine = np.empty((len(target_T_sources), 3, 4))
    affine[:, :, :3] = rotation * size_m / size_m[:, None]
    affine[:, :, 3] = (first_m - lower_m) / size_m
    return affine


def _check(
    volumes: Tensor,
    places: Sequence[int],
    target_T_sources: Floats,
    weights: Tensor,
    own: Tensor,
    grid: VoxelGrid,
) -> None:
    for name, tensor, shape, dtype in (
        ("volumes", volumes, (len(volumes), *grid.shape), torch.uint8),
        ("weights", weights, grid.shape, torch.int32),
        ("own", own, grid.shape, torch.uint8),
    ):
        if tuple(tensor.shape) != shape or tensor.dtype != dtype:
            raise ValueError(
                f"{name}: expected {shape} {dtype}, got {tuple(tensor.shape)} {tensor.dtype}"
            )
    if target_T_sources.shape != (len(places), 4, 4):
        raise ValueError(
            f"target_T_sources: expected ({len(places)}, 4, 4), got {target_T_sources.shape}"
        )
    if not all(0 <= place < len(volumes) for place in places):
        raise ValueError(f"places: expected 0 to {len(volumes) - 1}, got {list(places)}")


def _kernels() -> ModuleType:
    try:
        return importlib.import_module("occflow_ros.ops.voxel_vote_numba")
    except ImportError as error:
        raise ImportError(
            "vote: expected numba, got none: pip install numba, or ask for backend='torch'"
        ) from error


def _with_torch(
    volumes: Tensor,
    places: Sequence[int],
    affine: Floats,
    weights: Tensor,
    own: Tensor,
    classes: int,
    empty: int,
) -> Tensor:
    """Some sources at a time; what leaves the grid votes in a border around it.

    Votes for the empty class, which are nearly all, go into a volume of their own.
    """
    votes = weights.new_zeros(classes, *(count + 2 for count in own.shape))
    free, per_class = votes[empty].view(-1), votes.view(-1)
    step = max(1, _VOXELS_TOGETHER // own.numel())
    for part in (slice(first, first + step) for first in range(0, len(places), step)):
        volume = volumes[list(places[part])]  # (S', X, Y, Z)
        voxel = _voxel_in_border(torch.from_numpy(affine[part]).to(own.device), own.shape)
        says_free = weights * (volume == empty)
        free.index_add_(0, voxel.flatten(), says_free.flatten())
        occupied = ((volume != empty) & (volume != UNKNOWN_CLASS_ID)).flatten().nonzero()[:, 0]
        cell = volume.view(-1)[occupied].long() * free.numel() + voxel.view(-1)[occupied]
        per_class.index_add_(0, cell, weights.flatten()[occupied % own.numel()])
    inside = votes[:, 1:-1, 1:-1, 1:-1]  # (C, X, Y, Z)
    most, winner = inside.max(dim=0)  # the first where several have as many
    own_votes = inside.gather(0, own.long().unsqueeze(0)).squeeze(0)
    return torch.where(own_votes == most, own, winner.to(torch.uint8))


def _voxel_in_border(affine: Tensor, shape: Sequence[int]) -> Tensor:
    """Row-major indices (S, X, Y, Z) int32 of the target's voxels, in a grid with a border of one.

    Args:
        affine: (S, 3, 4) of `in_voxels`.
        shape: of the grid.
    """
    x, y, z = (
        torch.arange(count, device=affine.device, dtype=torch.float64).view(
            [-1 if axis == own_axis else 1 for axis in range(3)]
        )  # (X, 1, 1), (1, Y, 1), (1, 1, Z)
        for own_axis, count in enumerate(shape)
    )
    flat = torch.zeros((), device=affine.device, dtype=torch.int32)
    for row, count in zip(affine.unbind(1), shape):
        a, b, c, start = row.view(-1, 4, 1, 1, 1).unbind(1)  # (S, 1, 1, 1)
        position = ((start + a * x) + b * y) + c * z
        cell = position.floor_().clamp_(-1, count).to(torch.int32)
        flat = flat * (count + 2) + (cell + 1)
    return flat
