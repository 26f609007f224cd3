"""Everything that the synthetic world knows exactly: occupancy, motion, depth, optical flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.scene import VoxelScene, truth_scene
from occflow_ros.engine.prediction import Prediction
from occflow_ros.engine.validation import Scores, score_set
from occflow_ros.errors import DataError
from occflow_ros.evaluation.protocol import Key, Protocol
from occflow_ros.evaluation.subject import Subject
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.metrics.accuracy import load_truth, sensor_positions
from occflow_ros.metrics.semantic_iou import ClassCounts, count_classes, no_counts
from occflow_ros.table import Table, number

_FLOW = {
    "de_px": "DE, px",
    "epe_px": "EPE, px",
    "de_fg_px": "DE_FG, px",
    "epe_fg_px": "EPE_FG, px",
    "epe_moving_px": "EPE of what moves, px",
    "d1": "D1_5%",
    "f1": "F1_10%",
    "sf1": "SF1_10%",
}


@dataclass(frozen=True, slots=True)
class SyntheticScores(Accumulator):
    """Of one set, or summed over several.

    Args:
        measured: all but classes.
        classes: of the voxels that some camera sees; empty where the prediction has none.
    """

    measured: Scores = Scores()
    classes: ClassCounts = no_counts(NAMES, NAMES[FREE])


class SyntheticProtocol(Protocol[SyntheticScores]):
    """Drives that `occflow synth --truth all` wrote; without truth of images, LiDAR has depth."""

    name: ClassVar[str] = "synthetic"
    key: ClassVar[Key] = Key("object_ray_iou", "RayIoU of rays that hit no ground", True)

    @property
    def nothing(self) -> SyntheticScores:
        """No set."""
        return SyntheticScores()

    def compared(self, subject: Subject) -> Sequence[int]:
        """Sets with exact occupancy."""
        drive = subject.drive
        exact = [index for index in subject.sets if drive.sets[index].occupancy is not None]
        if not exact:
            raise DataError(f"{drive.name}: expected exact occupancy, found none")
        return exact

    def score(self, subject: Subject, index: int, prediction: Prediction) -> SyntheticScores:
        """As validation during training does, and by class on the prediction's grid."""
        drive = subject.drive
        measured = score_set(
            prediction,
            drive,
            index,
            sensor_positions(drive),
            subject.truth_files,
            subject.image_hw_px,
        )
        if not measured.accuracy.sets:
            raise DataError(
                f"{drive.sets[index].occupancy}: expected occupancy over the box of the prediction,"
                f" in voxels that divide its own evenly; the prediction has {prediction.scene.grid}"
            )
        return SyntheticScores(measured, _count_classes(subject, index, prediction))

    def numbers(self, total: SyntheticScores) -> dict[str, float]:
        """As in the log of a training run, then of classes."""
        classes = total.classes
        return {
            **total.measured.numbers(),
            "miou": classes.official_mean_iou,
            "occurring_miou": classes.mean_iou,
            "completion_iou": classes.completion.iou,
        }

    def reasons(self, total: SyntheticScores) -> dict[str, str]:
        """Why numbers are NaN."""

        def reason(name: str) -> str:
            if not total.measured.sets:
                return "no set was compared"
            if name in ("miou", "occurring_miou", "completion_iou"):
                return f"the prediction has no classes out of {', '.join(NAMES)}"
            return "no such voxel, ray or pixel was compared"

        return {name: reason(name) for name, value in self.numbers(total).items() if value != value}

    def tables(self, total: SyntheticScores) -> tuple[Table, ...]:
        """Beside trivial answers; scene flow alone; classes where the prediction has some."""
        numbers = total.measured.scene_flow.numbers()
        rows = tuple((label, number(numbers[name])) for name, label in _FLOW.items())
        tables = (total.measured.table(), Table("Scene flow", ("measure", "prediction"), rows))
        return (
            tables if total.classes == no_counts(NAMES, NAMES[FREE]) else (*tables, _table(total))
        )

    def classes(self, total: SyntheticScores) -> ClassCounts:
        """Over the voxels that some camera sees."""
        return total.classes

    def reference(self, subject: Subject, index: int, prediction: Prediction) -> VoxelScene | None:
        """The truth on the prediction's grid."""
        truth = load_truth(subject.drive.sets[index], prediction.scene.grid)
        return None if truth is None else truth_scene(truth.coarse)


def _count_classes(subject: Subject, index: int, prediction: Prediction) -> ClassCounts:
    predicted = prediction.classes_in(NAMES, FREE)
    truth = load_truth(subject.drive.sets[index], prediction.scene.grid)
    if predicted is None or truth is None:
        return no_counts(NAMES, NAMES[FREE])
    coarse = truth.coarse
    return count_classes(predicted, coarse.semantics, coarse.observed, NAMES, NAMES[FREE])


def _table(total: SyntheticScores) -> Table:
    classes = total.classes
    means = {
        f"mean of all {len(classes.iou)}": classes.official_mean_iou,
        "mean of those that occur": classes.mean_iou,
        "completion, whatever the class": classes.completion.iou,
    }
    rows = tuple((name, number(100 * iou, 2)) for name, iou in {**means, **classes.iou}.items())
    note = "Percent, over the voxels of the prediction's grid that some camera sees."
    return Table("IoU by class", ("class", "prediction"), rows, note)
