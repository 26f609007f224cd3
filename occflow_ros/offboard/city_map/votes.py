"""What the voxels of one region are, by the votes of all frames that reach into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data.vocabulary import Vocabulary
from occflow_ros.geometry.se3 import Array, inverse
from occflow_ros.offboard.city_map.lattice import Index, Lattice, frame_boxes
from occflow_ros.offboard.recording import Recording
from occflow_ros.ops.lattice_vote import NO_VOTE, Backend, Votes, add_votes
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

Bytes = npt.NDArray[np.uint8]

_MAX_VOTES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Voters:
    """Frames of one recording that reach into a region.

    Args:
        recording: they are read from; voxels of `UNKNOWN_CLASS_ID` have no vote.
        places: of the frames, ascending.
        weights: (X, Y, Z) int32 of the votes of each of its voxels.
    """

    recording: Recording
    places: Sequence[int]
    weights: Votes


@dataclass(frozen=True, slots=True)
class Mapped:
    """A part of the map.

    Args:
        class_id: (X, Y, Z) uint8 static or empty, `UNKNOWN_CLASS_ID` where nobody voted.
        confidence: (X, Y, Z) uint8, share of the votes that the class has, 255 for all; at least 1
            where it is known.
    """

    class_id: Bytes
    confidence: Bytes


def candidates(vocabulary: Vocabulary) -> tuple[int, ...]:
    """Classes that a voxel of the map can have: static ones in order, then the empty one."""
    names = range(len(vocabulary.names))
    left_out = {*vocabulary.movable, vocabulary.empty}
    return (*(number for number in names if number not in left_out), vocabulary.empty)


def occupied(class_id: Bytes, vocabulary: Vocabulary) -> npt.NDArray[np.bool_]:
    """Which voxels of a map are known to hold something."""
    filled: npt.NDArray[np.bool_] = (class_id != vocabulary.empty) & (class_id != UNKNOWN_CLASS_ID)
    return filled


def map_region(
    voters: Sequence[Voters], lattice: Lattice, number: Index, backend: Backend = "numba"
) -> Mapped:
    """The region by argmax of its votes, holding at most two frames at a time.

    Votes are whole numbers, so no order of frames or recordings changes them. What is movable has
    no vote: where it stood stays unknown unless other frames saw the place. Where several classes
    have most votes, the occupied one with the smallest number wins.

    Args:
        voters: of recordings with one vocabulary.
        lattice: of the map.
        number: of the region.
        backend: of `ops.lattice_vote`.

    Raises:
        DataError: where a frame cannot be read.
        ValueError: where the votes of so many frames could not be counted.
    """
    _check_votes(voters)
    lower, shape = lattice.region(number)
    vocabulary = voters[0].recording.info.vocabulary
    numbers = candidates(vocabulary)
    votes = np.zeros((*shape, len(numbers)), np.int32)
    place_of = np.full(256, NO_VOTE, np.uint8)
    place_of[list(numbers)] = np.arange(len(numbers))
    for one in voters:
        info = one.recording.info
        boxes = frame_boxes(info, lattice.voxel_size_m, lattice.phase_m)
        for place, frame in zip(one.places, one.recording.frames(one.places)):
            affine = _in_voxels(info.world_T_base[place], info.grid, lattice)
            volume = place_of[frame.class_id]
            add_votes(votes, lower, boxes[place], volume, one.weights, affine, backend)
    return decide(votes, numbers)


def decide(votes: Votes, numbers: Sequence[int]) -> Mapped:
    """The class with most votes (X, Y, Z, S) and its share of them; the first of several."""
    winner, most = votes.argmax(axis=-1), votes.max(axis=-1)
    total = votes.sum(axis=-1, dtype=np.int64)
    known = total > 0
    share = np.rint(255.0 * most / np.maximum(total, 1))
    return Mapped(
        np.where(known, np.array(numbers, np.uint8)[winner], UNKNOWN_CLASS_ID).astype(np.uint8),
        np.where(known, np.maximum(share, 1.0), 0.0).astype(np.uint8),
    )


def _in_voxels(world_T_base: Array, grid: VoxelGrid, lattice: Lattice) -> Array:
    """(3, 4) from an index of the lattice to the place of its centre in the frame, in voxels."""
    base_T_world, size_m = inverse(world_T_base), np.array(grid.voxel_size_m)
    first_m = base_T_world[:3, :3] @ lattice.centers_m(np.zeros(3, int)) + base_T_world[:3, 3]
    affine = np.empty((3, 4))
    affine[:, :3] = base_T_world[:3, :3] * lattice.voxel_size_m / size_m[:, None]
    affine[:, 3] = (first_m - grid.lower_m) / size_m
    return affine


def _check_votes(voters: Sequence[Voters]) -> None:
    most = sum(len(one.places) * int(one.weights.max()) for one in voters)
    if most > _MAX_VOTES:
        raise ValueError(
            f"expected votes of at most {_MAX_VOTES} for one voxel, got up to {most}: use smaller "
            "weights or fewer frames"
        )
