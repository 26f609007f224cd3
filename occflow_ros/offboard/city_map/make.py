"""Recordings of any kind in, a map out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from occflow_ros.geometry.se3 import Array
from occflow_ros.offboard.city_map.align import MovedRecording, aligned
from occflow_ros.offboard.city_map.build import (
    MapOptions,
    MapReport,
    Progress,
    begin_map,
    build_map,
    frames_by_region,
)
from occflow_ros.offboard.city_map.store import CityMap
from occflow_ros.offboard.engines import Engine
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.importer import import_recording
from occflow_ros.offboard.readers import notes_of, open_recordings
from occflow_ros.offboard.recording import Recording, RecordingInfo
from occflow_ros.offboard.segments import segments

_FRAMES = ".frames"


@dataclass(frozen=True, slots=True)
class Made:
    """A map and how it came to be.

    Args:
        city: the map, finished.
        report: of the run.
        notes: name of a drive and what is to be known of it, in words.
    """

    city: CityMap
    report: MapReport
    notes: tuple[tuple[str, str], ...]


def make_map(
    inputs: Sequence[Path],
    data: Sequence[Path],
    out: Path,
    options: MapOptions,
    world_T_own: Mapping[str, Array],
    engine: Engine,
    progress: Progress,
) -> Made:
    """Map all recordings of some paths; a run that was stopped is gone on with.

    What is no `FrameStore` is first brought into one, in `out` and for as long as it is needed,
    since every region reads its frames anew.

    Args:
        inputs: as `open_recordings` takes them.
        data: folders of the drives that were predicted, where the inputs do not have their poses.
        out: folder of the map.
        options: how it is made.
        world_T_own: (4, 4) for each drive whose poses are in another fixed frame, by its name.
        engine: that does the regions.
        progress: wraps what takes long.

    Raises:
        ConfigError: where a drive to move is not there.
        DataError: where recordings cannot be read or do not fit together.
        OutputError: where `out` cannot be written or holds another map.
        PartError: where processes die again and again.
    """
    found = [one for path in inputs for one in open_recordings(path, data)]
    recordings = aligned(found, world_T_own)
    infos = [one.info for one in recordings]
    city = begin_map(infos, out, options)
    left = frames_by_region(infos, city.info.lattice).keys() - set(city.finished)
    if left:
        recordings = tuple(
            _in_folder(one, out / _FRAMES / f"{number:04d}", progress)
            for number, one in enumerate(recordings)
        )
    report = build_map(city, recordings, options, engine, progress)
    shutil.rmtree(out / _FRAMES, ignore_errors=True)
    notes = [(one.info.name, note) for one in found for note in (*notes_of(one), *_jumps(one.info))]
    return Made(city, report, tuple(notes))


def _in_folder(recording: Recording, folder: Path, progress: Progress) -> Recording:
    if isinstance(recording, MovedRecording):
        return MovedRecording(
            _in_folder(recording.recording, folder, progress), recording.world_T_own
        )
    if isinstance(recording, FrameStore):
        return recording
    title = recording.info.name
    wrapped = import_recording(
        recording, folder, lambda frames, total: progress(frames, total, title, "frame")
    )
    return wrapped.store


def _jumps(info: RecordingInfo) -> tuple[str, ...]:
    parts = len(segments(info))
    if parts == 1:
        return ()
    return (
        f"{parts - 1} jumps of the pose or gaps in time; each frame is mapped where its pose is, "
        "so poses that began anew give a map that lies on itself",
    )
