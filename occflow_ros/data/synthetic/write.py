"""Writes a drive through a synthetic world as nuScenes, SemanticKITTI or a recording folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from occflow_ros.data.drive import OCC3D_GRID, Drive
from occflow_ros.data.drive_writer import Capture, CapturedSet, DriveWriter
from occflow_ros.data.kitti_writer import kitti_odometry_writer
from occflow_ros.data.nuscenes_writer import nuscenes_writer
from occflow_ros.data.recording import recording_writer
from occflow_ros.data.semantic_kitti import labels_from_scene
from occflow_ros.data.semantic_kitti_voxels import FRAMES_PER_LABEL
from occflow_ros.data.synthetic import image_truth
from occflow_ros.data.synthetic.frames import SyntheticSet, frames, rendering_workers
from occflow_ros.data.synthetic.image_truth import ImageTruthWriter
from occflow_ros.data.synthetic.occupancy import occupancy_truth
from occflow_ros.data.synthetic.rig import Rig, kitti_rig, nuscenes_rig
from occflow_ros.data.synthetic.semantic_kitti import in_lidar_frame, voxel_truth
from occflow_ros.data.synthetic.street import make_world
from occflow_ros.data.synthetic.world import World
from occflow_ros.errors import ConfigError
from occflow_ros.geometry.se3 import Array
from occflow_ros.output import check_free, output_folder
from occflow_ros.structures import VoxelGrid

VERSION = "v1.0-synthetic"

DriveFormat = Literal["nuscenes", "semantickitti", "recording"]
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
        grid: of the occupancy; that of SemanticKITTI is its own.
        back: drive the same street the other way, as `make_world` says.
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
    back: bool = False
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

    A nuScenes data set has the version `v1.0-synthetic`. SemanticKITTI gets the sequence 08, whose
    frames are the sets, labels of all points, and true voxels of every fifth frame, as in the
    official data set. With
    `truth="all"` the folder `truth` holds what `image_truth` says.

    Args:
        progress: wraps the iterator of all sets, with their number.

    Raises:
        ConfigError: where SemanticKITTI is asked for with sweeps.
        OutputError: where the folder is occupied or cannot be written.
    """
    check_free(folder, overwrite)
    if drive_format == "semantickitti" and options.sweeps:
        raise ConfigError(
            f"sweeps: expected 0 for semantickitti, whose frames are alike, got {options.sweeps}"
        )
    duration_s = options.num_sets * options.interval_s
    world = make_world(options.seed, duration_s, options.back).to(options.device)
    rig = _rig(drive_format, options)
    header = _header(drive_format, options, rig)
    with (
        rendering_workers(world) as workers,
        output_folder(folder, overwrite) as partial,
        tempfile.TemporaryDirectory(dir=partial.parent, prefix=".truth-") as staging,
    ):
        sets = _captured(world, rig, drive_format, options, Path(staging), workers)
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
    if drive_format == "semantickitti":
        return kitti_odometry_writer(folder, header)
    return recording_writer(folder, header)


def _rig(drive_format: DriveFormat, options: SceneOptions) -> Rig:
    make = kitti_rig if drive_format == "semantickitti" else nuscenes_rig
    return make(*options.image_hw_px)


def _header(drive_format: DriveFormat, options: SceneOptions, rig: Rig) -> Drive:
    header = Drive(
        name=f"synthetic-{options.seed:04d}" + ("-back" if options.back else ""),
        cameras={camera.name: camera for camera in rig.cameras},
        sets=(),
        base_T_lidar=rig.base_T_lidar,
        licence="CC0-1.0",
        notes=f"procedural street, seed {options.seed}" + (", other way" if options.back else ""),
    )
    return in_lidar_frame(header) if drive_format == "semantickitti" else header


def _captured(
    world: World,
    rig: Rig,
    drive_format: DriveFormat,
    options: SceneOptions,
    staging: Path,
    workers: int,
) -> Iterator[CapturedSet]:
    times_s = [index * options.interval_s for index in range(options.num_sets)]
    image_writer = ImageTruthWriter(
        staging / image_truth.FOLDER, world, rig, options.interval_s, workers
    )
    for number, synthetic in enumerate(frames(world, rig, times_s, workers)):
        if options.truth == "all":
            image_writer.add(number, synthetic.time_s, synthetic.renderings)
        if drive_format == "semantickitti":
            yield _kitti_set(world, rig, synthetic, options, number)
        else:
            yield _captured_set(world, synthetic, options, number % (1 + options.sweeps) == 0)
    if options.truth == "all":
        image_writer.finish()


def _captured_set(
    world: World, synthetic: SyntheticSet, options: SceneOptions, keyframe: bool
) -> CapturedSet:
    with_occupancy = keyframe and options.truth != "none"
    views = list(synthetic.renderings.values())
    truth = (
        occupancy_truth(world, synthetic.time_s, options.grid, views) if with_occupancy else None
    )
    return replace(
        _sensors(world, synthetic, np.eye(4)),
        boxes=synthetic.boxes if keyframe else None,
        occupancy=truth,
        keyframe=keyframe,
    )


def _kitti_set(
    world: World, rig: Rig, synthetic: SyntheticSet, options: SceneOptions, number: int
) -> CapturedSet:
    captured = _sensors(world, synthetic, rig.base_T_lidar)
    if options.truth == "none":
        return captured
    sweep = synthetic.lidar
    captured = replace(captured, point_labels=labels_from_scene(sweep.class_id, sweep.moving))
    if number % FRAMES_PER_LABEL:
        return captured
    labelled = range(0, options.num_sets, FRAMES_PER_LABEL)
    times_s = [index * options.interval_s for index in labelled]
    truth, seen = voxel_truth(world, synthetic.time_s, rig, times_s)
    return replace(captured, occupancy=truth, lidar_mask=seen)


def _sensors(world: World, synthetic: SyntheticSet, ego_T_base: Array) -> CapturedSet:
    """What the sensors of a set record, with the poses of a base on the ego."""
    stamp_ns, odom_T_base = _stamp_ns(synthetic.time_s), synthetic.odom_T_base @ ego_T_base
    return CapturedSet(
        stamp_ns=stamp_ns,
        odom_T_base=odom_T_base,
        images={
            name: Capture(
                rendering.image.cpu().numpy(),
                _stamp_ns(rendering.time_s),
                world.odom_T_base(rendering.time_s) @ ego_T_base,
            )
            for name, rendering in synthetic.renderings.items()
        },
        lidar=Capture(synthetic.lidar.points_m, stamp_ns, odom_T_base),
    )


def _stamp_ns(time_s: float) -> int:
    """Stamps are whole microseconds, as nuScenes keeps them."""
    return _START_NS + round(time_s * 1e6) * 1000
