"""Drives that are held out of training, and what the network in training is worth on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from operator import add

import torch

from occflow_ros.config import Config
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.engine.validation import Scores, validate
from occflow_ros.evaluation.subject import Subject
from occflow_ros.models.occflow_net import OccFlowNet


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
