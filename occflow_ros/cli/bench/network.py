"""One streaming step of the network, stage by stage, with a warm history."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Iterator

import numpy as np
import torch

from occflow_ros.config import ModelConfig
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.measurement import Measurement, Options
from occflow_ros.models.build import build_network
from occflow_ros.structures import CameraRig, Frame

_CAMERAS = 6
_WARM_UP = 3


def measure(options: Options) -> Iterator[Measurement]:
    """Times p50 and p90 by stage and in total, memory and parameters."""
    network = build_network(options.config.model)
    stream = OccupancyStream(network, options.config, options.device)
    rows = _steps(stream, options)
    for stage in rows[0]:
        times_ms = np.array([row[stage] for row in rows])
        note = f"{_CAMERAS} cameras" if stage == "step" else ""
        yield Measurement(f"network.{stage} p50", float(np.median(times_ms)), "ms", note)
        yield Measurement(f"network.{stage} p90", float(np.percentile(times_ms, 90)), "ms")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    yield Measurement("network.parameters", parameters / 1e6, "M")
    yield Measurement("network.history buffer", stream.history_bytes / 1e6, "MB")
    yield _peak_memory(options.device)


def _steps(stream: OccupancyStream, options: Options) -> list[dict[str, float]]:
    """Milliseconds by stage and of the whole step, one row per timed frame."""
    rows = []
    for index in range(_WARM_UP + options.repeat):
        frame = _frame(index, options.config.model)
        start_s = time.perf_counter()
        stream.step(frame)
        if options.device.startswith("cuda"):
            torch.cuda.synchronize(options.device)
        step_ms = (time.perf_counter() - start_s) * 1e3
        rows.append({**stream.timings_ms, "step": step_ms})
    return rows[_WARM_UP:]


def _peak_memory(device: str) -> Measurement:
    if device.startswith("cuda"):
        peak = torch.cuda.max_memory_allocated(device)
        return Measurement("network.peak memory", peak / 2**20, "MiB", "allocated on the device")
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measurement("network.peak memory", peak_kib / 2**10, "MiB", "resident, whole process")


def _frame(index: int, model: ModelConfig) -> Frame:
    """Noise seen by a ring of cameras, each 70° wide, on a straight drive at 10 m/s and 2 Hz."""
    generator = torch.Generator().manual_seed(index)
    size = (_CAMERAS, 3, *model.image_hw_px)
    odom_T_base = torch.eye(4, dtype=torch.float64)
    odom_T_base[0, 3] = 5.0 * index
    return Frame(
        stamp_ns=index * 500_000_000,
        images=torch.randint(0, 256, size, dtype=torch.uint8, generator=generator),
        rig=_ring(*model.image_hw_px),
        odom_T_base=odom_T_base,
    )


def _ring(height_px: int, width_px: int) -> CameraRig:
    focal_px = width_px / 2 / math.tan(math.radians(35.0))
    K = torch.tensor(
        [[focal_px, 0.0, width_px / 2], [0.0, focal_px, height_px / 2], [0.0, 0.0, 1.0]]
    )
    yaw = 2.0 * math.pi * torch.arange(_CAMERAS) / _CAMERAS
    sine, cosine, zero = yaw.sin(), yaw.cos(), torch.zeros(_CAMERAS)
    base_T_camera = torch.eye(4).repeat(_CAMERAS, 1, 1)
    base_T_camera[:, 0, :3] = torch.stack((sine, zero, cosine), dim=-1)
    base_T_camera[:, 1, :3] = torch.stack((-cosine, zero, sine), dim=-1)
    base_T_camera[:, 2, :3] = torch.tensor([0.0, -1.0, 0.0])
    base_T_camera[:, :3, 3] = torch.stack((cosine, sine, zero + 1.6), dim=-1)
    return CameraRig(
        names=tuple(f"camera_{index}" for index in range(_CAMERAS)),
        K=K.repeat(_CAMERAS, 1, 1),
        base_T_camera=base_T_camera,
        present=torch.ones(_CAMERAS, dtype=torch.bool),
    )
