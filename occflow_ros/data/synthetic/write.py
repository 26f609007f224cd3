"""Writes a drive through a synthetic world as a nuScenes data set or a recording folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from occflow_ros.data.drive import OCC3D_GRID, Drive
from occflow_ros.data.drive_writer import Capture, CapturedSet, DriveWriter
from occflow_ros.data.nuscenes_writer import nuscenes_writer
from occflow_ros.data.recording import recording_writer
from occflow_ros.data.synthetic import image_truth
from occflow_ros.data.synthetic.frames import SyntheticSet, frames, rendering_workers
from occflow_ros.data.synthetic.image_truth import ImageTruthWriter
from occflow_ros.data.synthetic.occupancy import occupancy_truth
from occflow_ros.data.synthetic.rig import Rig, nuscenes_rig
from occflow_ros.data.synthetic.street import make_world
from occflow_ros.data.synthetic.world import World
from occflow_ros.output import check_free, output_folder
from occflow_ros.structures import VoxelGrid

VERSION = "v1.0-synthetic"

DriveFormat = Literal["nuscenes", "recording"]
Truth = Literal["none", "occupancy", "all"]
Progress = Callable[[Iterator[CapturedSet], int], Iterable[CapturedSet]]

_START_NS = 1_600_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """What is written.

    Args:
        seed: of the world.
        keyframes: annotated camera sets.
        rate_hz: of the keyframes.
        image_hw_px: size of the images.
        sweeps: sets without annotation between two keyframes.
        truth: `occupancy` per keyframe, `all` with the truth of each image, or `none`.
        grid: of the occupancy.
        device: torch device that renders.

    Raises:
        ValueError: where a number is out of range.
    """

    seed: int = 0
    keyframes: int = 40
    rate_hz: float = 2.0
    image_hw_px: tuple[int, int] = (225, 400)
    sweeps: int = 0
    truth: Truth = "occupancy"
    grid: VoxelGrid = OCC3D_GRID
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.keyframes < 1 or self.sweeps < 0 or not self.rate_hz > 0.0:
            raise ValueError(f"expected keyframes ≥ 1, sweeps ≥ 0 and a positive rate, got {self}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: expected 0 to 2**63 - 1, got {self.seed}")
        if min(self.image_hw_px) < 8 or max(self.image_hw_px) > 8192:
            raise ValueError(f"image_hw_px: expected 8x8 to 8192x8192, got {self.image_hw_px}")

    @property
    def interval_s(self) -> float:
        """Time between consecutive sets."""
        return 1.0 / (self.rate_hz * (1 + self.sweeps))

    @property
    def num_sets(self) -> int:
        """Keyframes and the sweeps between them."""
        return (self.keyframes - 1) * (1 + self.sweeps) + 1


def write_synthetic(
    folder: Path,
    drive_format: DriveFormat,
    options: SceneOptions,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Render a scene and write it; the folder appears whole or not at all.

    A nuScenes data set has the version `v1.0-synthetic`. With `truth="all"` the folder `truth`
    holds what `image_truth` says.

    Args:
        progress: wraps the iterator of all sets, with their number.

    Raises:
        OutputError: where the folder is occupied or cannot be written.
    """
    check_free(folder, overwrite)
    world = make_world(options.seed, options.num_sets * options.interval_s).to(options.device)
    rig = nuscenes_rig(*options.image_hw_px)
    header = _header(options, rig)
    with (
        rendering_workers(world) as workers,
        output_folder(folder, overwrite) as partial,
        tempfile.TemporaryDirectory(dir=partial.parent, prefix=".truth-") as staging,
    ):
        sets = _captured(world, rig, options, Path(staging), workers)
        with _writer(partial, drive_format, header) as writer:
            for captured in sets if progress is None else progress(sets, options.num_sets):
                writer.add_set(captured)
        if options.truth == "all":
            (Path(staging) / image_truth.FOLDER).rename(partial / image_truth.FOLDER)


def _writer(
    folder: Path, drive_format: DriveFormat, header: Drive
) -> AbstractContextManager[DriveWriter]:
    if drive_format == "nuscenes":
        return nuscenes_writer(folder, VERSION, header)
    return recording_writer(folder, header)


def _header(options: SceneOptions, rig: Rig) -> Drive:
    return Drive(
        name=f"synthetic-{options.seed:04d}",
        cameras={camera.name: camera for camera in rig.cameras},
        sets=(),
        base_T_lidar=rig.base_T_lidar,
        licence="CC0-1.0",
        notes=f"procedural street, seed {options.seed}",
    )


def _captured(
    world: World, rig: Rig, options: SceneOptions, staging: Path, workers: int
) -> Iterator[CapturedSet]:
    times_s = [index * options.interval_s for index in range(options.num_sets)]
    image_writer = ImageTruthWriter(
        staging / image_truth.FOLDER, world, rig, options.interval_s, workers
    )
    for number, synthetic in enumerate(frames(world, rig, times_s, workers)):
        if options.truth == "all":
            image_writer.add(number, synthetic.time_s, synthetic.renderings)
        yield _captured_set(world, synthetic, options, number % (1 + options.sweeps) == 0)
    if options.truth == "all":
        image_writer.finish()


def _captured_set(
    world: World, synthetic: SyntheticSet, options: SceneOptions, keyframe: bool
) -> CapturedSet:
    time_s, stamp_ns = synthetic.time_s, _stamp_ns(synthetic.time_s)
    with_occupancy = keyframe and options.truth != "none"
    views = list(synthetic.renderings.values())
    return CapturedSet(
        stamp_ns=stamp_ns,
        odom_T_base=synthetic.odom_T_base,
        images={
            name: Capture(
                rendering.image.cpu().numpy(),
                _stamp_ns(rendering.time_s),
                world.odom_T_base(rendering.time_s),
            )
            for name, rendering in synthetic.renderings.items()
        },
        lidar=Capture(synthetic.lidar_m, stamp_ns, synthetic.odom_T_base),
        boxes=synthetic.boxes if keyframe else None,
        occupancy=occupancy_truth(world, time_s, options.grid, views) if with_occupancy else None,
        keyframe=keyframe,
    )


def _stamp_ns(time_s: float) -> int:
    """Stamps are whole microseconds, as nuScenes keeps them."""
    return _START_NS + round(time_s * 1e6) * 1000
