"""What refining is worth on recordings that are held out, before and after."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from occflow_ros.geometry.camera import Image
from occflow_ros.metrics.semantic_iou import ClassCounts, Classes, count_classes, no_counts
from occflow_ros.models.refine.refine_net import RefineNet
from occflow_ros.offboard.window_refiner import WindowRefiner
from occflow_ros.refine_config import RefineClassesConfig
from occflow_ros.structures import UNKNOWN_CLASS_ID
from occflow_ros.table import Table, number
from occflow_ros.training.refine.dataset import AnsweringWindow, RefineDataset
from occflow_ros.training.refine.learner import RefineLearner


@dataclass(frozen=True, slots=True)
class RefineScores:
    """Over the voxels whose class is known.

    Args:
        onboard: of what the onboard model said.
        refined: of what the network makes of it.
    """

    onboard: ClassCounts
    refined: ClassCounts

    def __add__(self, other: RefineScores) -> RefineScores:
        return RefineScores(self.onboard + other.onboard, self.refined + other.refined)

    def numbers(self) -> dict[str, float]:
        """By name; NaN where nothing was there to compare."""
        onboard, refined = self.onboard, self.refined
        return {
            "miou": refined.mean_iou_of_true,
            "completion_iou": refined.completion.iou,
            "onboard_miou": onboard.mean_iou_of_true,
            "onboard_completion_iou": onboard.completion.iou,
        }

    def table(self, frames: int) -> Table:
        """IoU by class before and after, in percent."""
        both = self.onboard, self.refined
        by_class = {name: [one.iou[name] for one in both] for name in self.refined.iou}
        rows = {
            "mean": [one.mean_iou_of_true for one in both],
            "occupied at all": [one.completion.iou for one in both],
            **by_class,
        }
        cells = [(name, *(number(100 * iou, 1) for iou in ious)) for name, ious in rows.items()]
        note = f"Over {frames} frames; the mean is over the classes that are true somewhere."
        return Table("Voxels by class", ("class", "before", "after"), tuple(cells), note, numbers=2)


@dataclass(frozen=True, slots=True)
class RefineHeldOut:
    """What a run is validated with, as `monitor.Validation`.

    Args:
        learner: in training.
        dataset: of the held-out recordings.
        every: compare every k-th window.
    """

    learner: RefineLearner
    dataset: RefineDataset
    every: int

    def early(self, step: int) -> Table:
        """Of the middle one of all windows; raises DataError."""
        del step
        places = self.dataset.windows
        return self._table(places[len(places) // 2 :][:1])[0]

    def score(self, step: int) -> tuple[Table, dict[str, float]]:
        """Of every k-th window; raises DataError."""
        del step
        return self._table(self.dataset.windows[self.every - 1 :: self.every])

    def picture(self, step: int) -> Image | None:
        """None: `occflow refine` and `occflow map` draw."""
        del step
        return None

    def _table(self, places: Sequence[AnsweringWindow]) -> tuple[Table, dict[str, float]]:
        network = self.learner.network
        training = network.training
        try:
            scores = score(network.eval(), self.dataset, places)
        finally:
            network.train(training)
        frames = sum(len(answers) for _, _, answers in places)
        return scores.table(frames), scores.numbers()


def score(
    network: RefineNet, dataset: RefineDataset, places: Iterable[AnsweringWindow]
) -> RefineScores:
    """Sum over windows of the frames that each answers for, as `LocalRefiner` refines them.

    Args:
        network: in evaluation mode.
        dataset: of the recordings.
        places: the windows.

    Raises:
        DataError: where a frame or a truth cannot be read.
    """
    classes = dataset.config.model.classes
    device = next(network.parameters()).device
    refiner = WindowRefiner(network, device)
    nothing = no_counts(classes.names, classes.empty)
    scores = (_score(refiner, dataset, place) for place in places)
    return reduce(operator.add, scores, RefineScores(nothing, nothing))


def _score(refiner: WindowRefiner, dataset: RefineDataset, place: AnsweringWindow) -> RefineScores:
    one, window, answers = place
    sample, classes = dataset.load(one, window), dataset.config.model.classes
    refined = refiner.classes(sample.classes, window, one.recording.info)
    rows = [place - window.local.start for place in answers]
    true = sample.truth[rows].numpy()
    onboard, after = (
        _count(found, true, classes) for found in (sample.classes[rows].numpy(), refined[rows])
    )
    return RefineScores(onboard, after)


def _count(predicted: Classes, true: Classes, classes: RefineClassesConfig) -> ClassCounts:
    """Over several frames (L, X, Y, Z)."""
    counted = true != UNKNOWN_CLASS_ID
    return count_classes(predicted, true, counted, classes.names, classes.empty)
