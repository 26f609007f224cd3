"""Accuracy beside the trivial answers, as a table and as plain numbers."""

from __future__ import annotations

import math

from occflow_ros.metrics.accuracy import Accuracy, RayAccuracy
from occflow_ros.metrics.ray_iou import RayCounts
from occflow_ros.metrics.velocity import VelocityError
from occflow_ros.table import Table, number

HEADER = ("measure", "prediction", "trivial answer", "which is")
Row = tuple[str, str, str, str]

_FOUND = "velocity error of moving voxels that were found, m/s"
_MET = "velocity error where rays meet what moves, m/s"
_TRUTH_NOTE = (
    "Over {sets}, against the exact occupancy of the voxels that a camera sees, and along rays: "
    "RayIoU without classes, mean over 1, 2 and 4 m."
)
_LIDAR_NOTE = (
    "Over {sets}, against voxels that hold LiDAR points: this source has no occupancy truth. "
    "A voxel without points may still be occupied, so precision and IoU are lower bounds."
)


def accuracy_table(accuracy: Accuracy | None) -> Table:
    """Prediction beside the trivial answers; None: there is no truth."""
    if accuracy is None:
        return Table("Accuracy", HEADER, (), "There is no ground truth in this source.")
    note = _LIDAR_NOTE if accuracy.against == "lidar" else _TRUTH_NOTE
    sets = "1 set" if accuracy.sets == 1 else f"{accuracy.sets} sets"
    return Table("Accuracy", HEADER, accuracy_rows(accuracy), note.format(sets=sets), numbers=2)


def accuracy_rows(accuracy: Accuracy) -> tuple[Row, ...]:
    """What can be said against this kind of truth."""
    voxels = *_occupancy_rows(accuracy), _velocity_row(_FOUND, accuracy)
    if accuracy.against == "lidar":
        return voxels
    rays = accuracy.rays
    return (
        *voxels,
        _standing_row(accuracy.standing),
        _ray_row("RayIoU, all rays", rays.all_rays, rays.all_rays_flat),
        _ray_row("RayIoU, rays that hit no ground", rays.objects, rays.objects_flat),
        _velocity_row(_MET, rays),
    )


def accuracy_numbers(accuracy: Accuracy) -> dict[str, float]:
    """The numbers derived from the counts, by name; NaN where nothing was compared."""
    return {
        "iou": accuracy.occupancy.iou,
        "precision": accuracy.occupancy.precision,
        "recall": accuracy.occupancy.recall,
        "flat_ground_iou": accuracy.flat_ground.iou,
        "velocity_error_mps": accuracy.velocity.mean_mps,
        "zero_velocity_error_mps": accuracy.zero_velocity.mean_mps,
        "standing_speed_mps": accuracy.standing.mean_mps,
        **_ray_numbers("ray_iou", accuracy.rays.all_rays),
        **_ray_numbers("flat_ground_ray_iou", accuracy.rays.all_rays_flat),
        **_ray_numbers("object_ray_iou", accuracy.rays.objects),
        **_ray_numbers("flat_ground_object_ray_iou", accuracy.rays.objects_flat),
        "ray_velocity_error_mps": accuracy.rays.velocity.mean_mps,
        "ray_zero_velocity_error_mps": accuracy.rays.zero_velocity.mean_mps,
    }


def _ray_numbers(name: str, counts: RayCounts) -> dict[str, float]:
    """The mean, and the IoU at each threshold."""
    at = {f"{name}_at_{metres}m": iou for metres, iou in zip((1, 2, 4), counts.iou)}
    return {name: counts.ray_iou, **at}


def _occupancy_rows(accuracy: Accuracy) -> tuple[Row, ...]:
    predicted, trivial = accuracy.occupancy, accuracy.flat_ground
    return (
        ("occupied IoU", number(predicted.iou), number(trivial.iou), "flat ground"),
        ("precision", number(predicted.precision), number(trivial.precision), "flat ground"),
        ("recall", number(predicted.recall), number(trivial.recall), "flat ground"),
    )


def _ray_row(name: str, predicted: RayCounts, trivial: RayCounts) -> Row:
    return name, number(predicted.ray_iou), number(trivial.ray_iou), "flat ground"


def _velocity_row(name: str, of: Accuracy | RayAccuracy) -> Row:
    predicted, trivial = number(of.velocity.mean_mps, 2), number(of.zero_velocity.mean_mps, 2)
    return name, predicted, trivial, "everything stands"


def _standing_row(standing: VelocityError) -> Row:
    trivial = number(0.0 if standing.voxels else math.nan, 2)
    name = "speed made up on standing voxels, m/s"
    return name, number(standing.mean_mps, 2), trivial, "everything stands"
