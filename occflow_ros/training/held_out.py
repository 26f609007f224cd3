"""Drives that are held out of training, and what the network in training is worth on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import torch

from occflow_ros.config import Config
from occflow_ros.cues.truth import TruthFiles
from occflow_ros.data.drive import Drive
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.data.synthetic.image_truth import FOLDER
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.engine.validation import Scores, validate
from occflow_ros.errors import DataError
from occflow_ros.models.occflow_net import OccFlowNet


@dataclass(frozen=True, slots=True)
class HeldOutDrive:
    """A drive and the part of it that is held out.

    Args:
        drive: all its sets; those before the part serve as history.
        sets: to compare.
        truth_files: exact depth of its images; None: LiDAR points are the truth.
    """

    drive: Drive
    sets: range
    truth_files: TruthFiles | None

    @property
    def middle(self) -> int:
        """The set that stands for the drive in an early look and in pictures."""
        return self.sets[len(self.sets) // 2]


def open_held_out(folder: Path, selection: Selection, sets: range) -> Iterator[HeldOutDrive]:
    """The selected drives of a folder, with exact depth where the synthetic world wrote it.

    Args:
        folder: as `open_drives` takes it.
        selection: of its drives.
        sets: to compare of each drive, as many of them as it has.

    Raises:
        DataError: where the folder holds no such drive, or a drive none of the sets.
    """
    exact = (folder.expanduser() / FOLDER).is_dir()
    # The files of truth count sweeps too.
    complete = replace(selection, keyframes_only=selection.keyframes_only and not exact)
    pairs = zip(open_drives(folder, selection), open_drives(folder, complete), strict=True)
    for drive, every_set in pairs:
        chosen = range(len(drive.sets))[sets.start : sets.stop]
        if not chosen:
            raise DataError(
                f"{drive.name}: expected sets from {sets.start} on to validate with, "
                f"got a drive of {len(drive.sets)}"
            )
        yield HeldOutDrive(drive, chosen, TruthFiles(folder, every_set) if exact else None)


def score(
    stream: OccupancyStream,
    drives: Sequence[HeldOutDrive],
    config: Config,
    sharpness_per_m: float,
    every: int,
) -> Scores:
    """Sum over drives, comparing every k-th set that is held out; raises DataError."""
    each = (
        validate(
            stream,
            one.drive,
            config.model.image_hw_px,
            sharpness_per_m=sharpness_per_m,
            truth_files=one.truth_files,
            every=every,
            sets=one.sets,
            lead_in=config.model.temporal.history,
        )
        for one in drives
    )
    return reduce(add, each, Scores())


def early(drives: Sequence[HeldOutDrive]) -> tuple[HeldOutDrive, ...]:
    """One set of each drive: shows whether all can be read and compared."""
    return tuple(replace(one, sets=range(one.middle, one.middle + 1)) for one in drives)


@contextmanager
def stream_of(
    network: OccFlowNet, config: Config, device: torch.device
) -> Iterator[OccupancyStream]:
    """A stream of the network in training, which is as it was when the block ends.

    It computes as the node does, but for `stream.compile`, which would change the network.
    """
    training = network.training
    plain = config.stream.model_copy(update={"compile": False})
    try:
        yield OccupancyStream(network, config.model_copy(update={"stream": plain}), device)
    finally:
        network.train(training)
