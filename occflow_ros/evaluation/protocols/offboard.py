"""Offboard refinement: IoU and mIoU by range over all that was ever seen, and what moves.

The paper evaluates over the voxels of SemanticKITTI that count, those that were seen from any
position along the way: completing them is what an offboard model is asked for. Where the truth is
dense, as in the synthetic world, these are the voxels that some camera of any set of the drive
sees. Beside them stand the voxels that the cameras of the set itself see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE, MOVABLE, NAMES
from occflow_ros.data.scene import MOVING_MPS, VoxelScene
from occflow_ros.engine.prediction import Prediction
from occflow_ros.errors import DataError
from occflow_ros.evaluation.protocol import Key, Protocol
from occflow_ros.evaluation.subject import Subject
from occflow_ros.metrics.accumulator import Accumulator, share
from occflow_ros.metrics.semantic_iou import (
    RANGES_M,
    ClassCounts,
    RangeCounts,
    count_within_ranges,
    no_range_counts,
    within_range,
)
from occflow_ros.metrics.voxel_iou import OccupancyCounts
from occflow_ros.offboard.truth import TrueFrame, anywhere_in_drive, true_frame
from occflow_ros.structures import VoxelGrid
from occflow_ros.table import Table, number

Mask = npt.NDArray[np.bool_]

_NOTHING = no_range_counts(NAMES, NAMES[FREE])


@dataclass(frozen=True, slots=True)
class MoverCounts(Accumulator):
    """Voxels of what moves, in a class that can; what could move but stands counts nowhere.

    Args:
        moving: true movers by whether they are predicted as movable; ghosts are its false
            positives, predicted as movable where nothing movable is.
        on_trails: ghosts where something moved at another time of the drive.
    """

    moving: OccupancyCounts = OccupancyCounts()
    on_trails: int = 0


@dataclass(frozen=True, slots=True)
class OffboardScores(Accumulator):
    """Of one set, or summed over several.

    Args:
        frames: compared.
        completion: voxels whose place is seen in some set of the drive.
        seen: voxels that the set's own cameras see.
        movers: out of those of `completion` within the farthest range.
    """

    frames: int = 0
    completion: RangeCounts = _NOTHING
    seen: RangeCounts = _NOTHING
    movers: MoverCounts = MoverCounts()


class OffboardProtocol(Protocol[OffboardScores]):
    """Sets with dense truth, on the grid of the prediction."""

    name: ClassVar[str] = "offboard"
    key: ClassVar[Key] = Key("miou_51.2m", "mIoU within 51.2 m", high_is_good=True)

    @property
    def nothing(self) -> OffboardScores:
        """No set."""
        return OffboardScores()

    def compared(self, subject: Subject) -> Sequence[int]:
        """Sets with dense truth."""
        sets = subject.drive.sets
        there = [index for index in subject.sets if sets[index].occupancy is not None]
        if not there:
            raise DataError(f"{subject.drive.name}: expected dense occupancy, found none")
        return there

    def score(self, subject: Subject, index: int, prediction: Prediction) -> OffboardScores:
        """By range, over both sets of voxels."""
        predicted, grid = prediction.classes_in(NAMES, FREE), prediction.scene.grid
        if predicted is None:
            raise DataError(
                f"{subject.drive.name}: expected predictions of the classes {', '.join(NAMES)}, got"
                f" {', '.join(prediction.scene.class_names) or 'none'}"
            )
        path = subject.drive.sets[index].occupancy
        assert path is not None  # it is one of `compared`
        truth, places = true_frame(path, grid), _places(subject, grid)[path]
        far = within_range(grid, RANGES_M[-1])
        empty = NAMES[FREE]
        return OffboardScores(
            frames=1,
            completion=count_within_ranges(
                predicted, truth.class_id, places.seen, grid, NAMES, empty
            ),
            seen=count_within_ranges(predicted, truth.class_id, truth.observed, grid, NAMES, empty),
            movers=count_movers(predicted, truth, places.seen & far, places.passed),
        )

    def numbers(self, total: OffboardScores) -> dict[str, float]:
        """By range, then what moves."""
        movers, frames = total.movers, total.frames
        return {
            **_by_range("", total.completion),
            **_by_range("seen_", total.seen),
            "mover_iou": movers.moving.iou,
            "mover_recall": movers.moving.recall,
            "ghosts_per_frame": share(movers.moving.false_positives, frames),
            "trail_ghosts_per_frame": share(movers.on_trails, frames),
        }

    def reasons(self, total: OffboardScores) -> dict[str, str]:
        """Why numbers are NaN."""
        why = "nothing of it is there" if total.frames else "no set was compared"
        return {name: why for name, value in self.numbers(total).items() if value != value}

    def tables(self, total: OffboardScores) -> tuple[Table, ...]:
        """As beside others."""
        return self.comparison((("this prediction", total),))

    def comparison(self, rows: Sequence[tuple[str, OffboardScores]]) -> tuple[Table, ...]:
        """By range, what moves, classes."""
        completion = [(name, total.completion) for name, total in rows]
        seen = [(name, total.seen) for name, total in rows]
        frames = f"{rows[0][1].frames} frames. Percent; "
        mean = "mIoU is the mean over the classes that are truly there."
        return (
            _ranges("Completion", completion, f"{frames}voxels seen in any set of a drive; {mean}"),
            _ranges("What is seen", seen, f"{frames}voxels that the set's own cameras see; {mean}"),
            _movers(rows),
            _classes(completion),
        )

    def classes(self, total: OffboardScores) -> ClassCounts:
        """Within the farthest range."""
        return total.completion.by_range[-1]

    def reference(self, subject: Subject, index: int, prediction: Prediction) -> VoxelScene | None:
        """The voxels that count, on the prediction's grid."""
        path, grid = subject.drive.sets[index].occupancy, prediction.scene.grid
        if path is None:
            return None
        truth = true_frame(path, grid)
        occupied = (truth.class_id != FREE) & _places(subject, grid)[path].seen
        velocity_mps = np.nan_to_num(truth.velocity_mps)
        return VoxelScene(grid, occupied, velocity_mps, truth.class_id, NAMES)


