"""RayIoU of one frame as the benchmark takes it: the ray casting kernels beside their twin."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE
from occflow_ros.data.drive import OCC3D_GRID
from occflow_ros.data.synthetic import make_world, occupancy_truth
from occflow_ros.measurement import Measurement, Options, is_cuda, time_ms
from occflow_ros.metrics.ray_iou import MAX_ORIGINS, RayCounts, count_rays, ray_set
from occflow_ros.ops.packed_voxels import Mask, PackedVoxels, as_bytes
from occflow_ros.ops.voxel_raycast import Backend, cast_rays

_TIME_S = 5.0
_REACH_M, _HEIGHT_M = 35.0, 1.84  # origins along the way of the vehicle
_TWIN_STEP = 40  # the twin casts every 40th direction


@dataclass(frozen=True, slots=True)
class RayFrame:
    """What the evaluation of one frame takes, on the grid of Occ3D.

    Args:
        truth: (X, Y, Z), or the same packed.
        prediction: likewise.
        origins_m: (O, 1, 3), each of which takes all directions.
        directions: (D, 3).
    """

    truth: Mask | PackedVoxels
    prediction: Mask | PackedVoxels
    origins_m: npt.NDArray[np.float64]
    directions: npt.NDArray[np.float64]

    def evaluate(self, backend: Backend) -> RayCounts:
        """Cast all rays through both volumes and compare where they end."""
        true, found = (
            cast_rays(volume, OCC3D_GRID, self.origins_m, self.directions, backend)
            for volume in (self.truth, self.prediction)
        )
        return count_rays(true.distance_m, found.distance_m)

    def packed(self) -> RayFrame:
        """The same with one bit per voxel."""
        return replace(self, truth=_packed(self.truth), prediction=_packed(self.prediction))


def measure(options: Options) -> Iterator[Measurement]:
    """Median times per backend, then memory."""
    frame = synthetic_frame()
    yield from _rows("dense", frame, options)
    yield from _rows("packed", frame.packed(), options)
    yield from _memory(frame)


def synthetic_frame() -> RayFrame:
    """A frame of the synthetic world, and a prediction that is off by one voxel along x."""
    semantics = occupancy_truth(make_world(seed=0), _TIME_S, OCC3D_GRID, []).semantics
    truth = semantics != FREE
    origins_m = np.zeros((MAX_ORIGINS, 3))
    origins_m[:, 0], origins_m[:, 2] = np.linspace(-_REACH_M, _REACH_M, MAX_ORIGINS), _HEIGHT_M
    return RayFrame(truth, np.roll(truth, 1, axis=0), *ray_set(origins_m))


def _rows(kind: str, frame: RayFrame, options: Options) -> Iterator[Measurement]:
    name = f"metrics.RayIoU of a frame, {kind} voxels"
    few = replace(frame, directions=frame.directions[::_TWIN_STEP])
    aim = "at most 5 ms with cupy" if is_cuda(options.device) else "at most 250 ms on 2 cores"
    for backend in _backends(options.device):
        p50_ms = np.median(time_ms(partial(frame.evaluate, backend), options.repeat))
        yield Measurement(name, float(p50_ms), "ms", quantity=f"{backend} p50")
    p50_ms = np.median(time_ms(partial(few.evaluate, "numpy"), options.repeat)) * _TWIN_STEP
    note = f"aim: {aim}; numpy is scaled from every {_TWIN_STEP}th ray"
    yield Measurement(name, float(p50_ms), "ms", note, "numpy p50")


def _backends(device: str) -> tuple[Backend, ...]:
    """The kernels that can run here."""
    has_cupy = is_cuda(device) and importlib.util.find_spec("cupy") is not None
    return ("cupy", "numba") if has_cupy else ("numba",)


def _packed(volume: Mask | PackedVoxels) -> PackedVoxels:
    return volume if isinstance(volume, PackedVoxels) else PackedVoxels.pack(volume)


def _memory(frame: RayFrame) -> Iterator[Measurement]:
    for kind, one in (("dense", frame), ("packed", frame.packed())):
        size_kb = as_bytes(one.truth)[0].nbytes / 1e3
        yield Measurement("metrics.memory of one volume", size_kb, "kB", quantity=kind)
    rays = len(frame.origins_m) * len(frame.directions)
    hits_mb = 2 * rays * np.dtype(np.float64).itemsize / 1e6
    yield Measurement("metrics.memory of the hits", hits_mb, "MB", f"{rays:,} rays, each volume")
