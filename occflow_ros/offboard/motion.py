"""Moving objects: taken out of the vote, carried to the target time, and decided on their way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from occflow_ros.data.vocabulary import Vocabulary
from occflow_ros.offboard.recording import RecordedFrame
from occflow_ros.structures import VoxelGrid

_PER_M = 1000  # velocities are whole numbers of mm/s, so that their sums are exact


@dataclass(frozen=True, slots=True)
class Movers:
    """Voxels that move at one time.

    Args:
        index: (M,) int64 row-major, ascending.
        class_id: (M,) int64.
        velocity_mmps: (M, 2) int64 over ground along ego x and y, in mm/s.
    """

    index: Tensor
    class_id: Tensor
    velocity_mmps: Tensor

    def to(self, device: str) -> Movers:
        """The same on a device."""
        return Movers(
            self.index.to(device), self.class_id.to(device), self.velocity_mmps.to(device)
        )


@dataclass(frozen=True, slots=True)
class Glimpses:
    """What G frames around the target saw move.

    Args:
        frame: (M,) int64 that saw each of the movers, ascending.
        movers: of all frames one after the other, each in the frame that saw it.
        target_T_sources: (G, 4, 4) float64.
        later_s: (G,) float64 the target's time minus theirs.
    """

    frame: Tensor
    movers: Movers
    target_T_sources: Tensor
    later_s: Tensor

    @staticmethod
    def of(movers: Sequence[Movers], target_T_sources: Tensor, later_s: Tensor) -> Glimpses:
        """Those of several frames."""
        counts = torch.tensor([len(one.index) for one in movers])
        frame = torch.arange(len(movers)).repeat_interleave(counts)
        together = Movers(
            torch.cat([one.index for one in movers]),
            torch.cat([one.class_id for one in movers]),
            torch.cat([one.velocity_mmps for one in movers]),
        )
        device = together.index.device
        return Glimpses(frame.to(device), together, target_T_sources.to(device), later_s.to(device))

    def class_at(self, index: Tensor, num_voxels: int, otherwise: int) -> Tensor:
        """What each frame saw move at row-major indices (G, Q), `otherwise` where nothing did."""
        known = self.frame * num_voxels + self.movers.index  # (M,) ascending
        first = num_voxels * torch.arange(len(index), device=index.device).unsqueeze(1)
        return _look_up(first + index, known, self.movers.class_id, otherwise)


def movers_of(frame: RecordedFrame, vocabulary: Vocabulary, moving_mps: float) -> Movers:
    """Voxels of a movable class, or of any where the vocabulary has none, that are fast enough.

    Where the recording knows no motion, all of a movable class are, with no velocity: they may have
    moved, so no other frame can say where they are.
    """
    flat = frame.class_id.reshape(-1)  # (X·Y·Z,)
    index = np.flatnonzero(flat != vocabulary.empty)
    if vocabulary.movable:
        index = index[np.isin(flat[index], vocabulary.movable)]
    velocity_mps = np.zeros((len(index), 2))
    if frame.velocity_mps is not None:
        velocity_mps = frame.velocity_mps.reshape(-1, 2)[index].astype(np.float64)  # (M, 2)
    velocity_mmps = np.round(_PER_M * velocity_mps)
    fast = np.hypot(*velocity_mmps.T) >= _PER_M * moving_mps
    if frame.velocity_mps is None and vocabulary.movable:
        fast[:] = True
    return Movers(
        torch.from_numpy(index[fast]),
        torch.from_numpy(flat[index[fast]].astype(np.int64)),
        torch.from_numpy(velocity_mmps[fast].astype(np.int64)),
    )


def decide_moving(
    glimpses: Glimpses, target: Movers, weights: Tensor, grid: VoxelGrid, classes: int
) -> Movers:
    """What moves at the target time, by vote of frames around it.

    Each mover is carried to p + v (t − s) and into the target. Each voxel in which one arrives is
    followed along its way, with the mean velocity of those that arrive: every frame says whether
    and what moves where it would have been at the time of the frame. So frames that saw the place
    free, since the object was not yet there, do not vote against it, and what one frame alone
    claims is not believed. Ties go to what the target frame says, else to the smallest number.

    Args:
        glimpses: of the frames that take part, the target's own among them.
        target: what moves in the target frame.
        weights: (X, Y, Z) int32 of votes, by the place of the voxel in its own frame.
        grid: of all frames.
        classes: how many there are.

    Returns:
        In the target frame.
    """
    weights = weights.flatten()  # (X·Y·Z,)
    index, velocity_mmps = _arrivals(glimpses, weights, grid)
    nothing = classes
    place, inside = _on_their_way(glimpses, grid.centers_of(index), velocity_mmps, grid)
    said = glimpses.class_at(place, grid.num_voxels, nothing)  # (G, Q)
    votes = weights.new_zeros(len(index), classes + 1)
    row = torch.arange(len(index), device=index.device)
    cell = row * (classes + 1) + said  # (G, Q)
    votes.view(-1).index_add_(0, cell.flatten(), (weights[place] * inside).flatten())
    most, winner = votes.max(dim=1)
    own = _look_up(index, target.index, target.class_id, nothing)
    winner = torch.where(votes[row, own] == most, own, winner)
    moves = winner != nothing
    return Movers(index[moves], winner[moves], velocity_mmps[moves].round().long())


def velocities_mps(class_id: Tensor, moving: Sequence[Movers]) -> Tensor:
    """Velocities (X, Y, Z, 2) float32 of what moves, zero elsewhere.

    Args:
        class_id: (X, Y, Z) as it was decided.
        moving: what may move; holds where the class is theirs, the last one before the others.
    """
    velocity_mps = torch.zeros(*class_id.shape, 2, device=class_id.device)
    for movers in moving:
        holds = class_id.view(-1)[movers.index] == movers.class_id
        velocity_mps.view(-1, 2)[movers.index[holds]] = (
            movers.velocity_mmps[holds].double() / _PER_M
        ).float()
    return velocity_mps


def _arrivals(glimpses: Glimpses, weights: Tensor, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
    """Voxels (Q,) of the target in which movers arrive, and their mean velocity (Q, 2) there."""
    movers = glimpses.movers
    target_T_source, later_s = glimpses.target_T_sources[glimpses.frame], glimpses.later_s
    velocity_mmps = movers.velocity_mmps.double()
    later_m = _moved(
        grid.centers_of(movers.index), velocity_mmps / _PER_M, later_s[glimpses.frame, None]
    )
    arrived_m = _rotated(target_T_source[:, :3, :3], later_m) + target_T_source[:, :3, 3]
    voxel, inside = _voxels(arrived_m, grid)
    weight = weights[movers.index].long()
    arrives = inside & (weight > 0)
    voxel, weight = voxel[arrives], weight[arrives]
    turned_mmps = _rotated(target_T_source[:, :2, :2], velocity_mmps).round().long()[arrives]

    reached = torch.zeros(grid.num_voxels, dtype=torch.bool, device=voxel.device)
    reached[voxel] = True
    index = reached.nonzero().squeeze(1)  # (Q,)
    row = torch.searchsorted(index, voxel)
    total = weight.new_zeros(len(index)).index_add_(0, row, weight)
    sums = weight.new_zeros(len(index), 2).index_add_(0, row, weight[:, None] * turned_mmps)
    return index, sums.double() / total[:, None]


def _on_their_way(
    glimpses: Glimpses, centers_m: Tensor, velocity_mmps: Tensor, grid: VoxelGrid
) -> tuple[Tensor, Tensor]:
    """Voxels (G, Q) of each frame in which points of the target were at its time, and whether.

    Args:
        glimpses: of G frames.
        centers_m: (Q, 3) of the target.
        velocity_mmps: (Q, 2) in its frame.
        grid: of all frames.
    """
    target_T_sources = glimpses.target_T_sources.unsqueeze(1)  # (G, 1, 4, 4)
    later_s = glimpses.later_s.view(-1, 1, 1)  # (G, 1, 1)
    earlier_m = _moved(centers_m, velocity_mmps / _PER_M, -later_s)  # (G, Q, 3)
    source_R_target = target_T_sources[..., :3, :3].transpose(-1, -2)
    return _voxels(_rotated(source_R_target, earlier_m - target_T_sources[..., :3, 3]), grid)


def _look_up(index: Tensor, known: Tensor, values: Tensor, otherwise: int) -> Tensor:
    """Values (...) of those of the ascending `known` (M,) that equal `index` (...)."""
    if not len(known):
        return torch.full_like(index, otherwise)
    place = torch.searchsorted(known, index).clamp_(max=len(known) - 1)
    return torch.where(known[place] == index, values[place], otherwise)


def _voxels(points_m: Tensor, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
    """Row-major indices (...) of the voxels that contain points, clamped, and whether inside."""
    index, inside = grid.index_of(points_m)
    return grid.flatten_index(index), inside


def _moved(points_m: Tensor, velocity_mps: Tensor, later_s: Tensor) -> Tensor:
    """Points (..., 3) where they are `later_s` (..., 1) later, at velocities (..., 2)."""
    way_m = velocity_mps * later_s
    return torch.cat((points_m[..., :2] + way_m, points_m[..., 2:].expand_as(way_m[..., :1])), -1)


def _rotated(rotation: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (..., D) by rotations (..., D, D).

    Term by term, since the order of a product of matrices depends on the device.
    """
    first, *others = (
        rotation[..., axis] * vectors[..., axis, None] for axis in range(vectors.shape[-1])
    )
    for column in others:
        first = first + column
    return first
