"""One streaming step of the network, stage by stage, beside recomputing the whole clip.

Where the configuration asks for semantics, also the semantic network, alone and beside the other.
"""

from __future__ import annotations

import resource
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from occflow_ros.config import ModelConfig
from occflow_ros.engine.inspection import PartSize, count_parameters, part_sizes
from occflow_ros.engine.load_semantics import beside
from occflow_ros.engine.ring import ring_frame
from occflow_ros.engine.semantics import STAGES
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.errors import ConfigError
from occflow_ros.measurement import Measurement, Options, is_cuda, peak_bytes
from occflow_ros.models.build import build_mono_network, build_network
from occflow_ros.mono_config import MONO_PRESETS, MonoModelConfig
from occflow_ros.structures import Clip, Frame

_WARM_UP = 3


@dataclass(slots=True)
class Run:
    """What was measured while steps and clips took turns.

    Args:
        stages_ms: by stage, one time per step.
        step_ms: of the whole step, one time per step.
        clip_ms: of the same frame from its clip alone.
        peak_bytes: memory while a step ran with a full history.
    """

    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    step_ms: list[float] = field(default_factory=list)
    clip_ms: list[float] = field(default_factory=list)
    peak_bytes: int = 0


def measure(options: Options) -> Iterator[Measurement]:
    """A row per stage and one for the step; then rate, gain over the clip, and memory."""
    sizes = part_sizes(options.config.model, options.cameras)
    stream = OccupancyStream(build_network(options.config.model), options.config, options.device)
    before_bytes = 0 if is_cuda(options.device) else _resident_bytes()
    run = _run(stream, options)
    for stage, times_ms in run.stages_ms.items():
        yield from _row(stage, times_ms, [part for part in sizes if part.stage == stage])
    yield from _row("step", run.step_ms, sizes)
    yield from _times("clip, all of it computed again", run.clip_ms)
    yield from _totals(run, stream, options, before_bytes)
    if options.config.semantics == "mono":
        yield from _with_semantics(stream, options)


def _row(name: str, times_ms: list[float], sizes: list[PartSize]) -> Iterator[Measurement]:
    yield from _times(name, times_ms)
    for quantity, total, unit, divisor in (
        ("parameters", sum(part.parameters for part in sizes), "M", 1e6),
        ("FLOPs", sum(part.flops for part in sizes), "G", 1e9),
    ):
        yield Measurement(f"network.{name}", total / divisor, unit, quantity=quantity)


def _times(name: str, times_ms: list[float]) -> Iterator[Measurement]:
    for quantity, percent in (("p50", 50), ("p90", 90)):
        value_ms = float(np.percentile(times_ms, percent))
        yield Measurement(f"network.{name}", value_ms, "ms", quantity=quantity)


def _totals(
    run: Run, stream: OccupancyStream, options: Options, before_bytes: int
) -> Iterator[Measurement]:
    stream_config, history = options.config.stream, options.config.model.temporal.history
    step_ms, clip_ms = float(np.median(run.step_ms)), float(np.median(run.clip_ms))
    how = f"{options.cameras} cameras, {stream_config.precision}"
    how += ", compiled" if stream_config.compile else ""
    yield Measurement("network.rate", 1e3 / step_ms, "steps/s", how)
    yield Measurement("network.gain over the clip", clip_ms / step_ms, "times", _aim(history))
    yield Measurement("network.history buffer", stream.history_bytes / 1e6, "MB")
    where = "allocated on the device" if is_cuda(options.device) else "resident, whole process"
    yield Measurement("network.peak memory", run.peak_bytes / 2**20, "MiB", where)
    if not is_cuda(options.device):
        # The kernel may have taken back pages of the process meanwhile.
        beyond = max(0, run.peak_bytes - before_bytes) / 2**20
        yield Measurement(
            "network.peak memory of a step", beyond, "MiB", "beyond what was resident before"
        )


def _with_semantics(stream: OccupancyStream, options: Options) -> Iterator[Measurement]:
    """What the semantic network adds to a step, it by itself, and both together."""
    model = options.config.model
    network = build_mono_network(_mono_model(model))
    both = beside(stream, network, model.sharpness_per_m)
    step_ms: list[float] = []
    stages_ms: dict[str, list[float]] = {stage: [] for stage in STAGES}
    total = _WARM_UP + options.repeat
    for index in tqdm(range(total), desc="semantics", unit="step", leave=False):
        frame = ring_frame(options.cameras, model.image_hw_px, index)
        both_ms = _time_ms(lambda: both.step(frame), options.device)  # noqa: B023
        if index < _WARM_UP:
            continue
        step_ms.append(both_ms)
        for stage, times_ms in stages_ms.items():
            times_ms.append(both.timings_ms[stage])
    for stage, times_ms in stages_ms.items():
        yield from _times(stage, times_ms)
    alone_ms = np.sum(list(stages_ms.values()), axis=0).tolist()
    yield from _times("semantics alone, its depth included", alone_ms)
    yield from _times("step of both networks", step_ms)
    yield Measurement("network.rate of both", 1e3 / float(np.median(step_ms)), "steps/s")
    yield Measurement(
        name="network.parameters of semantics",
        value=count_parameters(network) / 1e6,
        unit="M",
        note=f"untrained; at most {network.max_queries} queries per camera",
    )


def _mono_model(model: ModelConfig) -> MonoModelConfig:
    """The first semantic preset on the grid of a network; raises ConfigError."""
    for preset in MONO_PRESETS.values():
        if preset.model.grid == model.grid:
            return preset.model
    presets, got = ", ".join(MONO_PRESETS), model.grid.model_dump()
    raise ConfigError(f"semantics: expected the grid of one of {presets}, got {got}")


def _aim(history: int) -> str:
    return f"with {history} past volumes" + ("; aim: at least 2.2" if history == 2 else "")


def _run(stream: OccupancyStream, options: Options) -> Run:
    """Steps with a warm history and clips of the same frames, by turns."""
    history = options.config.model.temporal.history
    warm_up = max(_WARM_UP, history + 1)
    recent: deque[Frame] = deque(maxlen=history + 1)
    run = Run()
    for index in tqdm(range(warm_up + options.repeat), desc="network", unit="step", leave=False):
        recent.append(ring_frame(options.cameras, options.config.model.image_hw_px, index))
        if index == warm_up and is_cuda(options.device):
            torch.cuda.reset_peak_memory_stats(options.device)
        step_ms = _time_ms(lambda: stream.step(recent[-1]), options.device)
        if index < warm_up:
            continue
        run.peak_bytes = run.peak_bytes or peak_bytes(options.device)
        run.step_ms.append(step_ms)
        for stage, stage_ms in stream.timings_ms.items():
            run.stages_ms.setdefault(stage, []).append(stage_ms)
        run.clip_ms.append(
            _time_ms(lambda: stream.forward_clip(Clip(tuple(recent))), options.device)
        )
    return run


def _time_ms(call: Callable[[], object], device: str) -> float:
    start_s = time.perf_counter()
    call()
    if is_cuda(device):
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start_s) * 1e3


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
