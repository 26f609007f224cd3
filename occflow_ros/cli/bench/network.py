"""One streaming step of the network, stage by stage, with a warm history."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

import numpy as np
import torch

from occflow_ros.engine.ring import ring_frame
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.measurement import Measurement, Options
from occflow_ros.models.build import build_network

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
        frame = ring_frame(_CAMERAS, options.config.model.image_hw_px, index)
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
