"""Occupancy and flow on nuScenes: RayIoU and mAVE of OpenOcc, and voxel IoU of Occ3D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.data.scene import VoxelScene, truth_scene
from occflow_ros.data.truth import read_lidar_mask, read_truth
from occflow_ros.engine.prediction import Prediction
from occflow_ros.errors import DataError
from occflow_ros.evaluation.protocol import Key, Protocol
from occflow_ros.evaluation.published import NUSCENES
from occflow_ros.evaluation.subject import Subject
from occflow_ros.geometry import se3
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.metrics.accuracy import flat_ground, flat_scene, sensor_positions
from occflow_ros.metrics.ray_ends import leaving_m, ray_ends
from occflow_ros.metrics.ray_iou import ray_origins, ray_set
from occflow_ros.metrics.ray_metrics import RayEnds, RayMetrics, evaluate_rays
from occflow_ros.metrics.resample import on_grid
from occflow_ros.metrics.semantic_iou import ClassCounts, count_classes, no_counts
from occflow_ros.metrics.voxel_iou import OccupancyCounts, count_occupancy
from occflow_ros.ops.voxel_raycast import cast_rays
from occflow_ros.table import Table, number

Mask = npt.NDArray[np.bool_]

_FREE_NAME = NAMES[FREE]
_HEADER = ("method", "IoU@1", "@2", "@4", "RayIoU", "mAVE_TP", "mAVE")


@dataclass(frozen=True, slots=True)
class VoxelScores(Accumulator):
    """Over the voxels of one mask, on the grid of the truth.

    Args:
        occupied: the prediction.
        flat: flat ground.
        classes: the prediction by class; empty where it has none.
    """

    occupied: OccupancyCounts = OccupancyCounts()
    flat: OccupancyCounts = OccupancyCounts()
    classes: ClassCounts = no_counts(NAMES, _FREE_NAME)


@dataclass(frozen=True, slots=True)
class NuscenesScores(Accumulator):
    """Of one set, or summed over several.

    Args:
        sets: compared.
        rays: the prediction.
        public: the same with the ends of rays as public code has them (`leaving_m`).
        still: the prediction with everything standing.
        flat: flat ground, standing.
        camera: over voxels that a camera sees.
        lidar: over voxels that LiDAR knows, where the labels say so.
    """

    sets: int = 0
    rays: RayMetrics = RayMetrics()
    public: RayMetrics = RayMetrics()
    still: RayMetrics = RayMetrics()
    flat: RayMetrics = RayMetrics()
    camera: VoxelScores = VoxelScores()
    lidar: VoxelScores = VoxelScores()


class NuscenesProtocol(Protocol[NuscenesScores]):
    """Labels in the layouts of Occ3D, OpenOcc or `occflow labels`; any grid of the prediction."""

    name: ClassVar[str] = "nuscenes"
    key: ClassVar[Key] = Key("agnostic_ray_iou", "RayIoU without classes", high_is_good=True)

    @property
    def nothing(self) -> NuscenesScores:
        """No set."""
        return NuscenesScores()

    def compared(self, subject: Subject) -> Sequence[int]:
        """Sets with labels."""
        drive = subject.drive
        labelled = [index for index in subject.sets if drive.sets[index].occupancy is not None]
        if not labelled:
            raise DataError(
                f"{drive.name}: expected occupancy labels in gts or openocc_v2 of the data set, "
                "or --labels, found none"
            )
        return labelled

    def score(self, subject: Subject, index: int, prediction: Prediction) -> NuscenesScores:
        """Rays through each grid as it is, voxels on the grid of the truth.

        The prediction is of its own time, that of an image, and the truth of the set's: rays and
        voxels are compared where the ego has driven in between.
        """
        camera_set = subject.drive.sets[index]
        assert camera_set.occupancy is not None  # one of `compared`
        path, truth = camera_set.occupancy, read_truth(camera_set.occupancy)
        own_T_set = se3.between(prediction.odom_T_base, camera_set.odom_T_base)
        rays, classes = _Rays.of(subject, index), prediction.classes_in(NAMES, FREE)
        found, found_public = rays.seen_from(own_T_set).ends(prediction.scene, classes)
        true, true_public = rays.ends(_complete(truth), truth.semantics)
        flat, _ = rays.ends(flat_scene(prediction.scene.grid, subject.ground_z_m), None)
        here = on_grid(prediction.scene, classes, truth.grid, FREE, own_T_set)
        lidar_mask, hit = read_lidar_mask(path), np.isfinite(true.distance_m)
        return NuscenesScores(
            sets=1,
            rays=evaluate_rays(true, found),
            public=evaluate_rays(
                replace(true_public, distance_m=np.where(hit, true_public.distance_m, np.inf)),
                found_public,
            ),
            still=evaluate_rays(true, replace(found, velocity_mps=0 * found.velocity_mps)),
            flat=evaluate_rays(true, flat),
            camera=_voxels(*here, truth, truth.observed, subject),
            lidar=VoxelScores()
            if lidar_mask is None
            else _voxels(*here, truth, lidar_mask, subject),
        )

    def numbers(self, total: NuscenesScores) -> dict[str, float]:
        """RayIoU and mAVE, then voxels by mask."""
        return {
            **total.rays.numbers(),
            "public_agnostic_ray_iou": total.public.agnostic.ray_iou,
            "public_ray_iou": total.public.aware.ray_iou,
            "still_agnostic_mave_tp_mps": total.still.agnostic_velocity.mave_tp_mps,
            "flat_agnostic_ray_iou": total.flat.agnostic.ray_iou,
            "flat_pooled_ray_iou": total.flat.pooled.ray_iou,
            **_voxel_numbers("camera", total.camera),
            **_voxel_numbers("lidar", total.lidar),
        }

    def reasons(self, total: NuscenesScores) -> dict[str, str]:
        """Why numbers are NaN."""
        rays = total.rays.reasons() if total.sets else {}
        numbers = self.numbers(total)
        return {
            name: rays.get(name.removeprefix("public_")) or _reason(name, total)
            for name, value in numbers.items()
            if np.isnan(value)
        }

    def tables(self, total: NuscenesScores) -> tuple[Table, ...]:
        """Methods, classes, masks."""
        return (_methods(total), _classes(total), _masks(total))

    def classes(self, total: NuscenesScores) -> ClassCounts:
        """Under the camera mask."""
        return total.camera.classes

    def reference(self, subject: Subject, index: int, prediction: Prediction) -> VoxelScene:
        """What a camera sees of the labels."""
        path = subject.drive.sets[index].occupancy
        assert path is not None  # one of `compared`
        return truth_scene(read_truth(path))


@dataclass(frozen=True, slots=True)
class _Rays:
    """The rays of one set: origins (O, 1, 3) and directions (D, 3)."""

    origins_m: se3.Array
    directions: se3.Array

    @staticmethod
    def of(subject: Subject, index: int) -> _Rays:
        drive = subject.drive
        pose = drive.sets[index].odom_T_base
        return _Rays(*ray_set(ray_origins(pose, sensor_positions(drive))))

    def seen_from(self, dst_T_src: se3.Array) -> _Rays:
        """The same rays in another frame; to the last bit where it is no other."""
        if np.array_equal(dst_T_src, np.eye(4)):
            return self
        directions = self.directions @ dst_T_src[:3, :3].T
        return _Rays(se3.transform_points(dst_T_src, self.origins_m), directions)

    def ends(
        self, scene: VoxelScene, classes: npt.NDArray[np.integer] | None
    ) -> tuple[RayEnds, RayEnds]:
        """By our definition, and as public code has them."""
        hits = cast_rays(scene.occupied, scene.grid, self.origins_m, self.directions)
        ends = ray_ends(hits, classes, scene.velocity_mps)
        leaving = leaving_m(hits, scene.grid, self.origins_m, self.directions)
        return ends, replace(ends, distance_m=leaving)


def _complete(truth: OccupancyTruth) -> VoxelScene:
    """All that is true, whether a camera sees it or not; unknown velocities stay NaN."""
    return VoxelScene(truth.grid, truth.semantics != FREE, truth.velocity_mps)


def _voxels(
    scene: VoxelScene,
    classes: npt.NDArray[np.uint8] | None,
    truth: OccupancyTruth,
    mask: Mask,
    subject: Subject,
) -> VoxelScores:
    occupied = truth.semantics != FREE
    return VoxelScores(
        occupied=count_occupancy(scene.occupied, occupied, mask),
        flat=count_occupancy(flat_ground(truth.grid, subject.ground_z_m), occupied, mask),
        classes=no_counts(NAMES, _FREE_NAME)
        if classes is None
        else count_classes(classes, truth.semantics, mask, NAMES, _FREE_NAME),
    )


def _reason(name: str, total: NuscenesScores) -> str:
    """Why a number is NaN that is not along rays of the prediction itself."""
    if not total.sets:
        return "no set was compared"
    if "ray" in name or "mave" in name:
        return "no ray hits what it takes"
    mask = "LiDAR" if "lidar" in name else "camera"
    scores = total.lidar if "lidar" in name else total.camera
    if scores.occupied != OccupancyCounts():
        if name.endswith("miou"):
            return "the prediction has no classes"
        return f"nothing is {'predicted' if name.endswith('precision') else 'true'} in the mask"
    return f"the labels have no {mask} mask, or nothing is there"


def _voxel_numbers(mask: str, scores: VoxelScores) -> dict[str, float]:
    return {
        f"{mask}_iou": scores.occupied.iou,
        f"{mask}_precision": scores.occupied.precision,
        f"{mask}_recall": scores.occupied.recall,
        f"{mask}_miou": scores.classes.mean_iou,
        f"flat_{mask}_iou": scores.flat.iou,
    }


def _methods(total: NuscenesScores) -> Table:
    def row(name: str, metrics: RayMetrics) -> tuple[str, ...]:
        ious = (*metrics.agnostic.mean_iou, metrics.agnostic.ray_iou)
        velocity = metrics.agnostic_velocity
        cells = [number(100 * iou, 2) for iou in ious]
        return (name, *cells, number(velocity.mave_tp_mps, 2), number(velocity.mave_mps, 2))

    published = [
        (name, *(f"{iou:.2f}" for iou in ious), f"{mave:.2f}", "") for name, *ious, mave in NUSCENES
    ]
    rows = (
        row("this prediction", total.rays),
        row("this prediction, ends of rays as in public code", total.public),
        row("this prediction, everything stands", total.still),
        row("flat ground, standing", total.flat),
        *published,
    )
    note = (
        f"{total.sets} sets. RayIoU in percent without classes, the mean over the classes of the "
        "truth; mAVE in m/s. Published rows are of the nuScenes validation set."
    )
    return Table("RayIoU and velocity", _HEADER, rows, note, numbers=6)


def _classes(total: NuscenesScores) -> Table:
    agnostic, aware = total.rays.agnostic.by_name(), total.rays.aware.by_name()
    velocity = total.rays.agnostic_velocity.by_name()
    camera = total.camera.classes.iou
    rows = tuple(
        (
            name,
            *(number(100 * iou, 2) for iou in agnostic[name]),
            number(100 * float(np.mean(aware[name])), 2),
            number(velocity[name][0], 2) if name in velocity else "",
            number(100 * camera[name], 2),
        )
        for name in agnostic
    )
    header = ("class", "IoU@1", "@2", "@4", "RayIoU with classes", "mAVE_TP", "voxel IoU")
    note = "Percent and m/s; - where the class does not occur, or the prediction has no classes."
    return Table("By class", header, rows, note, numbers=6)


def _masks(total: NuscenesScores) -> Table:
    rows = tuple(
        (
            name,
            *(number(100 * value, 2) for value in _voxel_numbers("mask", scores).values()),
        )
        for name, scores in (("camera", total.camera), ("LiDAR", total.lidar))
    )
    header = ("mask", "IoU", "precision", "recall", "mIoU", "IoU of flat ground")
    return Table("Voxels of Occ3D, by mask", header, rows, "Percent.", numbers=5)
