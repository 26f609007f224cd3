"""Makes the labels of a drive, leaving out those that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.errors import DataError
from occflow_ros.labels.labeller import Labeller
from occflow_ros.labels.objects import collect_objects
from occflow_ros.labels.options import LabelOptions
from occflow_ros.labels.store import holds_label, label_path, write_label
from occflow_ros.labels.sweeps import read_sweep
from occflow_ros.labels.tracks import read_tracks

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Wraps an iterable of so many items of a unit, and yields them on."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a run did: sets whose labels were `made` now, or `kept` from before."""

    made: int
    kept: int


def make_labels(
    drive: Drive,
    folder: Path,
    options: LabelOptions,
    overwrite: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> Made:
    """Labels of each annotated set of a drive, of all sets where none is annotated.

    Labels that are there are kept, unless they are damaged, so that a run that was stopped goes on
    where it was.

    Args:
        drive: with LiDAR; sweeps of sets between the annotated ones count too.
        folder: for the labels, also those of other drives.
        options: how they are made.
        overwrite: make those too that are there.
        workers: threads.
        progress: wraps what takes long.

    Raises:
        DataError: where the drive has no LiDAR, or a sweep is missing or corrupt.
        OutputError: where the folder cannot be written, or holds labels on another grid.
    """
    if drive.base_T_lidar is None or all(camera_set.lidar is None for camera_set in drive.sets):
        raise DataError(f"{drive.name}: expected LiDAR, from which labels are made, found none")
    wanted = sets_to_label(drive)
    paths = [label_path(folder, drive, camera_set) for camera_set in wanted]
    left = [
        (camera_set, path)
        for camera_set, path in zip(wanted, paths)
        if overwrite or not holds_label(path, options.grid)
    ]
    if left:
        _make(drive, left, options, workers, progress or _plainly)
    return Made(made=len(left), kept=len(wanted) - len(left))


def sets_to_label(drive: Drive) -> list[CameraSet]:
    """The annotated sets, or all where none is."""
    annotated = [camera_set for camera_set in drive.sets if camera_set.boxes is not None]
    return annotated or list(drive.sets)


def _make(
    drive: Drive,
    left: list[tuple[CameraSet, Path]],
    options: LabelOptions,
    workers: int,
    progress: Progress,
) -> None:
    tracks = read_tracks(drive)
    scanned = [camera_set for camera_set in drive.sets if camera_set.lidar is not None]
    sweeps = (read_sweep(drive, camera_set, tracks, options) for camera_set in scanned)
    objects = collect_objects(progress(sweeps, len(scanned), "sweep"), options.cell_m)
    labeller = Labeller(drive, tracks, objects, options)

    def make(camera_set: CameraSet, path: Path) -> None:
        write_label(path, labeller.label(camera_set))

    pool = ThreadPoolExecutor(workers)
    try:
        futures = [pool.submit(make, camera_set, path) for camera_set, path in left]
        for future in progress(as_completed(futures), len(futures), "set"):
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _plainly(items: Iterable[Any], total: int, unit: str) -> Iterable[Any]:
    return items
