"""Answers that look at no image, which say what a mean IoU over classes is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from occflow_ros.cues.images import file_digest
from occflow_ros.data.scene import VoxelScene
from occflow_ros.data.vocabulary import GROUND_NAMES
from occflow_ros.engine.prediction import Classes, Prediction
from occflow_ros.errors import DataError
from occflow_ros.evaluation.sources import Predictions
from occflow_ros.evaluation.subject import Subject
from occflow_ros.metrics.accuracy import flat_ground
from occflow_ros.metrics.semantic_iou import ClassCounts
from occflow_ros.table import Table, number
from occflow_ros.training.mono.prior import ClassPrior

Trivial = Literal["prior", "filled", "flat"]
TRIVIAL: tuple[Trivial, ...] = get_args(Trivial)

LABELS: dict[Trivial, str] = {
    "prior": "most frequent class of each voxel",
    "filled": "most frequent filling of voxels that are full one time in five",
    "flat": "flat ground of its most frequent class",
}

_OFTEN = 0.2


@dataclass(frozen=True, slots=True)
class FixedSource:
    """The same answer for every set.

    Args:
        name: says what it is, and tells two apart.
        scene: the answer.
    """

    name: str
    scene: VoxelScene

    def predictions(self, subject: Subject, sets: Sequence[int]) -> Predictions:
        """In the ego frame of each set."""
        for index in sets:
            yield index, Prediction.of_voxels(self.scene, subject.drive.sets[index].odom_T_base)


def trivial_source(kind: Trivial, path: Path, ground_z_m: float) -> FixedSource:
    """One of the trivial answers.

    Args:
        kind: which.
        path: file of a `ClassPrior`.
        ground_z_m: height of the flat ground in the ego frame.

    Raises:
        DataError: where the file cannot be read, or has no class of the ground.
    """
    prior = ClassPrior.load(path)
    empty = prior.names.index(prior.empty)
    match kind:
        case "prior":
            class_id = prior.classes
        case "filled":
            class_id = _filling(prior)
        case "flat":
            here = flat_ground(prior.grid, ground_z_m)
            class_id = np.where(here, _ground_class(prior, path), empty).astype(np.uint8)
    standing = np.zeros((*prior.grid.shape, 2), np.float32)
    scene = VoxelScene(prior.grid, class_id != empty, standing, class_id, prior.names)
    return FixedSource(f"{LABELS[kind]}, {path.name} {file_digest(path, 'prior')}", scene)


def trivial_table(rows: Sequence[tuple[str, ClassCounts]]) -> Table:
    """The prediction, which comes first, beside trivial answers over the same sets."""
    (_, prediction), *_ = rows

    def cells(counts: ClassCounts) -> tuple[str, ...]:
        ious = (counts.official_mean_iou, counts.mean_iou, counts.completion.iou)
        return tuple(number(100 * iou, 2) for iou in ious)

    def times(counts: ClassCounts) -> str:
        mean = counts.official_mean_iou
        return number(prediction.official_mean_iou / mean if mean else float("nan"), 2)

    header = ("answer", "mIoU", "of those there", "completion", "prediction's mIoU over it")
    note = (
        f"Percent, and times. mIoU is the mean over all {len(prediction.iou)} classes, then over "
        "those that occur; completion is the IoU of occupied voxels whatever their class."
    )
    body = tuple((name, *cells(counts), times(counts)) for name, counts in rows)
    return Table("Beside trivial answers", header, body, note, numbers=4)


def trivial_classes_table(rows: Sequence[tuple[str, ClassCounts]]) -> Table:
    """The same by class."""
    by_row = [counts.iou for _, counts in rows]
    body = tuple((name, *(number(100 * iou[name], 2) for iou in by_row)) for name in rows[0][1].iou)
    header = ("class", *(name for name, _ in rows))
    return Table("Beside trivial answers, by class", header, body, "Percent.", numbers=len(rows))


def _filling(prior: ClassPrior) -> Classes:
    """(X, Y, Z); better than the most frequent class for what is rarely at the same place."""
    empty = prior.names.index(prior.empty)
    known = prior.counts.sum(axis=-1)
    filled = prior.counts.copy()
    filled[..., empty] = 0
    often = filled.sum(axis=-1) > _OFTEN * known
    return np.where(often, filled.argmax(axis=-1), empty).astype(np.uint8)


def _ground_class(prior: ClassPrior, path: Path) -> int:
    counts = prior.class_counts
    ground = [place for place, name in enumerate(prior.names) if name in GROUND_NAMES]
    if not ground:
        raise DataError(
            f"{path}: expected one of the classes {', '.join(dict.fromkeys(GROUND_NAMES))}, "
            f"got {', '.join(prior.names)}"
        )
    return max(ground, key=lambda place: int(counts[place]))
