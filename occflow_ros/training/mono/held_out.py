"""What the semantic network in training is worth on sets that are held out."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce

import torch

from occflow_ros.depth.frame_depth import FrameDepth
from occflow_ros.engine.semantics import SemanticEngine, SemanticVoxels
from occflow_ros.geometry.camera import Image
from occflow_ros.metrics.semantic_iou import ClassCounts, count_classes, no_counts
from occflow_ros.mono_config import MonoConfig
from occflow_ros.structures import UNKNOWN_CLASS_ID
from occflow_ros.table import Table, number
from occflow_ros.training.mono.dataset import MonoDataset, Place, load_sample
from occflow_ros.training.mono.learner import MonoLearner
from occflow_ros.training.mono.prior import ClassPrior
from occflow_ros.training.mono.sample import MonoSample


@dataclass(frozen=True, slots=True)
class Scores:
    """Over the voxels whose class is known.

    Args:
        predicted: by the network.
        prior: by the most frequent class of each voxel in the training set.
    """

    predicted: ClassCounts
    prior: ClassCounts

    def __add__(self, other: Scores) -> Scores:
        return Scores(self.predicted + other.predicted, self.prior + other.prior)

    def numbers(self) -> dict[str, float]:
        """By name; NaN where nothing was there to compare."""
        predicted, prior = self.predicted, self.prior
        return {
            "miou": predicted.mean_iou,
            "completion_iou": predicted.completion.iou,
            "prior_miou": prior.mean_iou,
            "prior_completion_iou": prior.completion.iou,
        }

    def table(self, sets: int) -> Table:
        """IoU by class beside the trivial answer, in percent."""
        means = [one.mean_iou for one in self._both]
        occupied = [one.completion.iou for one in self._both]
        by_class = {name: [one.iou[name] for one in self._both] for name in self.predicted.iou}
        rows = {"mean": means, "occupied at all": occupied, **by_class}
        cells = [(name, *(number(100 * iou, 1) for iou in ious)) for name, ious in rows.items()]
        note = f"Over {sets} sets; the prior is the most frequent class of each voxel in training."
        header = ("class", "IoU", "of the prior")
        return Table("Voxels by class", header, tuple(cells), note, numbers=2)

    @property
    def _both(self) -> tuple[ClassCounts, ClassCounts]:
        return self.predicted, self.prior


@dataclass(frozen=True, slots=True)
class MonoHeldOut:
    """What a run is validated with, as `monitor.Validation`.

    Args:
        learner: in training.
        dataset: held out, its samples complete: all cameras and nothing changed.
        depth: of its images.
        prior: of the training set.
        every: compare every k-th set.
    """

    learner: MonoLearner
    dataset: MonoDataset
    depth: FrameDepth
    prior: ClassPrior
    every: int

    def early(self, step: int) -> Table:
        """Of the middle one of all sets; raises DataError."""
        del step
        places = self.dataset.places
        return self._score(places[len(places) // 2 :][:1]).table(1)

    def score(self, step: int) -> tuple[Table, dict[str, float]]:
        """Of every k-th set; raises DataError."""
        del step
        places = self.dataset.places[self.every - 1 :: self.every]
        scores = self._score(places)
        return scores.table(len(places)), scores.numbers()

    def picture(self, step: int) -> Image | None:
        """None: `occflow evaluate` draws."""
        del step
        return None

    def _score(self, places: Sequence[Place]) -> Scores:
        with engine_of(self.learner) as engine:
            return score(engine, self.dataset.config, self.depth, self.prior, places)


def score(
    engine: SemanticEngine,
    config: MonoConfig,
    depth: FrameDepth,
    prior: ClassPrior,
    places: Sequence[Place],
) -> Scores:
    """Sum over sets, all cameras of each; raises DataError.

    Args:
        engine: that predicts.
        config: of its network.
        depth: of the images.
        prior: to compare with.
        places: the sets.
    """
    complete = config.train.model_copy(update={"cameras_per_sample": 0})
    config = config.model_copy(update={"train": complete})
    generator, frames = torch.Generator(), engine.network.frames
    nothing = no_counts(prior.names, prior.empty)
    each = (load_sample(*place, config, depth, frames, generator) for place in places)
    scores = (_compare(engine.predict(one.frames, one.depth_m), one, prior) for one in each)
    return reduce(operator.add, scores, Scores(nothing, nothing))


def _compare(found: SemanticVoxels, sample: MonoSample, prior: ClassPrior) -> Scores:
    true = sample.classes.numpy()
    counted = true != UNKNOWN_CLASS_ID
    predicted, trivial = (
        count_classes(classes, true, counted, prior.names, prior.empty)
        for classes in (found.class_id.cpu().numpy(), prior.classes)
    )
    return Scores(predicted, trivial)


@contextmanager
def engine_of(learner: MonoLearner) -> Iterator[SemanticEngine]:
    """The network in training at work; it is as it was when the block ends."""
    network, training = learner.network, learner.network.training
    try:
        yield SemanticEngine(network, learner.class_weights.device)
    finally:
        network.train(training)
