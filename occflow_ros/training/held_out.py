"""Drives that are held out of training, and what the network in training is worth on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import torch

from occflow_ros.config import Config
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.engine.validation import Scores, validate
from occflow_ros.evaluation.subject import Subject
from occflow_ros.geometry.camera import Image
from occflow_ros.models.occflow_net import OccFlowNet
from occflow_ros.table import Table
from occflow_ros.training.occflow_learner import OccFlowLearner
from occflow_ros.training.pictures import draw_progress
from occflow_ros.training.sample import TrainingSample


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a run is validated with, as `monitor.Validation`.

    Args:
        learner: in training.
        config: of network and training.
        drives: held out; the first one is shown in pictures.
        every: compare every k-th of their sets.
        sample: of the training data, shown in pictures with its cues.
    """

    learner: OccFlowLearner
    config: Config
    drives: tuple[Subject, ...]
    every: int
    sample: TrainingSample

    def early(self, step: int) -> Table:
        """Of one set of each drive; raises DataError."""
        return self._score(step, early(self.drives), every=1).table()

    def score(self, step: int) -> tuple[Table, dict[str, float]]:
        """Of all drives; raises DataError."""
        scores = self._score(step, self.drives, self.every)
        return scores.table(), scores.numbers()

    def picture(self, step: int) -> Image:
        """As `draw_progress`."""
        sharpness_per_m = self.learner.sharpness_per_m(step)
        with self._stream() as stream:
            return draw_progress(
                f"Step {step}", stream, self.drives[0], self.sample, self.config, sharpness_per_m
            )

    def _score(self, step: int, drives: Sequence[Subject], every: int) -> Scores:
        sharpness_per_m = self.learner.sharpness_per_m(step)
        with self._stream() as stream:
            return score(stream, drives, self.config, sharpness_per_m, every)

    def _stream(self) -> AbstractContextManager[OccupancyStream]:
        return stream_of(self.learner.network, self.config, self.learner.sharpness.device)


def score(
    stream: OccupancyStream,
    drives: Sequence[Subject],
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


def early(drives: Sequence[Subject]) -> tuple[Subject, ...]:
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
