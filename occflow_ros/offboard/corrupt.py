"""An onboard model made of the truth and of errors of known size, to refine and to score."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from occflow_ros.data.classes import FREE, MOVABLE, NAMES
from occflow_ros.data.drive import Drive
from occflow_ros.data.scene import MOVING_MPS
from occflow_ros.errors import DataError
from occflow_ros.geometry.se3 import Array
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.recording import RecordedFrame
from occflow_ros.offboard.truth import TrueFrame, info_of, true_frame
from occflow_ros.structures import VoxelGrid

Progress = Callable[[Iterable[int], int], Iterable[int]]

CONFUSIONS: dict[str, tuple[str, ...]] = {
    "others": ("barrier",),
    "barrier": ("manmade",),
    "bicycle": ("pedestrian",),
    "bus": ("truck",),
    "car": ("truck",),
    "construction_vehicle": ("truck",),
    "motorcycle": ("bicycle",),
    "pedestrian": ("bicycle",),
    "traffic_cone": ("barrier",),
    "trailer": ("truck",),
    "truck": ("car",),
    "driveable_surface": ("sidewalk",),
    "other_flat": ("driveable_surface",),
    "sidewalk": ("driveable_surface", "terrain"),
    "terrain": ("sidewalk", "vegetation"),
    "manmade": ("vegetation",),
    "vegetation": ("manmade", "terrain"),
}
"""What each class is taken for, each with the same chance."""


@dataclass(frozen=True, slots=True)
class CorruptionOptions:
    """How large the errors are.

    A network errs over whole parts of an image rather than voxel by voxel. Range noise, swaps and
    velocity noise are therefore drawn once for each patch of directions from the sensor, anew in
    each frame; the bias is always there; dropout is drawn for each voxel.

    Args:
        dropout: share of the voxels that are missed right at the sensor.
        dropout_per_m: how much the share grows with each metre of range.
        swap: share of the patches in which a class is taken for another (`CONFUSIONS`).
        range_noise_m: standard deviation of the range right at the sensor.
        range_noise: how much it grows with the range, as a share of it.
        depth_bias: everything is seen too far by this share of its range.
        velocity_noise_mps: standard deviation of the velocity of what moves, along x and y each.
        patch_deg: edge of a patch of directions.
        seed: of all draws.

    Raises:
        ValueError: where a number is out of range.
    """

    dropout: float = 0.05
    dropout_per_m: float = 0.01
    swap: float = 0.1
    range_noise_m: float = 0.1
    range_noise: float = 0.02
    depth_bias: float = 0.03
    velocity_noise_mps: float = 0.5
    patch_deg: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        shares = self.dropout, self.swap
        sizes = self.dropout_per_m, self.range_noise_m, self.range_noise, self.velocity_noise_mps
        if not all(0.0 <= share <= 1.0 for share in shares):
            raise ValueError(f"expected shares from 0 to 1, got {shares} for dropout and swap")
        if not all(0.0 <= size < math.inf for size in sizes) or self.seed < 0:
            raise ValueError(f"expected finite numbers from 0 on, got {self}")
        if not -1.0 < self.depth_bias < math.inf:
            raise ValueError(f"depth_bias: expected a number above -1, got {self.depth_bias}")
        if not 0.0 < self.patch_deg <= 180.0:
            raise ValueError(f"patch_deg: expected above 0 to 180, got {self.patch_deg}")


def corrupt_drive(
    drive: Drive, folder: Path, grid: VoxelGrid, options: CorruptionOptions, progress: Progress
) -> FrameStore:
    """What the made-up model says of each set with a truth; frames that are there are kept.

    Args:
        drive: with dense truth (`CameraSet.occupancy`).
        folder: of the recording.
        grid: of its frames.
        options: of the errors.
        progress: wraps the places of the frames to make, given how many they are.

    Raises:
        DataError: where no set has a truth or one cannot be read.
        OutputError: where the folder cannot be written or holds another recording.
    """
    truths = {i: one.occupancy for i, one in enumerate(drive.sets) if one.occupancy is not None}
    if not truths:
        raise DataError(f"{drive.name}: expected exact occupancy to corrupt, found none")
    store = FrameStore.create(folder, info_of(drive, tuple(truths), grid))
    paths, sensor_m = tuple(truths.values()), sensor_position(drive)
    missing = store.missing
    for place in progress(missing, len(missing)):
        rng = _draws(options.seed, store.info.name, store.info.frame_names[place])
        store.write(
            place, corrupt_frame(true_frame(paths[place], grid), grid, sensor_m, options, rng)
        )
    return store


def sensor_position(drive: Drive) -> Array:
    """(3,) in the ego frame from which ranges count: the middle of the cameras."""
    mounts = [camera.base_T_camera[:3, 3] for camera in drive.cameras.values()]
    return np.mean(mounts, axis=0)


def corrupt_frame(
    truth: TrueFrame,
    grid: VoxelGrid,
    sensor_m: Array,
    options: CorruptionOptions,
    rng: np.random.Generator,
) -> RecordedFrame:
    """What the model says of one set: nothing where its cameras see nothing.

    Args:
        truth: of the set.
        grid: of it.
        sensor_m: (3,) in the ego frame from which ranges count.
        options: of the errors.
        rng: source of all draws.
    """
    seen = (truth.class_id != FREE) & truth.observed
    index = np.flatnonzero(seen)  # (M,)
    class_id, velocity_mps = truth.class_id[seen], np.nan_to_num(truth.velocity_mps[seen])
    rays_m = grid.centers_of(torch.from_numpy(index)).numpy() - sensor_m  # (M, 3)
    range_m = np.linalg.norm(rays_m, axis=-1)  # (M,)
    patch = _Patches(rays_m, options.patch_deg, rng)
    kept = rng.random(len(index)) >= options.dropout + options.dropout_per_m * range_m
    moving = _moves(class_id, velocity_mps)
    class_id = _swapped(class_id, patch, options.swap)
    velocity_mps[moving] += options.velocity_noise_mps * patch.normal(2)[moving]
    sigma_m = options.range_noise_m + options.range_noise * range_m
    wrong_m = range_m * (1.0 + options.depth_bias) + sigma_m * patch.normal(1)[:, 0]
    stretch = np.maximum(wrong_m, 0.0) / np.maximum(range_m, np.finfo(np.float64).tiny)
    return _voxels(
        grid,
        (sensor_m + stretch[:, None] * rays_m)[kept],
        wrong_m[kept],
        class_id[kept],
        velocity_mps[kept],
    )


class _Patches:
    """Draws that all voxels in a patch of directions share.

    Args:
        rays_m: (M, 3) from the sensor.
        patch_deg: edge of a patch, in azimuth and elevation.
        rng: source of all draws.
    """

    def __init__(self, rays_m: Array, patch_deg: float, rng: np.random.Generator) -> None:
        edge = math.radians(patch_deg)
        azimuth = np.arctan2(rays_m[:, 1], rays_m[:, 0])
        elevation = np.arctan2(rays_m[:, 2], np.hypot(rays_m[:, 0], rays_m[:, 1]))
        across, up = math.floor(2.0 * math.pi / edge) + 1, math.floor(math.pi / edge) + 1
        column = np.floor((azimuth + math.pi) / edge).astype(np.int64)
        row = np.floor((elevation + 0.5 * math.pi) / edge).astype(np.int64)
        self._patch, self._count, self._rng = column * up + row, across * up, rng

    def uniform(self, class_id: npt.NDArray[np.uint8]) -> Array:
        """(M,) from 0 to 1, for each patch and class."""
        return self._rng.random((self._count, len(NAMES)))[self._patch, class_id]

    def normal(self, count: int) -> Array:
        """(M, count) of variance 1, for each patch."""
        return self._rng.standard_normal((self._count, count))[self._patch]


def _swapped(
    class_id: npt.NDArray[np.uint8], patch: _Patches, share: float
) -> npt.NDArray[np.uint8]:
    """(M,) classes, in this share of the patches another one."""
    swapped, choice = class_id.copy(), patch.uniform(class_id)
    wrong = patch.uniform(class_id) < share
    for name, others in CONFUSIONS.items():
        here = wrong & (class_id == NAMES.index(name))
        numbers = np.array([NAMES.index(other) for other in others], np.uint8)
        swapped[here] = numbers[(choice[here] * len(others)).astype(np.int64)]
    return swapped


def _moves(class_id: npt.NDArray[np.uint8], velocity_mps: npt.NDArray[np.float32]) -> npt.NDArray:
    fast: npt.NDArray[np.bool_] = np.linalg.norm(velocity_mps, axis=-1) > MOVING_MPS
    return np.isin(class_id, MOVABLE) & fast


def _voxels(
    grid: VoxelGrid,
    points_m: Array,
    range_m: Array,
    class_id: npt.NDArray[np.uint8],
    velocity_mps: npt.NDArray[np.float32],
) -> RecordedFrame:
    """A frame with these points (M, 3); of several in a voxel, the nearest hides the others."""
    order = np.argsort(-range_m, kind="stable")  # what is written last stays
    index, inside = grid.index_of(torch.from_numpy(points_m[order]))
    order, at = order[inside.numpy()], tuple(index[inside].numpy().T)  # 3 × (M,)
    frame = RecordedFrame(
        np.full(grid.shape, FREE, np.uint8), np.zeros((*grid.shape, 2), np.float32)
    )
    frame.class_id[at] = class_id[order]
    assert frame.velocity_mps is not None  # just made
    frame.velocity_mps[at] = velocity_mps[order]
    return frame


def _draws(seed: int, drive: str, frame: str) -> np.random.Generator:
    """The same for the same frame, in whatever order frames are made."""
    digest = hashlib.blake2b(f"{drive}/{frame}".encode(), digest_size=8).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "big")])
