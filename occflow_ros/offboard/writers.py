"""Writes a refined recording in the format that it came in."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from occflow_ros.data import semantic_kitti
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.data.semantic_kitti_voxels import prediction_path, write_prediction
from occflow_ros.data.truth import write_truth
from occflow_ros.data.vocabulary import OCC3D, SEMANTIC_KITTI, Vocabulary
from occflow_ros.errors import DataError
from occflow_ros.offboard.bag_writer import Progress, write_bag_like
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.readers import format_of
from occflow_ros.offboard.recording import RecordedFrame
from occflow_ros.output import output_folder, write_bytes
from occflow_ros.structures import VoxelGrid

Write = Callable[[Path, str, RecordedFrame], None]


def write_like(
    source: Path,
    refined: FrameStore,
    out: Path,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write all frames of a recording; what is written appears whole or not at all.

    Args:
        source: where it came from, as `open_recordings` takes it.
        refined: all its frames.
        out: of a bag, the folder of the bag; else a folder that holds those of several drives.
        overwrite: replace what was written for the drive before.
        progress: wraps the places of the frames; a bag has none.

    Returns:
        The folder of this drive.

    Raises:
        DataError: where a frame is missing, or the format has other classes or another grid.
        OutputError: where the place is occupied or cannot be written.
    """
    name = refined.info.name
    if name != Path(name).name or name in ("", ".", ".."):
        raise DataError(f"{name!r}: expected a drive's name that can be that of a folder")
    match format_of(source):
        case "bag":
            write_bag_like(source, refined, out, overwrite)
            return out
        case "semantic_kitti":
            _check(refined, SEMANTIC_KITTI, semantic_kitti.GRID)
            target, write = prediction_path(out, name, 0).parent, _kitti_writer()
        case "labels":
            _check(refined, OCC3D, refined.info.grid)
            target, write = out / name, _labels_writer(refined.info.grid)
        case "frames":
            target = out / name
            _copy(refined, target, overwrite, progress)
            return target
    with output_folder(target, overwrite) as partial:
        for place in _places(refined, progress):
            write(partial, refined.info.frame_names[place], refined.load(place))
    return target


def _check(refined: FrameStore, vocabulary: Vocabulary, grid: VoxelGrid) -> None:
    info = refined.info
    if info.vocabulary.names != vocabulary.names:
        raise DataError(
            f"{info.name}: expected the classes {', '.join(vocabulary.names)}, got "
            f"{', '.join(info.vocabulary.names)}"
        )
    if info.grid != grid:
        raise DataError(f"{info.name}: expected voxels on {grid}, got {info.grid}")


def _kitti_writer() -> Write:
    def write(folder: Path, name: str, frame: RecordedFrame) -> None:
        write_prediction(folder / f"{name}.label", frame.class_id)

    return write


def _labels_writer(grid: VoxelGrid) -> Write:
    def write(folder: Path, name: str, frame: RecordedFrame) -> None:
        velocity_mps = frame.velocity_mps
        if velocity_mps is None:
            velocity_mps = np.full((*grid.shape, 2), np.nan, np.float32)
        everywhere = np.ones(grid.shape, bool)
        truth = OccupancyTruth(frame.class_id, velocity_mps, everywhere, grid.lower_m, grid.upper_m)
        file = io.BytesIO()
        write_truth(file, truth)
        (folder / name).mkdir()
        write_bytes(folder / name / "labels.npz", file.getvalue())

    return write


def _copy(refined: FrameStore, out: Path, overwrite: bool, progress: Progress | None) -> None:
    with output_folder(out, overwrite) as partial:
        copy = FrameStore.create(partial, refined.info)
        for place in _places(refined, progress):
            copy.write(place, refined.load(place))


def _places(refined: FrameStore, progress: Progress | None) -> Iterable[int]:
    places = range(len(refined.info))
    return places if progress is None else progress(places, len(places))