def count_movers(
    predicted: npt.NDArray[np.uint8], truth: TrueFrame, counted: Mask, passed: Mask
) -> MoverCounts:
    """Compare what moves.

    Args:
        predicted: (X, Y, Z) classes.
        truth: of the same voxels.
        counted: (X, Y, Z) or a shape that becomes it, voxels that count.
        passed: (X, Y, Z) where something moves at some time.
    """
    movable = np.isin(truth.class_id, MOVABLE)
    moving, found = _moving(truth), np.isin(predicted, MOVABLE)
    ghosts = found & ~movable & counted
    return MoverCounts(
        OccupancyCounts(
            true_positives=int((found & moving & counted).sum()),
            false_positives=int(ghosts.sum()),
            false_negatives=int((~found & moving & counted).sum()),
        ),
        on_trails=int((ghosts & passed).sum()),
    )


@dataclass(frozen=True, slots=True)
class _Places:
    """(X, Y, Z) voxels of one set whose place is seen, or has a mover, in any set of the drive."""

    seen: Mask
    passed: Mask


def _places(subject: Subject, grid: VoxelGrid) -> dict[Path, _Places]:
    """Of each set with a truth, by its file."""
    sets = [one for one in subject.drive.sets if one.occupancy is not None]
    poses = tuple(tuple(one.odom_T_base.ravel().tolist()) for one in sets)
    return _places_of(tuple(one.occupancy for one in sets if one.occupancy), poses, grid)


@lru_cache(maxsize=2)
def _places_of(
    paths: tuple[Path, ...], poses: tuple[tuple[float, ...], ...], grid: VoxelGrid
) -> dict[Path, _Places]:
    truths = [true_frame(path, grid) for path in paths]
    observed, moving = [one.observed for one in truths], [_moving(one) for one in truths]
    odom_T_base = np.array(poses).reshape(-1, 4, 4)  # (T, 4, 4)
    return {
        path: _Places(
            anywhere_in_drive(observed, grid, odom_T_base, target),
            anywhere_in_drive(moving, grid, odom_T_base, target),
        )
        for target, path in enumerate(paths)
    }


def _moving(truth: TrueFrame) -> Mask:
    speed_mps = np.linalg.norm(truth.velocity_mps, axis=-1)  # NaN, which is not fast, if unknown
    return np.isin(truth.class_id, MOVABLE) & (speed_mps > MOVING_MPS)


def _by_range(prefix: str, counts: RangeCounts) -> dict[str, float]:
    by_range = list(zip(RANGES_M, counts.by_range))
    return {
        **{f"{prefix}iou_{range_m}m": one.completion.iou for range_m, one in by_range},
        **{f"{prefix}miou_{range_m}m": one.mean_iou_of_true for range_m, one in by_range},
    }


def _ranges(title: str, rows: Sequence[tuple[str, RangeCounts]], note: str) -> Table:
    names = [f"{what}{range_m}m" for what in ("iou_", "miou_") for range_m in RANGES_M]
    body = []
    for label, counts in rows:
        numbers = _by_range("", counts)
        body.append((label, *(number(100 * numbers[name], 2) for name in names)))
    header = ("prediction", *(f"{what} {r} m" for what in ("IoU", "mIoU") for r in RANGES_M))
    return Table(title, header, tuple(body), note, numbers=len(names))


def _movers(rows: Sequence[tuple[str, OffboardScores]]) -> Table:
    protocol, body = OffboardProtocol(), []
    for label, total in rows:
        numbers = protocol.numbers(total)
        ious = (number(100 * numbers[name], 2) for name in ("mover_iou", "mover_recall"))
        ghosts = (
            number(numbers[name], 1) for name in ("ghosts_per_frame", "trail_ghosts_per_frame")
        )
        body.append((label, *ious, *ghosts))
    header = ("prediction", "IoU", "recall", "ghosts per frame", "of these on trails")
    note = (
        "Percent, and voxels, within 51.2 m: what truly moves and is predicted as something that "
        "can; ghosts are predicted as such where there is none, on trails where something moved at "
        "another time."
    )
    return Table("What moves", header, tuple(body), note, numbers=4)


def _classes(rows: Sequence[tuple[str, RangeCounts]]) -> Table:
    by_row = [counts.by_range[-1].iou for _, counts in rows]
    body = tuple((name, *(number(100 * iou[name], 2) for iou in by_row)) for name in by_row[0])
    header = ("class", *(label for label, _ in rows))
    return Table("Completion by class", header, body, "Percent, within 51.2 m.", numbers=len(rows))
