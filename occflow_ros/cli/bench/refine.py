"""Stage 2 of refinement at the size of SemanticKITTI: the kernel beside its twin."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from occflow_ros.data.vocabulary import SEMANTIC_KITTI
from occflow_ros.geometry.se3 import Array, from_rotation_translation, transform_points
from occflow_ros.measurement import Measurement, Options, is_cuda, peak_bytes, time_ms
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.propagation import PropagationOptions, propagate
from occflow_ros.offboard.propagation_reference import propagate_slowly
from occflow_ros.offboard.recording import Classes, RecordedFrame, RecordingInfo
from occflow_ros.ops.voxel_vote import Backend
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((0.0, -25.6, -2.0), (51.2, 25.6, 4.4), (256, 256, 32))
SMALL = VoxelGrid((0.0, -1.6, -1.0), (3.2, 1.6, 0.6), (16, 16, 8))  # where the reference ends
RADIUS, SMALL_RADIUS = 25, 2

_FEW = 2  # timed runs of what is slow
_SPEED_MPS, _PERIOD_S = 10.0, 0.1
_CAR_MPS, _CAR_GAP_M = 8.0, 15.0
_NOISE = 0.005  # of the voxels are anything
_ROAD, _BUILDING, _TREE, _CAR = map(
    SEMANTIC_KITTI.names.index, ("road", "building", "vegetation", "car")
)


def measure(options: Options) -> Iterator[Measurement]:
    """Median times of a frame, memory, and the slow reference at a size where it ends."""
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in (("large", _large), ("small", _small)):
            yield from rows(Path(folder) / name, options)


def street(folder: Path, grid: VoxelGrid, count: int) -> FrameStore:
    """A drive at 10 m/s and 10 Hz with slight turns, along houses and trees, among cars."""
    times_s = _PERIOD_S * np.arange(count)
    info = RecordingInfo(
        name="street",
        grid=grid,
        vocabulary=SEMANTIC_KITTI,
        frame_names=tuple(f"{place:06d}" for place in range(count)),
        stamps_ns=tuple(round(1e9 * time_s) for time_s in times_s),
        world_T_base=np.stack([_pose(time_s) for time_s in times_s]),
    )
    store, rng = FrameStore.create(folder, info), np.random.default_rng(0)
    for place, time_s in enumerate(times_s):
        store.write(place, _frame(info.world_T_base[place], time_s, grid, rng))
    return store


def _large(folder: Path, options: Options) -> Iterator[Measurement]:
    name = f"refine.frame of {'x'.join(map(str, GRID.shape))}, radius {RADIUS}"
    store = street(folder, GRID, 2 * RADIUS + 1 + options.repeat)
    backend: Backend = "torch" if is_cuda(options.device) else "numba"
    aim = "at least 30 frames/s" if is_cuda(options.device) else "at least 2 frames/s on 2 cores"
    timed = partial(_p50_ms, store, options.device, RADIUS)
    p50_ms = timed(backend, options.repeat)
    memory_mb = peak_bytes(options.device) / 1e6
    yield Measurement(name, p50_ms, "ms", quantity=f"{backend} p50")
    if backend == "numba":
        few = min(options.repeat, _FEW)
        processor_ms = timed(backend, few, time.process_time)
        yield Measurement(name, processor_ms, "ms", quantity="CPU p50")
        yield Measurement(name, timed("torch", few), "ms", quantity="torch p50")
    yield Measurement("refine.rate", 1e3 / p50_ms, "frames/s", f"aim: {aim}, reading included")
    yield Measurement("refine.peak memory", memory_mb, "MB", "on a CPU of the whole process")


def _small(folder: Path, options: Options) -> Iterator[Measurement]:
    name = f"refine.frame of {'x'.join(map(str, SMALL.shape))}, radius {SMALL_RADIUS}"
    store = street(folder, SMALL, 2 * SMALL_RADIUS + 1 + options.repeat)
    backends: tuple[Backend, ...] = ("torch",) if is_cuda(options.device) else ("numba", "torch")
    for backend in backends:
        p50_ms = _p50_ms(store, options.device, SMALL_RADIUS, backend, options.repeat)
        yield Measurement(name, p50_ms, "ms", quantity=f"{backend} p50")
    slowly = partial(propagate_slowly, store, SMALL_RADIUS, _settings(SMALL_RADIUS))
    p50_ms = float(np.median(time_ms(slowly, min(options.repeat, _FEW), warm_up=0)))
    yield Measurement(name, p50_ms, "ms", quantity="reference")


def _p50_ms(
    store: FrameStore,
    device: str,
    radius: int,
    backend: Backend,
    repeat: int,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Of a frame whose window is full; each reads the one that its predecessor had not."""
    places = range(radius, len(store.info) - radius)
    refined = propagate(store, places, _settings(radius), device, backend=backend)
    return float(np.median(time_ms(partial(next, refined), repeat, warm_up=1, clock=clock)))


def _settings(radius: int) -> PropagationOptions:
    return PropagationOptions(radius=radius, sensor="lidar")


def _pose(time_s: float) -> Array:
    turn = Rotation.from_euler("zy", (0.1 * np.sin(0.5 * time_s), 0.005 * np.sin(3.0 * time_s)))
    return from_rotation_translation(turn.as_matrix(), (_SPEED_MPS * time_s, 0.0, 0.0))


def _frame(
    world_T_base: Array, time_s: float, grid: VoxelGrid, rng: np.random.Generator
) -> RecordedFrame:
    centers_m = grid.centers_m().numpy()  # (X, Y, Z, 3)
    class_id, car = _world(transform_points(world_T_base, centers_m), time_s, grid.lower_m[2])
    wrong = rng.random(grid.shape, dtype=np.float32) < _NOISE
    class_id[wrong] = rng.integers(0, len(SEMANTIC_KITTI.names), wrong.sum())
    velocity_mps = np.zeros((*grid.shape, 2), np.float32)
    velocity_mps[car] = _CAR_MPS * world_T_base[0, :2]  # along x of the world, in the ego frame
    return RecordedFrame(class_id, velocity_mps)


def _world(
    points_m: Array, time_s: float, ground_m: float
) -> tuple[Classes, npt.NDArray[np.bool_]]:
    """Classes of points (X, Y, Z, 3) of the world at a time, and which of them are cars."""
    x_m, y_m, height_m = points_m[..., 0], points_m[..., 1], points_m[..., 2] - ground_m
    side_m = np.abs(y_m)
    class_id = np.full(x_m.shape, SEMANTIC_KITTI.empty, np.uint8)
    class_id[height_m < 0.4] = _ROAD
    wall = (side_m > 12.0) & (side_m < 12.4) & (x_m % 20.0 < 14.0) & (height_m < 5.0)
    class_id[wall] = _BUILDING
    tree = (side_m > 8.0) & (side_m < 9.2) & (x_m % 10.0 < 1.2) & (height_m < 4.0)
    class_id[tree] = _TREE
    along_m = (x_m - _CAR_MPS * time_s) % _CAR_GAP_M
    car = (np.abs(side_m - 3.0) < 0.9) & (along_m < 4.0) & (height_m > 0.4) & (height_m < 1.8)
    class_id[car] = _CAR
    return class_id, car
