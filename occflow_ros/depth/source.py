"""What an estimator of depth is, and the depth of a drive by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from occflow_ros.data.drive import Drive
from occflow_ros.depth.folder import Depth, DepthFolder

SetDepths = tuple[int, Mapping[str, Depth]]
"""Number of a set in its drive, and depth (h, w) of its whole images by camera, at any size."""

Progress = Callable[[Iterator[SetDepths], int], Iterable[SetDepths]]


class DepthSource(Protocol):
    """An estimator of depth."""

    @property
    def maker(self) -> Mapping[str, str]:
        """What tells its depth from that of others."""

    def depths(self, drive: Drive, sets: Sequence[int]) -> Iterator[SetDepths]:
        """Of the images of these sets, ascending, in order.

        Raises:
            DataError: where an image cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Made:
    """What a run did: images whose depth was `made` now, or `kept` from before."""

    made: int
    kept: int


def make_depths(
    drive: Drive,
    source: DepthSource,
    folder: DepthFolder,
    sets: range | None = None,
    progress: Progress | None = None,
) -> Made:
    """Depth of each image of a drive; files that are there are kept.

    Args:
        drive: whose images count.
        source: that estimates it.
        folder: for the files.
        sets: of the drive, None for all.
        progress: wraps the iterator over the sets whose files are not all there, with their number.

    Raises:
        DataError: where an image cannot be read.
        OutputError: where the folder is another estimator's, or cannot be written.
    """
    folder.claim(source.maker)
    numbers = range(len(drive.sets)) if sets is None else sets
    missing = {index: _missing(drive, index, folder) for index in numbers}
    todo = [index for index in numbers if missing[index]]
    results = source.depths(drive, todo)
    for index, depths in results if progress is None else progress(results, len(todo)):
        for camera in missing[index]:
            stamp_ns = drive.sets[index].images[camera].stamp_ns
            folder.write(drive.name, camera, stamp_ns, depths[camera])
    made = sum(len(cameras) for cameras in missing.values())
    return Made(made, sum(len(drive.sets[index].images) for index in numbers) - made)


def _missing(drive: Drive, index: int, folder: DepthFolder) -> list[str]:
    """Cameras of a set whose image has no file."""

    def path(camera: str) -> Path:
        return folder.path(drive.name, camera, images[camera].stamp_ns)

    images = drive.sets[index].images
    return [camera for camera in images if not path(camera).is_file()]
