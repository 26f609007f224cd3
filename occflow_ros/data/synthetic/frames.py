"""Camera sets of a world in memory: what a drive through it would record, with exact truth."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from occflow_ros.data.drive import Box, Camera
from occflow_ros.data.synthetic.lidar import LidarSweep, lidar_sweep
from occflow_ros.data.synthetic.render import Rendering, render
from occflow_ros.data.synthetic.rig import Rig
from occflow_ros.data.synthetic.world import World
from occflow_ros.geometry.se3 import Array


@dataclass(frozen=True, slots=True)
class SyntheticSet:
    """One camera set.

    Args:
        time_s: reference time.
        odom_T_base: (4, 4) pose of the ego at that time.
        renderings: by camera name, each at the camera's own instant.
        lidar: sweep at the reference time.
        boxes: annotated objects at the reference time.
    """

    time_s: float
    odom_T_base: Array
    renderings: Mapping[str, Rendering]
    lidar: LidarSweep
    boxes: tuple[Box, ...]


@contextmanager
def rendering_workers(world: World) -> Iterator[int]:
    """How many cameras to render at the same time on the device of the world.

    On a CPU that is one for each core, and meanwhile PyTorch takes one thread for each: images are
    small, and threads that share a tensor would mostly wait for each other.
    """
    if world.device.type != "cpu":
        yield 1
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield os.cpu_count() or 1
    finally:
        torch.set_num_threads(threads)


def frames(
    world: World, rig: Rig, times_s: Iterable[float], workers: int = 1
) -> Iterator[SyntheticSet]:
    """Render the camera sets of reference times, one after the other, see `render_rig`."""
    for time_s in times_s:
        yield SyntheticSet(
            time_s=time_s,
            odom_T_base=world.odom_T_base(time_s),
            renderings=render_rig(world, rig, time_s, workers),
            lidar=lidar_sweep(world, time_s, rig),
            boxes=world.boxes_at(time_s),
        )


def render_rig(world: World, rig: Rig, time_s: float, workers: int = 1) -> dict[str, Rendering]:
    """Images of all cameras of a set, each at its own instant, by camera name.

    Args:
        workers: cameras that are rendered at the same time.
    """

    def one(camera: Camera, offset_s: float) -> Rendering:
        instant_s = time_s + offset_s
        pose = world.odom_T_base(instant_s) @ camera.base_T_camera
        return render(world, instant_s, camera.K, pose, camera.height_px, camera.width_px)

    if workers == 1:
        renderings = list(map(one, rig.cameras, rig.offsets_s))
    else:
        with ThreadPoolExecutor(workers) as pool:
            renderings = list(pool.map(one, rig.cameras, rig.offsets_s))
    return {camera.name: rendering for camera, rendering in zip(rig.cameras, renderings)}
