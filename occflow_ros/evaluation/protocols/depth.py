"""What real sensors say: depth of LiDAR points in the images, velocity of annotated boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar

from occflow_ros.data.scene import VoxelScene
from occflow_ros.engine.prediction import Prediction
from occflow_ros.engine.rendered_depth import (
    DepthTruth,
    depth_along_axis_m,
    flat_ground_depth_m,
    lidar_depths,
)
from occflow_ros.errors import DataError
from occflow_ros.evaluation.protocol import Key, Protocol
from occflow_ros.evaluation.published import SEMANTIC_KITTI_DEPTH
from occflow_ros.evaluation.subject import Subject
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.metrics.accuracy import Accuracy
from occflow_ros.metrics.depth import DepthMetrics, evaluate_depth
from occflow_ros.metrics.lidar_accuracy import against_lidar, load_lidar
from occflow_ros.table import Table, number

_BLOCK_PX = 2  # the paper's resolution of 1:2
_PUBLISHED = ("abs_rel", "sq_rel_m", "rmse_m", "rmse_log")
_RANGES = (*_PUBLISHED, "delta1", "delta2", "delta3")


@dataclass(frozen=True, slots=True)
class DepthScores(Accumulator):
    """Of one set, or summed over several.

    Args:
        sets: compared.
        depth: of the prediction.
        flat: of the flat ground.
        voxels: against voxels that hold LiDAR points, moving as the box around them does.
    """

    sets: int = 0
    depth: DepthMetrics = DepthMetrics()
    flat: DepthMetrics = DepthMetrics()
    voxels: Accuracy = Accuracy(against="lidar")


class DepthProtocol(Protocol[DepthScores]):
    """Any drive with a LiDAR; boxes where there are some."""

    name: ClassVar[str] = "depth"
    key: ClassVar[Key] = Key("abs_rel", "Abs Rel", high_is_good=False)

    @property
    def nothing(self) -> DepthScores:
        """No set."""
        return DepthScores()

    def compared(self, subject: Subject) -> Sequence[int]:
        """Sets with a sweep."""
        drive = subject.drive
        swept = [index for index in subject.sets if drive.sets[index].lidar is not None]
        if not swept or drive.base_T_lidar is None:
            raise DataError(f"{drive.name}: expected LiDAR sweeps, found none")
        return swept

    def score(self, subject: Subject, index: int, prediction: Prediction) -> DepthScores:
        """All images of the set."""
        drive, ground_z_m = subject.drive, subject.ground_z_m
        truths = lidar_depths(drive, drive.sets[index], _BLOCK_PX)
        images = (_image(prediction, truth, ground_z_m) for truth in truths)
        hit = _hit(subject, index, prediction)
        assert hit is not None  # there is a sweep
        return reduce(
            add,
            images,
            DepthScores(sets=1, voxels=against_lidar(prediction.scene, hit, ground_z_m)),
        )

    def numbers(self, total: DepthScores) -> dict[str, float]:
        """Means over images, pooled errors, then velocity."""
        pooled = {f"pooled_{name}": v for name, v in total.depth.pooled.numbers().items()}
        flat = {f"flat_{name}": v for name, v in total.flat.images.numbers().items()}
        return {
            **total.depth.images.numbers(),
            **pooled,
            **flat,
            "box_velocity_error_mps": total.voxels.velocity.mean_mps,
            "still_box_velocity_error_mps": total.voxels.zero_velocity.mean_mps,
            "lidar_voxel_recall": total.voxels.occupancy.recall,
        }

    def reasons(self, total: DepthScores) -> dict[str, str]:
        """Why numbers are NaN."""

        def reason(name: str) -> str:
            if not total.sets:
                return "no set was compared"
            if "recall" in name:
                return "no LiDAR point lies in the grid"
            if "box" in name:
                return "no box that moves holds a LiDAR point in an occupied voxel"
            return "no LiDAR point lies in an image at 0.1 to 80 m"

        return {name: reason(name) for name, value in self.numbers(total).items() if value != value}

    def tables(self, total: DepthScores) -> tuple[Table, ...]:
        """Methods, ranges, velocity."""
        return (_methods(total), _ranges(total), _velocity(total))

    def reference(self, subject: Subject, index: int, prediction: Prediction) -> VoxelScene | None:
        """Voxels that hold LiDAR points."""
        return _hit(subject, index, prediction)


def _hit(subject: Subject, index: int, prediction: Prediction) -> VoxelScene | None:
    drive, grid = subject.drive, prediction.scene.grid
    return load_lidar(drive, drive.sets[index], grid, prediction.odom_T_base)


def _image(prediction: Prediction, truth: DepthTruth, ground_z_m: float) -> DepthScores:
    rays = truth.rays(prediction.odom_T_base)
    seen_m = depth_along_axis_m(prediction.view(rays).range_m, rays)
    return DepthScores(
        depth=evaluate_depth(seen_m, truth.depth_m),
        flat=evaluate_depth(flat_ground_depth_m(rays, ground_z_m), truth.depth_m),
    )


def _methods(total: DepthScores) -> Table:
    def row(name: str, metrics: DepthMetrics) -> tuple[str, ...]:
        numbers = metrics.images.numbers()
        return (name, *(number(numbers[key]) for key in _PUBLISHED), number(numbers["delta1"]))

    published = [
        (name, *(f"{value:.3f}" for value in values), "") for name, *values in SEMANTIC_KITTI_DEPTH
    ]
    rows = (row("this prediction", total.depth), row("flat ground", total.flat), *published)
    header = ("method", "Abs Rel", "Sq Rel, m", "RMSE, m", "RMSE log", "d < 1.25")
    note = (
        f"{total.sets} sets. Means over images, 0.1 to 80 m, half resolution. Published rows are "
        "of SemanticKITTI's sequence 08."
    )
    return Table("Depth of LiDAR points", header, rows, note, numbers=5)


def _ranges(total: DepthScores) -> Table:
    rows = tuple(
        (name, str(errors.pixels), *(number(errors.numbers()[key]) for key in _RANGES))
        for name, errors in total.depth.by_range().items()
    )
    shares = ("d < 1.25", "d < 1.25^2", "d < 1.25^3")
    header = ("true depth", "pixels", "Abs Rel", "Sq Rel, m", "RMSE, m", "RMSE log", *shares)
    return Table("By range, pooled over pixels", header, rows, numbers=8)


def _velocity(total: DepthScores) -> Table:
    voxels = total.voxels
    rows = (
        (
            "velocity error in moving boxes, m/s",
            number(voxels.velocity.mean_mps, 2),
            number(voxels.zero_velocity.mean_mps, 2),
            "everything stands",
        ),
        (
            "LiDAR voxels that are found",
            number(voxels.occupancy.recall),
            number(voxels.flat_ground.recall),
            "flat ground",
        ),
    )
    header = ("measure", "prediction", "trivial answer", "which is")
    note = (
        f"{voxels.velocity.voxels} voxels that hold LiDAR points of a moving box and are predicted "
        "as occupied."
    )
    return Table("Velocity of boxes", header, rows, note, numbers=2)
