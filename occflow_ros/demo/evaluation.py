"""The processed sets of a run beside their truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from occflow_ros.data.drive import Drive
from occflow_ros.data.scene import VoxelScene, truth_scene
from occflow_ros.demo.accounting import SetOutcome
from occflow_ros.demo.bag import BagContents
from occflow_ros.geometry.se3 import Array
from occflow_ros.metrics.accuracy import Accuracy, against_truth, load_truth, sensor_positions
from occflow_ros.metrics.lidar_accuracy import against_lidar, load_lidar


@dataclass(frozen=True, slots=True)
class EvaluatedSet:
    """One processed set.

    Args:
        number: position among the sent sets, from 0.
        outcome: the set and the node's word on it.
        prediction: what the bag holds.
        reference: what it is held against on the same grid: the truth, or else voxels that hold
            LiDAR points; None where the source has neither.
        accuracy: None where there is nothing to compare with.
    """

    number: int
    outcome: SetOutcome
    prediction: VoxelScene
    reference: VoxelScene | None
    accuracy: Accuracy | None


def evaluate(
    drive: Drive, outcomes: Sequence[SetOutcome], bag: BagContents
) -> tuple[EvaluatedSet, ...]:
    """Hold every processed set against its truth, in time order."""
    positions = sensor_positions(drive)
    return tuple(
        _evaluate_set(drive, positions, number, outcome, bag.predictions[outcome.report.stamp_ns])
        for number, outcome in enumerate(outcomes)
        if outcome.processed and outcome.report is not None
    )


def total_accuracy(evaluated: Sequence[EvaluatedSet]) -> Accuracy | None:
    """Sum over all sets that have one; exact truth wins where a drive has both kinds."""
    known = [one.accuracy for one in evaluated if one.accuracy is not None]
    exact = [accuracy for accuracy in known if accuracy.against == "occupancy"]
    chosen = exact or known
    return reduce(add, chosen) if chosen else None


def _evaluate_set(
    drive: Drive, positions_odom_m: Array, number: int, outcome: SetOutcome, prediction: VoxelScene
) -> EvaluatedSet:
    if (truth := load_truth(outcome.camera_set, prediction.grid)) is not None:
        pose = outcome.camera_set.odom_T_base
        accuracy = against_truth(prediction, truth, pose, positions_odom_m)
        return EvaluatedSet(number, outcome, prediction, truth_scene(truth.coarse), accuracy)
    if (hit := load_lidar(drive, outcome.camera_set, prediction.grid)) is not None:
        return EvaluatedSet(number, outcome, prediction, hit, against_lidar(prediction, hit))
    return EvaluatedSet(number, outcome, prediction, None, None)
