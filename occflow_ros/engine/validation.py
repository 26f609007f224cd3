"""A stream on a whole drive against its truth: occupancy, velocity and depth."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from occflow_ros.cues.truth import TruthFiles
from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.data.sensors import load_frame
from occflow_ros.engine.prediction import Prediction
from occflow_ros.engine.rendered_depth import (
    DepthAccuracy,
    depth_accuracy,
    exact_depths,
    lidar_depths,
)
from occflow_ros.engine.rendered_flow import scene_flow_accuracy, scene_flow_truths
from occflow_ros.engine.semantics import SemanticStream
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.geometry.se3 import Array
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.metrics.accuracy import Accuracy, against_truth, load_truth, sensor_positions
from occflow_ros.metrics.accuracy_table import HEADER, Row, accuracy_numbers, accuracy_rows
from occflow_ros.metrics.scene_flow import SceneFlowErrors
from occflow_ros.table import Table, number


@dataclass(frozen=True, slots=True)
class Scores(Accumulator):
    """What predictions are worth, for one set or summed over several.

    Args:
        sets: compared, whether there was truth or not.
        skipped: without the reference camera's image; the stream never saw them.
        accuracy: against exact occupancy; its own count of sets says how many have one.
        depth: of the cameras, against exact depth or LiDAR points.
        scene_flow: of the cameras, where there is exact depth and optical flow.
    """

    sets: int = 0
    skipped: int = 0
    accuracy: Accuracy = Accuracy()
    depth: DepthAccuracy = DepthAccuracy()
    scene_flow: SceneFlowErrors = SceneFlowErrors()

    def numbers(self) -> dict[str, float]:
        """All numbers by name, for logs; NaN where nothing was compared."""
        depth, flat = self.depth.prediction, self.depth.flat_ground
        return {
            **accuracy_numbers(self.accuracy),
            "depth_abs_rel": depth.abs_rel,
            "depth_sq_rel_m": depth.sq_rel_m,
            "depth_rmse_m": depth.rmse_m,
            "depth_rmse_log": depth.rmse_log,
            "depth_delta1": depth.delta[0],
            "depth_delta2": depth.delta[1],
            "depth_delta3": depth.delta[2],
            "flat_ground_depth_abs_rel": flat.abs_rel,
            "flat_ground_depth_rmse_m": flat.rmse_m,
            "flat_ground_depth_delta1": flat.delta[0],
            **self.scene_flow.numbers(),
        }

    def table(self) -> Table:
        """Prediction beside the trivial answers."""
        note = (
            f"Over {self.sets} sets, {self.accuracy.sets} of them with exact occupancy, and "
            f"{self.depth.prediction.pixels} pixels; {self.skipped} sets were skipped. RayIoU "
            "without classes, mean over 1, 2 and 4 m."
        )
        rows = (*accuracy_rows(self.accuracy), *_depth_rows(self.depth))
        return Table("Scores", HEADER, rows, note, numbers=2)


def validate(
    stream: OccupancyStream,
    drive: Drive,
    image_hw_px: tuple[int, int],
    *,
    sharpness_per_m: float,
    truth_files: TruthFiles | None = None,
    every: int = 1,
    sets: range | None = None,
    lead_in: int = 0,
) -> Scores:
    """Run the stream over a drive in time order, as the node does, and compare.

    The stream is reset first. It sees those sets that have an image of the first camera, whose
    stamp and pose are the frame's. Occupancy truth is taken to be in the same ego frame, although
    its stamp is that of the set.

    Args:
        stream: of the network's predictions.
        drive: with exact occupancy, LiDAR sweeps, or neither.
        image_hw_px: image size the network takes.
        sharpness_per_m: ξ of equation 13 with which depth is rendered.
        truth_files: exact depth and optical flow of the drive's images; None: LiDAR points are
            the truth of depth.
        every: compare the k-th, 2k-th, … set only, so that the history is full where it can be.
        sets: of the drive, without gaps; None: all.
        lead_in: how many sets before them the stream sees too, to have a history.

    Raises:
        ValueError: where `every` is not positive, or `sets` are not in the drive.
        DataError: where an image, a sweep or a truth cannot be read.
    """
    if every < 1:
        raise ValueError(f"every: expected a positive number, got {every}")
    chosen = _within(drive, sets)
    compared = chosen[every - 1 :: every]
    positions = sensor_positions(drive)
    total = Scores()
    for index, prediction in predictions(
        stream, drive, image_hw_px, sharpness_per_m, chosen, lead_in
    ):
        if prediction is None:
            total += Scores(skipped=1)
        elif index in compared:
            total += score_set(prediction, drive, index, positions, truth_files, image_hw_px)
    return total


def predictions(
    stream: OccupancyStream | SemanticStream,
    drive: Drive,
    image_hw_px: tuple[int, int],
    sharpness_per_m: float,
    sets: range,
    lead_in: int,
) -> Iterator[tuple[int, Prediction | None]]:
    """What the stream says of each set, None where it lacks the reference camera's image.

    Arguments are those of `validate`. Raises DataError where an image cannot be read.
    """
    stream.reset(f"evaluation on {drive.name}")
    reference = next(iter(drive.cameras))
    before = [index for index in range(sets.start) if reference in drive.sets[index].images]
    for index in (*deque(before, maxlen=lead_in), *sets):
        camera_set = drive.sets[index]
        prediction = None
        if reference in camera_set.images:
            frame = load_frame(drive, camera_set, image_hw_px, reference)
            pose: Array = frame.odom_T_base.numpy().astype(np.float64)
            prediction = Prediction.of_fields(stream.step(frame), pose, sharpness_per_m)
        if index in sets:
            yield index, prediction


def score_set(
    prediction: Prediction,
    drive: Drive,
    index: int,
    positions_odom_m: Array,
    truth_files: TruthFiles | None,
    image_hw_px: tuple[int, int] | None = None,
) -> Scores:
    """All that is known about one set.

    Args:
        prediction: of the set.
        drive: whose set it is.
        index: of the set in the drive.
        positions_odom_m: (N, 3) from `sensor_positions`.
        truth_files: as `validate` takes them.
        image_hw_px: as `scene_flow_truths` takes it.

    Raises:
        DataError: where a sweep or a truth cannot be read.
    """
    depths = (
        lidar_depths(drive, drive.sets[index])
        if truth_files is None
        else exact_depths(drive, index, truth_files)
    )
    flows = () if truth_files is None else scene_flow_truths(drive, index, truth_files, image_hw_px)
    return Scores(
        sets=1,
        accuracy=_accuracy(prediction, drive.sets[index], positions_odom_m),
        depth=reduce(add, (depth_accuracy(prediction, one) for one in depths), DepthAccuracy()),
        scene_flow=reduce(
            add, (scene_flow_accuracy(prediction, one) for one in flows), SceneFlowErrors()
        ),
    )


def _within(drive: Drive, sets: range | None) -> range:
    there = range(len(drive.sets))
    if sets is None:
        return there
    if sets.step != 1 or sets.start < 0 or sets.stop > there.stop:
        raise ValueError(f"sets: expected a part of {there} without gaps, got {sets}")
    return sets


def _accuracy(prediction: Prediction, camera_set: CameraSet, positions_odom_m: Array) -> Accuracy:
    truth = load_truth(camera_set, prediction.scene.grid)
    if truth is None:
        return Accuracy()
    return against_truth(prediction.scene, truth, camera_set.odom_T_base, positions_odom_m)


def _depth_rows(depth: DepthAccuracy) -> tuple[Row, ...]:
    got, flat = depth.prediction, depth.flat_ground
    values = (
        ("depth Abs Rel", got.abs_rel, flat.abs_rel, 3),
        ("depth Sq Rel, m", got.sq_rel_m, flat.sq_rel_m, 3),
        ("depth RMSE, m", got.rmse_m, flat.rmse_m, 2),
        ("depth RMSE log", got.rmse_log, flat.rmse_log, 3),
        ("depth within a factor of 1.25", got.delta[0], flat.delta[0], 3),
    )
    return tuple(
        (name, number(value, digits), number(trivial, digits), "flat ground")
        for name, value, trivial, digits in values
    )
