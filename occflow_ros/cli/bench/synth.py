"""Rendering of the synthetic world: one camera set, one LiDAR sweep, one occupancy truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from occflow_ros.data.drive import OCC3D_GRID
from occflow_ros.data.synthetic import (
    lidar_sweep,
    make_world,
    nuscenes_rig,
    occupancy_truth,
    render_rig,
    rendering_workers,
)
from occflow_ros.measurement import Measurement, Options, time_ms

_TIME_S = 5.0
_IMAGE_HW_PX = (128, 352)


def measure(options: Options) -> Iterator[Measurement]:
    """Median and slowest time of each on the asked device."""
    world = make_world(seed=0).to(options.device)
    rig = nuscenes_rig(*_IMAGE_HW_PX)
    with rendering_workers(world) as workers:
        views = list(render_rig(world, rig, _TIME_S, workers).values())
        calls: tuple[tuple[str, Callable[[], object], str], ...] = (
            (
                f"synth.render 6x128x352, {workers} workers",
                lambda: render_rig(world, rig, _TIME_S, workers),
                "aim: under 1000 ms on 2 cores",
            ),
            ("synth.lidar 32 beams", lambda: lidar_sweep(world, _TIME_S, rig), ""),
            (
                "synth.occupancy 200x200x16",
                lambda: occupancy_truth(world, _TIME_S, OCC3D_GRID, views),
                "",
            ),
        )
        for name, call, note in calls:
            times_ms = time_ms(_synchronised(call, options.device), options.repeat)
            yield Measurement(name, float(np.median(times_ms)), "ms", note, "p50")
            yield Measurement(name, float(times_ms.max()), "ms", quantity="max")


def _synchronised(call: Callable[[], object], device: str) -> Callable[[], object]:
    def run() -> None:
        call()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    return run
