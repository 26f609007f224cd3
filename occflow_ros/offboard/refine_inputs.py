"""What a refinement takes: the recordings of its inputs, and where each of them goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from occflow_ros.errors import DataError
from occflow_ros.offboard.engines import Engine
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.parts import OpenPart, Tried
from occflow_ros.offboard.readers import format_of
from occflow_ros.offboard.recording import Recording
from occflow_ros.offboard.segments import segments

Progress = Callable[[Iterable[Any], int, str, str], Iterable[Any]]
"""Wraps what a stage of some name does, so many items of a unit, and yields them on."""

BAGS = "bags"


@dataclass(frozen=True, slots=True)
class Input:
    """A recording on its way through the stages.

    Args:
        source: path that it was opened from.
        recording: as it was opened.
        segments: runs of frames whose poses belong together.
        work: folder for its frames.
        out: as `write_like` takes it.
        bag: folder for a bag of a recording that is none, None for none.
        frames: folder of those that the last stage left, None before the first.
    """

    source: Path
    recording: Recording
    segments: tuple[range, ...]
    work: Path
    out: Path
    bag: Path | None
    frames: Path | None

    @property
    def name(self) -> str:
        """Of the drive."""
        return self.recording.info.name

    def after(self, frames: Path) -> Input:
        """The same after a stage that left its frames in a folder."""
        return replace(self, frames=frames)


@dataclass(frozen=True, slots=True)
class Skip:
    """A path or recording that cannot be refined.

    Args:
        name: to tell it by.
        reason: what is wrong with it.
    """

    name: str
    reason: DataError


def open_inputs(
    paths: Sequence[Path],
    data: Sequence[Path],
    out: Path,
    work: Path,
    bag: bool,
    engine: Engine,
    progress: Progress,
) -> tuple[list[Input], list[Skip]]:
    """The recordings of all paths, and what cannot be opened.

    Args:
        paths: as `open_recordings` takes them.
        data: likewise.
        out: folder for all that is refined.
        work: folder for the frames of the stages.
        bag: whether recordings that are no bags come out as a bag too.
        engine: that opens them.
        progress: wraps the paths.
    """
    parts = [Tried(OpenPart(path, tuple(data))) for path in paths]
    found = dict(progress(engine.run(parts), len(parts), "opening", "input"))
    bag_names = _bag_names(paths)
    inputs: dict[Path, Input] = {}
    skips: list[Skip] = []
    for number, path in enumerate(paths):
        if isinstance(found[number], DataError):
            skips.append(Skip(str(path), found[number]))
            continue
        for index, recording in enumerate(found[number]):
            one = _input(path, recording, work / f"{number:04d}-{index:02d}", out, bag, bag_names)
            key = one.out / one.name if one.out == out else one.out
            if key in inputs:
                there = inputs[key].source
                reason = DataError(f"{path}: {one.name} would take the place of that of {there}")
                skips.append(Skip(f"{path}, {one.name}", reason))
            else:
                inputs[key] = one
    return list(inputs.values()), skips


def _input(
    path: Path,
    recording: Recording,
    work: Path,
    out: Path,
    bag: bool,
    bag_names: Mapping[Path, str],
) -> Input:
    is_bag = format_of(path) == "bag"
    return Input(
        source=path,
        recording=recording,
        segments=segments(recording.info),
        work=work,
        out=out / bag_names[path] if is_bag else out,
        bag=out / BAGS / recording.info.name if bag and not is_bag else None,
        frames=recording.folder if isinstance(recording, FrameStore) else None,
    )


def _bag_names(paths: Sequence[Path]) -> dict[Path, str]:
    """As much of the end of each path as tells it from the others: bag, or 0001_bag, 0002_bag."""
    parts = [path.resolve().with_suffix("").parts[1:] for path in paths]
    longest = max(map(len, parts), default=1)
    for depth in range(1, longest + 1):
        names = ["_".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return dict(zip(paths, names))
