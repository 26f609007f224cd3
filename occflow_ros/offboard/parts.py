"""Parts of a refinement: a few frames each, so that many can be done at the same time.

A part reads one folder of frames and writes another, only the frames that are missing there. It
knows no other part and keeps nothing, so where it is done, how often and in which order is all the
same to the bytes that it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from occflow_ros.errors import DataError
from occflow_ros.offboard.bag_writer import write_bag
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.local_refiner import LocalRefiner
from occflow_ros.offboard.propagation import PropagationOptions, propagate
from occflow_ros.offboard.readers import open_recordings
from occflow_ros.offboard.recording import Recording
from occflow_ros.offboard.writers import write_like
from occflow_ros.output import write_text

ResultT = TypeVar("ResultT")

FRAMES = 24
"""In a part: windows of 1, 2, 3, 4, 6, 8 or 12 frames fit into it."""


def cut(segments: Sequence[range], missing: Iterable[int]) -> Iterator[tuple[range, range]]:
    """Runs of up to `FRAMES` places with one missing, each with its segment, counted from there."""
    left = set(missing)
    for segment in segments:
        for start in range(segment.start, segment.stop, FRAMES):
            places = range(start, min(start + FRAMES, segment.stop))
            if not left.isdisjoint(places):
                yield places, segment


@dataclass(frozen=True, slots=True)
class ImportPart:
    """Frames of a recording of any kind, brought into a folder.

    Args:
        recording: they come from.
        target: folder of a `FrameStore`.
        places: of the frames.
    """

    recording: Recording
    target: Path
    places: range

    def __str__(self) -> str:
        return _name(f"import of {self.recording.info.name}", self.places)

    def __call__(self) -> None:
        """Raises DataError and OutputError."""
        store = FrameStore(self.target)
        missing = _missing(store, self.places)
        for place, frame in zip(missing, self.recording.frames(missing)):
            store.write(place, frame)


@dataclass(frozen=True, slots=True)
class LocalPart:
    """Frames through stage 1.

    Args:
        source: folder of a `FrameStore`.
        target: folder of another one.
        places: of the frames.
        segment: they are in.
        weights: checkpoint of the network.
        device: torch device.
    """

    source: Path
    target: Path
    places: range
    segment: range
    weights: Path
    device: str

    def __str__(self) -> str:
        return _name(f"stage 1 of {self.source}", self.places)

    def __call__(self) -> None:
        """Raises DataError and OutputError."""
        target = FrameStore(self.target)
        if missing := _missing(target, self.places):
            left = range(missing[0], self.places.stop)
            refiner = LocalRefiner(self.weights, self.device)
            for place, frame in refiner.refine(FrameStore(self.source), left, self.segment):
                target.write(place, frame)


@dataclass(frozen=True, slots=True)
class GlobalPart:
    """Frames through stage 2; those within the radius around them are read.

    Args:
        source: folder of a `FrameStore`.
        target: folder of another one.
        places: of the frames.
        segment: they are in.
        options: of the vote.
        device: torch device.
    """

    source: Path
    target: Path
    places: range
    segment: range
    options: PropagationOptions
    device: str

    def __str__(self) -> str:
        return _name(f"stage 2 of {self.source}", self.places)

    def __call__(self) -> None:
        """Raises DataError and OutputError."""
        target = FrameStore(self.target)
        if missing := _missing(target, self.places):
            source = FrameStore(self.source)
            for place, frame in propagate(
                source, missing, self.options, self.device, (self.segment,)
            ):
                target.write(place, frame)


@dataclass(frozen=True, slots=True)
class OpenPart:
    """A look at what a path holds, which takes long for large bags; arguments as `open_recordings`.

    Args:
        path: of recordings.
        data: folders of the drives that were predicted.
    """

    path: Path
    data: tuple[Path, ...]

    def __str__(self) -> str:
        return str(self.path)

    def __call__(self) -> tuple[Recording, ...]:
        """Raises DataError."""
        return open_recordings(self.path, self.data)


@dataclass(frozen=True, slots=True)
class WritePart:
    """A refined recording, written in the format in which it came.

    Args:
        source: where it came from.
        refined: folder of a `FrameStore`.
        out: as `write_like` takes it.
        bag: folder for a bag with the same predictions, None for none.
        done: file that is written at the end.
    """

    source: Path
    refined: Path
    out: Path
    bag: Path | None
    done: Path

    def __str__(self) -> str:
        return f"writing of {self.refined}"

    def __call__(self) -> None:
        """Raises DataError and OutputError."""
        store = FrameStore(self.refined)
        write_like(self.source, store, self.out, overwrite=True)
        if self.bag is not None:
            write_bag(store, self.bag, overwrite=True)
        write_text(self.done, "")


@dataclass(frozen=True, slots=True)
class Tried(Generic[ResultT]):
    """A part whose bad data is an answer, so that it does not end the work on other data."""

    part: Callable[[], ResultT]

    def __str__(self) -> str:
        return str(self.part)

    def __call__(self) -> ResultT | DataError:
        """What the part returns, or the DataError that it raises."""
        try:
            return self.part()
        except DataError as error:
            return error


def _missing(store: FrameStore, places: range) -> list[int]:
    return [place for place in places if not store.has(place)]


def _name(work: str, places: range) -> str:
    return f"{work}, frames {places.start} to {places.stop - 1}"
