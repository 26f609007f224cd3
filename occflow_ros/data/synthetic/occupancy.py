"""Dense true occupancy, class and velocity of the world on a voxel grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from occflow_ros.data.classes import FREE
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.data.synthetic import road as street
from occflow_ros.data.synthetic.candidates import rectangle_pairs
from occflow_ros.data.synthetic.ground import ground_class
from occflow_ros.data.synthetic.primitives import Primitives, Shape, contains
from occflow_ros.data.synthetic.render import Rendering
from occflow_ros.data.synthetic.visibility import observed_voxels
from occflow_ros.data.synthetic.world import World, turning_velocity
from occflow_ros.structures import VoxelGrid

SAMPLES_PER_AXIS = 3

_PAIRS_PER_CHUNK = 100_000
# A ball of this radius, in spacings of the sample points, always holds one of them.
_REACH = 0.5 * 3.0**0.5


def occupancy_truth(
    world: World, time_s: float, grid: VoxelGrid, renderings: Sequence[Rendering]
) -> OccupancyTruth:
    """True occupancy around the ego.

    A voxel is occupied where it contains the surface of the ground, or where one of 3×3×3 evenly
    spaced points in it lies in a solid or within half their spacing of its faces, which makes a
    flat face count from where it enters the voxel. Where a solid is so thin that it could pass
    between the points, a pole for example, its margin is larger. The solid with most points wins;
    what can move wins over what cannot, and solids win over the ground.

    Args:
        renderings: images whose rays decide which voxels are observed.
    """
    world_T_base = torch.from_numpy(world.odom_T_base(time_s)).to(world.device)
    primitives = in_ego_frame(world.primitives_at(time_s), torch.linalg.inv(world_T_base))
    semantics = _ground(world, grid, world_T_base).flatten()
    velocity = torch.zeros((grid.num_voxels, 2), device=world.device)
    winner = winning_solids(primitives, grid)
    index = (winner >= 0).nonzero().squeeze(1)
    solid = winner[index]
    semantics[index] = primitives.class_id[solid]
    arm = grid.centers_of(index) - primitives.world_T_local[solid, :3, 3]
    turning = turning_velocity(primitives.yaw_rate_rad_per_s[solid], arm)
    velocity[index] = (primitives.velocity_mps[solid] + turning)[:, :2].float()
    observed = observed_voxels(grid, torch.linalg.inv(world_T_base), renderings)
    return OccupancyTruth(
        semantics=semantics.reshape(grid.shape).to(torch.uint8).cpu().numpy(),
        velocity_mps=velocity.reshape(*grid.shape, 2).cpu().numpy(),
        observed=observed.cpu().numpy(),
        lower_m=grid.lower_m,
        upper_m=grid.upper_m,
    )


def in_ego_frame(primitives: Primitives, base_T_world: Tensor) -> Primitives:
    """Solids with poses and velocities in ego axes instead of those of the world."""
    return replace(
        primitives,
        world_T_local=base_T_world @ primitives.world_T_local,
        velocity_mps=primitives.velocity_mps @ base_T_world[:3, :3].T,
    )


def winning_solids(primitives: Primitives, grid: VoxelGrid) -> Tensor:
    """Solid of each voxel, (X·Y·Z,) int64 row-major, −1 where there is none; solids in ego axes."""
    size = torch.tensor(grid.voxel_size_m, dtype=torch.float64, device=primitives.shape.device)
    spacing_m = float(size.max()) / SAMPLES_PER_AXIS
    margin = (_REACH * spacing_m - primitives.half_m).clamp(min=0.5 * spacing_m)  # (P, 3)
    rotation = primitives.world_T_local[:, :3, :3]
    samples = (_sample_offsets(size) @ rotation).float()  # (P, S, 3)
    count = len(primitives)
    best = torch.full((grid.num_voxels,), -1, device=size.device)
    for shape in Shape:
        chosen = primitives.shape == shape
        for which, voxel in _candidates(primitives, margin, grid, chosen):
            away = grid.centers_of(voxel) - primitives.world_T_local[which, :3, 3]
            local = torch.einsum("mji,mj->mi", rotation[which], away).float()
            inside = contains(
                shape,
                local[:, None] + samples[which],
                primitives.half_m[which],
                primitives.taper[which],
                margin[which],
            ).sum(dim=1)
            hit = (inside > 0).nonzero().squeeze(1)
            rank = inside[hit] + 100 * (primitives.instance[which[hit]] > 0)
            best.scatter_reduce_(0, voxel[hit], rank * count + which[hit], "amax")
    return torch.where(best >= 0, best % count, -1)


def _candidates(
    solids: Primitives, margin_m: Tensor, grid: VoxelGrid, chosen: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of (solid, voxel) pairs whose boxes overlap, (M,) each, of `chosen` (P,) solids."""
    _, ny, nz = grid.shape
    place = grid.continuous_index(solids.corners_m(margin_m)) + 0.5  # (P, 8, 3)
    shape = torch.tensor(grid.shape, device=place.device)
    lower = torch.minimum(place.amin(dim=1).floor().clamp(min=0), shape).long()
    upper = torch.minimum((place.amax(dim=1).floor() + 1).clamp(min=0), shape).long()
    near = ((upper > lower).all(dim=1) & chosen).nonzero().squeeze(1)
    for which, column in rectangle_pairs(lower[near, :2], upper[near, :2], ny):
        solid = near[which]
        layers = upper[solid, 2] - lower[solid, 2]
        pair = torch.repeat_interleave(torch.arange(len(solid), device=solid.device), layers)
        first = torch.cumsum(layers, 0) - layers
        layer = torch.arange(len(pair), device=solid.device) - first[pair] + lower[solid[pair], 2]
        yield from zip(
            solid[pair].split(_PAIRS_PER_CHUNK),
            (column[pair] * nz + layer).split(_PAIRS_PER_CHUNK),
        )


def _sample_offsets(size: Tensor) -> Tensor:
    """Sample points (S, 3) of a voxel of edges (3,) relative to its centre."""
    steps = torch.arange(SAMPLES_PER_AXIS, dtype=torch.float64, device=size.device) + 0.5
    steps = steps / SAMPLES_PER_AXIS - 0.5
    return torch.cartesian_prod(steps, steps, steps) * size


def _ground(world: World, grid: VoxelGrid, world_T_base: Tensor) -> Tensor:
    """Classes (X, Y, Z) int64 of the voxels that contain the ground under their column's middle."""
    centers = grid.centers_m(world.device)[:, :, 0, :2].double()  # (X, Y, 2)
    xy = centers @ world_T_base[:2, :2].T + world_T_base[:2, 3]
    offset = world.road.locate(xy)[1]
    height = torch.where(offset.abs() < street.KERB_M, 0.0, street.KERB_HEIGHT_M)
    place = torch.cat((centers, height[..., None]), dim=-1)
    index, inside = grid.index_of(place)
    layers = torch.arange(grid.shape[2], device=world.device)
    filled = inside[..., None] & (index[..., 2:] == layers)  # (X, Y, Z)
    return torch.where(filled, ground_class(height, offset)[..., None], FREE)
