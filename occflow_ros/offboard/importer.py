"""Brings a recording of any kind into a folder of frames, going on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.readers import notes_of
from occflow_ros.offboard.recording import RecordedFrame, Recording

Progress = Callable[[Iterable[RecordedFrame], int], Iterable[RecordedFrame]]
"""Wraps an iterable of so many frames, and yields them on."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import left.

    Args:
        store: with all frames.
        made: frames that were written now.
        kept: frames that were there.
        notes: what was left out of the recording and why, in words.
    """

    store: FrameStore
    made: int
    kept: int
    notes: tuple[str, ...]


def import_recording(
    recording: Recording, folder: Path, progress: Progress | None = None
) -> Imported:
    """Write the frames that are missing, one at a time.

    Args:
        recording: to read.
        folder: of a `FrameStore` that is made or gone on with.
        progress: wraps the frames.

    Raises:
        DataError: where a frame cannot be read.
        OutputError: where the folder cannot be written or holds another recording.
    """
    store = FrameStore.create(folder, recording.info)
    missing = store.missing
    frames: Iterable[RecordedFrame] = recording.frames(missing)
    frames = frames if progress is None else progress(frames, len(missing))
    for place, frame in zip(missing, frames):
        store.write(place, frame)
    kept = len(store.info) - len(missing)
    return Imported(store, len(missing), kept, notes_of(recording))
