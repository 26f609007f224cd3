"""SemanticKITTI: IoU and mIoU of its voxels by range, and the RayIoU of Let Occ Flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from occflow_ros.data.kitti_odometry import voxel_files
from occflow_ros.data.scene import VoxelScene
from occflow_ros.data.semantic_kitti import EMPTY, GRID, NAMES
from occflow_ros.data.semantic_kitti_voxels import VoxelTruth, read_voxel_truth
from occflow_ros.engine.prediction import Prediction
from occflow_ros.errors import DataError
from occflow_ros.evaluation.protocol import Key, Protocol
from occflow_ros.evaluation.published import (
    SEMANTIC_KITTI,
    SEMANTIC_KITTI_CLASSES,
    SEMANTIC_KITTI_RAYS,
)
from occflow_ros.evaluation.subject import Subject
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.metrics.accuracy import flat_ground, flat_scene, sensor_positions
from occflow_ros.metrics.ray_iou import RayCounts, count_rays, ray_origins, ray_set
from occflow_ros.metrics.resample import on_grid
from occflow_ros.metrics.semantic_iou import (
    RANGES_M,
    ClassCounts,
    RangeCounts,
    count_ranges,
    no_range_counts,
    within_range,
)
from occflow_ros.metrics.voxel_iou import OccupancyCounts, count_occupancy
from occflow_ros.ops.voxel_raycast import cast_rays
from occflow_ros.table import Table, number

Mask = npt.NDArray[np.bool_]
ByRange = tuple[OccupancyCounts, ...]

_NONE = (OccupancyCounts(),) * len(RANGES_M)


@dataclass(frozen=True, slots=True)
class SemanticKittiScores(Accumulator):
    """Of one frame, or summed over several; by range from near to far.

    Args:
        frames: compared.
        occupied: voxels of the prediction, whatever their class.
        flat: of flat ground.
        classes: of the prediction; empty where it has none.
        rays: of the prediction, whatever the class.
        flat_rays: of flat ground.
    """

    frames: int = 0
    occupied: ByRange = _NONE
    flat: ByRange = _NONE
    classes: RangeCounts = no_range_counts()
    rays: RayCounts = RayCounts()
    flat_rays: RayCounts = RayCounts()


class SemanticKittiProtocol(Protocol[SemanticKittiScores]):
    """Every fifth frame of `sequences/XX/voxels`, on its grid in the frame of the Velodyne."""

    name: ClassVar[str] = "semantickitti"
    key: ClassVar[Key] = Key("iou_51.2m", "IoU within 51.2 m", high_is_good=True)

    @property
    def nothing(self) -> SemanticKittiScores:
        """No frame."""
        return SemanticKittiScores()

    def compared(self, subject: Subject) -> Sequence[int]:
        """Frames with labels."""
        files = voxel_files(subject.folder, subject.drive.name)
        labelled = [index for index in subject.sets if index in files and files[index].label]
        if not labelled:
            raise DataError(
                f"{subject.folder}/sequences/{subject.drive.name}/voxels: expected .label files of "
                f"the frames {subject.sets.start} to {subject.sets.stop - 1}, found none"
            )
        return labelled

    def score(self, subject: Subject, index: int, prediction: Prediction) -> SemanticKittiScores:
        """Voxels on the official grid; rays through each grid as it is, from the poses around."""
        truth = _truth(subject, index)
        scene, classes = on_grid(prediction.scene, prediction.classes_in(NAMES, EMPTY), GRID, EMPTY)
        return SemanticKittiScores(
            frames=1,
            occupied=_by_range(scene.occupied, truth),
            flat=_by_range(flat_ground(GRID, subject.ground_z_m), truth),
            classes=no_range_counts() if classes is None else count_ranges(classes, truth),
            rays=_rays(subject, index, truth, prediction.scene),
            flat_rays=_rays(subject, index, truth, flat_scene(GRID, subject.ground_z_m)),
        )

    def numbers(self, total: SemanticKittiScores) -> dict[str, float]:
        """By range, then rays."""
        by_range = zip(RANGES_M, total.occupied, total.flat, total.classes.by_range)
        voxels = [
            {
                f"iou_{range_m}m": occupied.iou,
                f"precision_{range_m}m": occupied.precision,
                f"recall_{range_m}m": occupied.recall,
                f"miou_{range_m}m": classes.official_mean_iou,
                f"occurring_miou_{range_m}m": classes.mean_iou,
                f"flat_iou_{range_m}m": flat.iou,
            }
            for range_m, occupied, flat, classes in by_range
        ]
        rays = {
            "pooled_ray_iou": total.rays.ray_iou,
            "flat_pooled_ray_iou": total.flat_rays.ray_iou,
        }
        return {name: value for part in (*voxels, rays) for name, value in part.items()}

    def reasons(self, total: SemanticKittiScores) -> dict[str, str]:
        """Why numbers are NaN."""

        def reason(name: str) -> str:
            if not total.frames:
                return "no frame was compared"
            if "miou" in name:
                return "the prediction has no classes of SemanticKITTI, or nothing is in range"
            if "precision" in name:
                return "nothing is predicted in range"
            return "nothing is there in range"

        return {name: reason(name) for name, value in self.numbers(total).items() if value != value}

    def tables(self, total: SemanticKittiScores) -> tuple[Table, ...]:
        """Ranges, classes beside published ones, rays."""
        return (_ranges(total), *_classes(total), _methods(total))

    def classes(self, total: SemanticKittiScores) -> ClassCounts:
        """Within the farthest range."""
        return total.classes.by_range[-1]

    def reference(self, subject: Subject, index: int, prediction: Prediction) -> VoxelScene:
        """Voxels that count."""
        truth = _truth(subject, index)
        occupied = truth.occupied & truth.counted
        standing = np.zeros((*GRID.shape, 2), np.float32)
        return VoxelScene(GRID, occupied, standing, truth.classes, NAMES)


def _truth(subject: Subject, index: int) -> VoxelTruth:
    return read_voxel_truth(voxel_files(subject.folder, subject.drive.name)[index])


def _by_range(occupied: Mask, truth: VoxelTruth) -> ByRange:
    return tuple(
        count_occupancy(occupied, truth.occupied, truth.counted & within_range(GRID, range_m))
        for range_m in RANGES_M
    )


def _rays(subject: Subject, index: int, truth: VoxelTruth, scene: VoxelScene) -> RayCounts:
    """What nobody saw is empty in the truth: rays that meet it go on."""
    drive = subject.drive
    rays = ray_set(ray_origins(drive.sets[index].odom_T_base, sensor_positions(drive)))
    true = cast_rays(truth.occupied & truth.counted, GRID, *rays)
    found = cast_rays(scene.occupied, scene.grid, *rays)
    return count_rays(true.distance_m, found.distance_m)


def _ranges(total: SemanticKittiScores) -> Table:
    numbers = SemanticKittiProtocol().numbers(total)
    names = ("iou", "precision", "recall", "miou", "occurring_miou", "flat_iou")
    rows = tuple(
        (f"{range_m} m", *(number(100 * numbers[f"{name}_{range_m}m"], 2) for name in names))
        for range_m in RANGES_M
    )
    header = ("range", "IoU", "precision", "recall", "mIoU", "of those there", "IoU of flat ground")
    note = (
        f"{total.frames} frames. Percent; mIoU is the mean over all 19 classes, then over those "
        "that occur."
    )
    return Table("Voxels by range", header, rows, note, numbers=6)


def _classes(total: SemanticKittiScores) -> tuple[Table, ...]:
    by_range = [counts.iou for counts in total.classes.by_range]
    rows = tuple((name, *(number(100 * iou[name], 2) for iou in by_range)) for name in by_range[0])
    header = ("class", *(f"{range_m} m" for range_m in RANGES_M))
    note = "IoU in percent; - where the class does not occur, or the prediction has no classes."
    by_class = Table("By class", header, rows, note, numbers=len(RANGES_M))
    has_classes = total.classes != no_range_counts()
    return (by_class, _beside_published(total)) if has_classes else (by_class,)


def _beside_published(total: SemanticKittiScores) -> Table:
    counts = total.classes.by_range[-1]
    ours = (counts.official_mean_iou, *(counts.iou[name] for name in SEMANTIC_KITTI_CLASSES))
    rows = (
        ("this prediction", *(number(100 * iou, 2) for iou in ours)),
        *((name, *(f"{iou:.2f}" for iou in ious)) for name, *ious in SEMANTIC_KITTI),
    )
    header = ("method", "mIoU", *SEMANTIC_KITTI_CLASSES)
    note = (
        "Percent. Published rows are of the test set, whose labels are not public; *: adapted to "
        "cameras by MonoScene; †: several images."
    )
    return Table("Semantic scene completion", header, rows, note, numbers=len(header) - 1)


def _methods(total: SemanticKittiScores) -> Table:
    def row(name: str, rays: RayCounts) -> tuple[str, ...]:
        return (name, *(number(100 * iou, 2) for iou in (*rays.iou, rays.ray_iou)))

    published = [(name, *(f"{iou:.2f}" for iou in ious)) for name, *ious in SEMANTIC_KITTI_RAYS]
    rows = (row("this prediction", total.rays), row("flat ground", total.flat_rays), *published)
    header = ("method", "IoU@1", "@2", "@4", "RayIoU")
    note = "Percent, without classes, all rays alike. Published rows are of sequence 08."
    return Table("RayIoU", header, rows, note, numbers=4)
