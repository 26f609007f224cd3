"""Everything that the synthetic world knows exactly: occupancy, motion, depth, optical flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from occflow_ros.data.scene import VoxelScene, truth_scene
from occflow_ros.engine.prediction import Prediction
from occflow_ros.engine.validation import Scores, score_set
from occflow_ros.errors import DataError
from occflow_ros.evaluation.protocol import Key, Protocol
from occflow_ros.evaluation.subject import Subject
from occflow_ros.metrics.accuracy import load_truth, sensor_positions
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


class SyntheticProtocol(Protocol[Scores]):
    """Drives that `occflow synth --truth all` wrote; without truth of images, LiDAR has depth."""

    name: ClassVar[str] = "synthetic"
    key: ClassVar[Key] = Key("object_ray_iou", "RayIoU of rays that hit no ground", True)

    @property
    def nothing(self) -> Scores:
        """No set."""
        return Scores()

    def compared(self, subject: Subject) -> Sequence[int]:
        """Sets with exact occupancy."""
        drive = subject.drive
        exact = [index for index in subject.sets if drive.sets[index].occupancy is not None]
        if not exact:
            raise DataError(f"{drive.name}: expected exact occupancy, found none")
        return exact

    def score(self, subject: Subject, index: int, prediction: Prediction) -> Scores:
        """As validation during training does."""
        drive = subject.drive
        scores = score_set(
            prediction,
            drive,
            index,
            sensor_positions(drive),
            subject.truth_files,
            subject.image_hw_px,
        )
        if not scores.accuracy.sets:
            raise DataError(
                f"{drive.sets[index].occupancy}: expected occupancy over the box of the prediction,"
                f" in voxels that divide its own evenly; the prediction has {prediction.scene.grid}"
            )
        return scores

    def numbers(self, total: Scores) -> dict[str, float]:
        """As in the log of a training run."""
        return total.numbers()

    def reasons(self, total: Scores) -> dict[str, str]:
        """Why numbers are NaN."""
        reason = "no such voxel, ray or pixel was compared" if total.sets else "no set was compared"
        return {name: reason for name, value in self.numbers(total).items() if value != value}

    def tables(self, total: Scores) -> tuple[Table, ...]:
        """Beside trivial answers; scene flow alone."""
        numbers = total.scene_flow.numbers()
        rows = tuple((label, number(numbers[name])) for name, label in _FLOW.items())
        return (total.table(), Table("Scene flow", ("measure", "prediction"), rows))

    def reference(self, subject: Subject, index: int, prediction: Prediction) -> VoxelScene | None:
        """The truth on the prediction's grid."""
        truth = load_truth(subject.drive.sets[index], prediction.scene.grid)
        return None if truth is None else truth_scene(truth.coarse)
