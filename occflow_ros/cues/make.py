"""Makes the cues of a drive, leaving out those that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2

from occflow_ros.cues.estimator import FlowEstimator, MaskEstimator
from occflow_ros.cues.images import CameraImage, ImagePair, image_pairs, images
from occflow_ros.cues.store import (
    CueStore,
    read_flow_entry,
    read_mask_entry,
    write_flow_entry,
    write_mask_entry,
    write_recipe,
)
from occflow_ros.data.drive import Drive
from occflow_ros.errors import DataError

_Item = TypeVar("_Item")
Progress = Callable[[Iterator[bool], int], Iterable[bool]]


@dataclass(frozen=True, slots=True)
class Made:
    """What a run did: images or pairs of them whose cues were `made` now, or `kept` from before."""

    made: int
    kept: int


def make_flow(
    drive: Drive,
    estimator: FlowEstimator,
    folder: Path,
    span: int = 1,
    workers: int = 1,
    progress: Progress | None = None,
) -> Made:
    """Flow of each camera between each set and the next ones, forward and backward.

    Cues that are there are kept, unless they are damaged or came from files that have changed. A
    run that was stopped goes on where it was.

    Args:
        drive: whose images count.
        estimator: that makes flow.
        folder: for the cues, also those of other drives.
        span: farthest of the next sets.
        workers: threads.
        progress: wraps the iterator over all pairs, with their number.

    Raises:
        DataError: where an image or a file of flow is missing or corrupt.
        OutputError: where the folder cannot be written.
    """
    store = CueStore(folder, "flow", estimator.recipe)
    write_recipe(folder, "flow", estimator.recipe)
    pairs = list(image_pairs(drive, span))
    return _run(lambda pair: _make_pair(pair, estimator, store), pairs, workers, progress)


def make_movable(
    drive: Drive,
    estimator: MaskEstimator,
    folder: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> Made:
    """Movable mask of each image; arguments and errors as in `make_flow`."""
    store = CueStore(folder, "movable", estimator.recipe)
    write_recipe(folder, "movable", estimator.recipe)
    return _run(
        lambda image: _make_mask(image, estimator, store), list(images(drive)), workers, progress
    )


def _make_pair(pair: ImagePair, estimator: FlowEstimator, store: CueStore) -> bool:
    ends = pair.earlier.digest(), pair.later.digest()
    paths = store.path(*ends), store.path(*reversed(ends))
    origin = estimator.origin(pair)
    if all(_holds(read_flow_entry, path, origin) for path in paths):
        return False
    for path, cue in zip(paths, estimator.estimate(pair)):
        write_flow_entry(path, cue, origin)
    return True


def _make_mask(image: CameraImage, estimator: MaskEstimator, store: CueStore) -> bool:
    path, origin = store.path(image.digest()), estimator.origin(image)
    if _holds(read_mask_entry, path, origin):
        return False
    write_mask_entry(path, estimator.estimate(image), origin)
    return True


def _holds(
    read: Callable[[Path], tuple[object, str] | None],
    path: Path,
    origin: str,
) -> bool:
    try:
        entry = read(path)
    except DataError:  # damaged, so it is made again
        return False
    return entry is not None and entry[1] == origin


def _run(
    make: Callable[[_Item], bool], items: list[_Item], workers: int, progress: Progress | None
) -> Made:
    with _workers(workers) as pool:
        futures = [pool.submit(make, item) for item in items]
        results = (future.result() for future in as_completed(futures))
        flags = list(results if progress is None else progress(results, len(items)))
    return Made(made=sum(flags), kept=len(flags) - sum(flags))


@contextmanager
def _workers(number: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for images, of which OpenCV then takes one each; none is left when a job fails."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(threads if number == 1 else 1)
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(threads)
