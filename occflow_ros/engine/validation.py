"""A stream on a whole drive against its truth: occupancy, velocity and depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from occflow_ros.cues.truth import TruthFiles
from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.data.scene import VoxelScene
from occflow_ros.data.sensors import load_frame
from occflow_ros.engine.rendered_depth import (
    DepthAccuracy,
    DepthTruth,
    depth_accuracy,
    exact_depths,
    lidar_depths,
)
from occflow_ros.engine.rendered_flow import scene_flow_accuracy, scene_flow_truths
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.geometry.se3 import Array
from occflow_ros.metrics.accuracy import Accuracy, against_truth, load_truth, sensor_positions
from occflow_ros.metrics.accuracy_table import HEADER, Row, accuracy_numbers, accuracy_rows
from occflow_ros.metrics.scene_flow import SceneFlowErrors
from occflow_ros.structures import Frame, OccupancyFlow
from occflow_ros.table import Table, number


@dataclass(frozen=True, slots=True)
class Scores:
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

    def __add__(self, other: Scores) -> Scores:
        return Scores(
            sets=self.sets + other.sets,
            skipped=self.skipped + other.skipped,
            accuracy=self.accuracy + other.accuracy,
            depth=self.depth + other.depth,
            scene_flow=self.scene_flow + other.scene_flow,
        )

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

    def counts(self) -> dict[str, Any]:
        """The sums behind the numbers, as plain values."""
        return asdict(self)

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
    stream.reset(f"validation on {drive.name}")
    reference = next(iter(drive.cameras))
    positions = sensor_positions(drive)
    total = Scores()
    for index in range(max(0, chosen.start - lead_in), chosen.stop):
        camera_set = drive.sets[index]
        if reference not in camera_set.images:
            total += Scores(skipped=int(index in chosen))
            continue
        frame = load_frame(drive, camera_set, image_hw_px, reference)
        flow = stream.step(frame)
        if index in compared:
            total += Scores(
                sets=1,
                accuracy=_accuracy(flow, camera_set, positions),
                depth=_depth(flow, frame, _depths(drive, index, truth_files), sharpness_per_m),
                scene_flow=_scene_flow(flow, frame, drive, index, truth_files, sharpness_per_m),
            )
    return total


def scene_of(flow: OccupancyFlow) -> VoxelScene:
    """A prediction as occupied voxels; velocity is zero in the others."""
    occupied = flow.occupied
    velocity_mps = flow.velocity_mps.float() * occupied.unsqueeze(-1)
    return VoxelScene(flow.grid, occupied.cpu().numpy(), velocity_mps.cpu().numpy())


def _within(drive: Drive, sets: range | None) -> range:
    there = range(len(drive.sets))
    if sets is None:
        return there
    if sets.step != 1 or sets.start < 0 or sets.stop > there.stop:
        raise ValueError(f"sets: expected a part of {there} without gaps, got {sets}")
    return sets


def _accuracy(flow: OccupancyFlow, camera_set: CameraSet, positions_odom_m: Array) -> Accuracy:
    truth = load_truth(camera_set, flow.grid)
    if truth is None:
        return Accuracy()
    return against_truth(scene_of(flow), truth, camera_set.odom_T_base, positions_odom_m)


def _depths(drive: Drive, index: int, files: TruthFiles | None) -> Iterator[DepthTruth]:
    if files is None:
        return lidar_depths(drive, drive.sets[index])
    return exact_depths(drive, index, files)


def _depth(
    flow: OccupancyFlow, frame: Frame, truths: Iterator[DepthTruth], sharpness_per_m: float
) -> DepthAccuracy:
    pose: Array = frame.odom_T_base.numpy().astype(np.float64)
    each = (depth_accuracy(flow, pose, truth, sharpness_per_m) for truth in truths)
    return reduce(add, each, DepthAccuracy())


def _scene_flow(
    flow: OccupancyFlow,
    frame: Frame,
    drive: Drive,
    index: int,
    files: TruthFiles | None,
    sharpness_per_m: float,
) -> SceneFlowErrors:
    if files is None:
        return SceneFlowErrors()
    pose: Array = frame.odom_T_base.numpy().astype(np.float64)
    hw_px = (frame.images.shape[-2], frame.images.shape[-1])
    truths = scene_flow_truths(drive, index, files, hw_px)
    each = (scene_flow_accuracy(flow, pose, truth, sharpness_per_m) for truth in truths)
    return reduce(add, each, SceneFlowErrors())


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
