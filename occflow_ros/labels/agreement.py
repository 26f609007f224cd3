"""How well labels agree with the exact truth of the same sets, as counts that add up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import FREE, GROUND, MOVABLE
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.data.scene import MOVING_MPS
from occflow_ros.metrics.accumulator import Accumulator, share
from occflow_ros.metrics.velocity import VelocityError, velocity_error
from occflow_ros.metrics.voxel_iou import OccupancyCounts, count_occupancy
from occflow_ros.table import Table, number

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Agreement(Accumulator):
    """Voxels of labels beside the exact ones.

    Args:
        both: occupied, where LiDAR knows and, in the truth, a camera sees.
        ground: classes of the ground, in the same place.
        movable: classes that can move, in the same place.
        labelled: occupied, where the labels' own camera mask holds.
        masks: the two camera masks themselves.
        visible: occupied in truth, and a camera sees it there.
        known: of these, those that LiDAR knows.
        objects: velocity where both have classes that can move and the truth moves.
        moving: the same where both are occupied, whatever the label's class.
        still: the same where the truth stands.
    """

    both: OccupancyCounts = OccupancyCounts()
    ground: OccupancyCounts = OccupancyCounts()
    movable: OccupancyCounts = OccupancyCounts()
    labelled: OccupancyCounts = OccupancyCounts()
    masks: OccupancyCounts = OccupancyCounts()
    visible: int = 0
    known: int = 0
    objects: VelocityError = VelocityError()
    moving: VelocityError = VelocityError()
    still: VelocityError = VelocityError()


def compare(label: OccupancyTruth, known: Mask, truth: OccupancyTruth) -> Agreement:
    """Agreement of one set.

    Args:
        label: made from LiDAR and boxes.
        known: (X, Y, Z) what LiDAR knows of it.
        truth: exact, on the same grid; voxels of unknown velocity, in either, are left out of that.

    Raises:
        ValueError: where the grids differ.
    """
    if label.grid != truth.grid:
        raise ValueError(f"expected labels on {truth.grid}, got {label.grid}")
    occupied, exact = label.semantics != FREE, truth.semantics != FREE
    both, visible = known & truth.observed, exact & truth.observed
    everywhere = np.ones_like(both)
    speed_mps = np.linalg.norm(truth.velocity_mps, axis=-1)
    measured = occupied & exact & both & np.isfinite(label.velocity_mps).all(axis=-1)
    moving = measured & (speed_mps > MOVING_MPS)
    movable = np.logical_and(*_of(MOVABLE, label, truth))
    return Agreement(
        both=count_occupancy(occupied, exact, both),
        ground=count_occupancy(*_of(GROUND, label, truth), both),
        movable=count_occupancy(*_of(MOVABLE, label, truth), both),
        labelled=count_occupancy(occupied, exact, label.observed),
        masks=count_occupancy(label.observed, truth.observed, everywhere),
        visible=int(visible.sum()),
        known=int((visible & known).sum()),
        objects=_velocity_error(label, truth, moving & movable),
        moving=_velocity_error(label, truth, moving),
        still=_velocity_error(label, truth, measured & (speed_mps <= MOVING_MPS)),
    )


def agreement_table(title: str, agreement: Agreement) -> Table:
    """The numbers of an agreement as people read them."""
    rows = []
    for name, counts in (
        ("occupied, known to both", agreement.both),
        ("ground, known to both", agreement.ground),
        ("movable, known to both", agreement.movable),
        ("occupied, in the labels' camera mask", agreement.labelled),
        ("camera masks", agreement.masks),
    ):
        rows += [
            (f"{name}: IoU", number(counts.iou), str(_union(counts))),
            (f"{name}: precision", number(counts.precision), ""),
            (f"{name}: recall", number(counts.recall), ""),
        ]
    known = share(agreement.known, agreement.visible)
    rows += [
        (
            "exact occupied voxels in view that LiDAR knows, share",
            number(known),
            str(agreement.visible),
        ),
        ("velocity error where both have an object that moves (m/s)", *_error(agreement.objects)),
        ("velocity error where both are occupied and it moves (m/s)", *_error(agreement.moving)),
        ("velocity error where both are occupied and it stands (m/s)", *_error(agreement.still)),
    ]
    return Table(title, ("quantity", "value", "voxels"), tuple(rows), numbers=2)


def _of(
    classes: tuple[int, ...], label: OccupancyTruth, truth: OccupancyTruth
) -> tuple[Mask, Mask]:
    return np.isin(label.semantics, classes), np.isin(truth.semantics, classes)


def _union(counts: OccupancyCounts) -> int:
    return counts.true_positives + counts.false_positives + counts.false_negatives


def _error(error: VelocityError) -> tuple[str, str]:
    return number(error.mean_mps), str(error.voxels)


def _velocity_error(label: OccupancyTruth, truth: OccupancyTruth, where: Mask) -> VelocityError:
    return velocity_error(label.velocity_mps, truth.velocity_mps, where)
