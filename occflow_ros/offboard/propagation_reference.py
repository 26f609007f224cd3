"""Stage 2 voxel by voxel, as the equations read: what the fast one is held against.

Takes minutes where `propagation` takes seconds; the tests and `occflow bench refine` call it.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from occflow_ros.geometry.se3 import Array, inverse
from occflow_ros.offboard.propagation import PropagationOptions
from occflow_ros.offboard.recording import RecordedFrame, Recording, RecordingInfo
from occflow_ros.offboard.sight import Sight
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

Voxel = tuple[int, int, int]
Weights = dict[Voxel, int]
Moving = dict[Voxel, tuple[int, Array]]
"""Class of each voxel that moves, and its velocity (2,) in whole mm/s."""


def propagate_slowly(
    recording: Recording,
    place: int,
    options: PropagationOptions,
    segment: range | None = None,
) -> RecordedFrame:
    """One frame of `propagation.propagate`."""
    info = recording.info
    segment = segment or range(len(info))
    around = [other for other in segment if abs(other - place) <= options.radius]
    frames = dict(zip(around, recording.frames(around)))
    weights = weights_slowly(info, options)
    moving = {source: _moving(frame, info, options) for source, frame in frames.items()}
    silent = {source: _hidden(frame, info, options) for source, frame in frames.items()}
    if options.carry_moving:
        silent = {source: hidden | set(moving[source]) for source, hidden in silent.items()}
    class_id = _vote(place, frames, silent, weights, info)
    velocity_mps = np.zeros((*info.grid.shape, 2), np.float32)
    if options.carry_moving:
        near = {
            source: moving[source]
            for source in around
            if source == place
            or (
                frames[source].velocity_mps is not None
                and abs(info.stamps_ns[source] - info.stamps_ns[place]) <= options.carry_s * 1e9
            )
        }
        for voxel, (number, velocity_mmps) in _decided(place, near, weights, info).items():
            class_id[voxel] = number
            velocity_mps[voxel] = np.round(velocity_mmps) / 1000
    for voxel, (number, velocity_mmps) in moving[place].items():
        if class_id[voxel] == number:
            velocity_mps[voxel] = velocity_mmps / 1000
    has_velocity = frames[place].velocity_mps is not None
    return RecordedFrame(class_id, velocity_mps if has_velocity else None)


def weights_slowly(info: RecordingInfo, options: PropagationOptions) -> Weights:
    """Equations 10 to 12 in thousandths."""
    voxels, R = _voxels(info.grid), 0.0
    for voxel in voxels:
        R = max(R, math.dist(_center(voxel, info.grid), (0, 0, 0)))
    weights = {}
    for voxel in _voxels(info.grid):
        x_m = _center(voxel, info.grid)
        if options.sensor == "lidar":
            high, low = options.lidar_weights
            weight = high - (high - low) * math.dist(x_m, (0, 0, 0)) / R
        elif options.sensor == "camera":
            high, medium, low = options.camera_weights
            seen = not options.frustum or _seen(x_m, info)
            near = not options.near_box or _near(x_m, info, options)
            weight = (high if near else medium) if seen else low
        else:
            weight = 1.0
        weights[voxel] = round(1000 * weight)
    return weights


def _seen(x_m: Array, info: RecordingInfo) -> bool:
    for camera in info.cameras:
        x_c, y_c, z_c = (inverse(camera.base_T_camera) @ [*x_m, 1.0])[:3]
        if z_c >= 0.1:
            u_px, v_px, _ = camera.K @ [x_c / z_c, y_c / z_c, 1.0]
            if -0.5 <= u_px <= camera.width_px - 0.5 and -0.5 <= v_px <= camera.height_px - 0.5:
                return True
    return False


def _near(x_m: Array, info: RecordingInfo, options: PropagationOptions) -> bool:
    length_m, width_m, height_m = options.near_box_m
    back = any(camera.base_T_camera[0, 2] < -0.1 for camera in info.cameras)
    start_m = -length_m / 2 if back else 0.0
    bottom_m = info.grid.lower_m[2]
    return bool(
        start_m <= x_m[0] < start_m + length_m
        and -width_m / 2 <= x_m[1] < width_m / 2
        and bottom_m <= x_m[2] < bottom_m + height_m
    )


def _vote(
    place: int,
    frames: dict[int, RecordedFrame],
    silent: dict[int, set[Voxel]],
    weights: Weights,
    info: RecordingInfo,
) -> np.ndarray:
    """Equations 7 to 9 of all voxels that have a vote."""
    votes: dict[Voxel, Counter[int]] = defaultdict(Counter)
    for source, frame in frames.items():
        target_T_source = inverse(info.world_T_base[place]) @ info.world_T_base[source]
        for voxel in _voxels(info.grid):
            if voxel in silent[source]:
                continue
            reached = _voxel((target_T_source @ [*_center(voxel, info.grid), 1.0])[:3], info.grid)
            if reached is not None:
                votes[reached][int(frame.class_id[voxel])] += weights[voxel]
    class_id = np.empty_like(frames[place].class_id)
    for voxel in _voxels(info.grid):
        class_id[voxel] = _winner(votes[voxel], int(frames[place].class_id[voxel]))
    return class_id


def _hidden(frame: RecordedFrame, info: RecordingInfo, options: PropagationOptions) -> set[Voxel]:
    """Empty voxels that the sensor does not see."""
    if options.free == "all":
        return set()
    sighted = Sight(info, backend="numpy")(frame.class_id)
    return {voxel for voxel in _voxels(info.grid) if sighted[voxel] == UNKNOWN_CLASS_ID}


def _moving(frame: RecordedFrame, info: RecordingInfo, options: PropagationOptions) -> Moving:
    moving: Moving = {}
    vocabulary = info.vocabulary
    if frame.velocity_mps is None and not vocabulary.movable:
        return moving
    for voxel in _voxels(info.grid):
        number = int(frame.class_id[voxel])
        movable = number in vocabulary.movable if vocabulary.movable else number != vocabulary.empty
        if frame.velocity_mps is None:
            velocity_mmps, moves = np.zeros(2), movable
        else:
            velocity_mmps = np.round(1000 * frame.velocity_mps[voxel].astype(np.float64))
            moves = movable and math.hypot(*velocity_mmps) >= 1000 * options.moving_mps
        if moves:
            moving[voxel] = number, velocity_mmps
    return moving


def _decided(
    place: int, moving: dict[int, Moving], weights: Weights, info: RecordingInfo
) -> Moving:
    """Where movers arrive and most frames say so along their way."""
    decided: Moving = {}
    for voxel, velocity_mmps in _arrived(place, moving, weights, info).items():
        votes: Counter[int] = Counter()
        none = len(info.vocabulary.names)
        for source, movers in moving.items():
            later_s = (info.stamps_ns[place] - info.stamps_ns[source]) * 1e-9
            earlier_m = _center(voxel, info.grid)
            earlier_m[:2] -= velocity_mmps / 1000 * later_s
            source_T_target = inverse(info.world_T_base[source]) @ info.world_T_base[place]
            there = _voxel((source_T_target @ [*earlier_m, 1.0])[:3], info.grid)
            if there is not None:
                votes[movers[there][0] if there in movers else none] += weights[there]
        own = moving[place][voxel][0] if voxel in moving[place] else none
        if (winner := _winner(votes, own)) != none:
            decided[voxel] = winner, velocity_mmps
    return decided


def _arrived(
    place: int, moving: dict[int, Moving], weights: Weights, info: RecordingInfo
) -> dict[Voxel, Array]:
    """Mean velocity (2,) in mm/s of what is carried into each voxel of the target."""
    arrivals: dict[Voxel, list[tuple[int, Array]]] = defaultdict(list)
    for source, movers in moving.items():
        later_s = (info.stamps_ns[place] - info.stamps_ns[source]) * 1e-9
        target_T_source = inverse(info.world_T_base[place]) @ info.world_T_base[source]
        for voxel, (_, velocity_mmps) in movers.items():
            later_m = _center(voxel, info.grid)
            later_m[:2] += velocity_mmps / 1000 * later_s
            reached = _voxel((target_T_source @ [*later_m, 1.0])[:3], info.grid)
            if reached is not None and weights[voxel]:
                turned_mmps = np.round(target_T_source[:2, :2] @ velocity_mmps)
                arrivals[reached].append((weights[voxel], turned_mmps))
    return {voxel: _mean(arrived) for voxel, arrived in arrivals.items()}


def _mean(arrived: list[tuple[int, Array]]) -> Array:
    weights, velocities = zip(*arrived)
    return np.array(weights) @ np.array(velocities) / sum(weights)


def _winner(votes: Counter[int], own: int) -> int:
    most = max(votes.values(), default=0)
    return own if votes[own] == most else min(c for c, count in votes.items() if count == most)


def _voxels(grid: VoxelGrid) -> Iterator[Voxel]:
    x, y, z = grid.shape
    return itertools.product(range(x), range(y), range(z))


def _center(voxel: Voxel, grid: VoxelGrid) -> Array:
    return np.array(grid.lower_m) + (np.array(voxel) + 0.5) * np.array(grid.voxel_size_m)


def _voxel(point_m: Array, grid: VoxelGrid) -> Voxel | None:
    x, y, z = np.floor((point_m - np.array(grid.lower_m)) / np.array(grid.voxel_size_m)).astype(int)
    inside = all(0 <= index < count for index, count in zip((x, y, z), grid.shape))
    return (int(x), int(y), int(z)) if inside else None
