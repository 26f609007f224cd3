"""Scene flow on KITTI as Let Occ Flow measures it (section C.3).

Depth is that of LiDAR points in the images, optical flow and foreground are cues of the images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from operator import add
from typing import ClassVar

import numpy as np
import torch

from occflow_ros.cues import CueFolder
from occflow_ros.cues.images import CameraImage, image_of
from occflow_ros.engine.prediction import Prediction
from occflow_ros.engine.rendered_depth import DepthTruth, lidar_depths
from occflow_ros.engine.rendered_flow import SceneFlowTruth, scene_flow_accuracy
from occflow_ros.engine.view import Seen
from occflow_ros.errors import DataError
from occflow_ros.evaluation.protocol import Key, Protocol
from occflow_ros.evaluation.published import KITTI_FLOW
from occflow_ros.evaluation.subject import Subject
from occflow_ros.geometry.camera import project
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.metrics.scene_flow import PixelScenes, SceneFlowErrors
from occflow_ros.rendering.rays import Rays
from occflow_ros.table import Table, number

_PUBLISHED = ("de_px", "epe_px", "de_fg_px", "epe_fg_px", "d1", "f1", "sf1")


@dataclass(frozen=True, slots=True)
class KittiFlowScores(Accumulator):
    """Of one set, or summed over several.

    Args:
        sets: compared.
        prediction: errors of it.
        still: the same geometry with everything standing.
    """

    sets: int = 0
    prediction: SceneFlowErrors = SceneFlowErrors()
    still: SceneFlowErrors = SceneFlowErrors()


class KittiFlowProtocol(Protocol[KittiFlowScores]):
    """Any drive with a LiDAR and cues of optical flow."""

    name: ClassVar[str] = "kitti-flow"
    key: ClassVar[Key] = Key("epe_px", "EPE, px", high_is_good=False)

    @property
    def nothing(self) -> KittiFlowScores:
        """No set."""
        return KittiFlowScores()

    def compared(self, subject: Subject) -> Sequence[int]:
        """Sets with a sweep, and a next set to which flow leads."""
        drive = subject.drive
        if subject.cues is None or not subject.cues.has_flow:
            raise DataError(
                f"{drive.name}: expected optical flow, got none; make it with occflow cues and give"
                " --cues and --flow"
            )
        last = len(drive.sets) - 1
        swept = [i for i in subject.sets if i < last and drive.sets[i].lidar is not None]
        if not swept:
            raise DataError(f"{drive.name}: expected LiDAR sweeps, found none")
        return swept

    def score(self, subject: Subject, index: int, prediction: Prediction) -> KittiFlowScores:
        """All images of the set."""
        truths = list(_truths(subject, index))
        still = replace(prediction, view=_Still(prediction))

        def errors(of: Prediction) -> SceneFlowErrors:
            return reduce(add, (scene_flow_accuracy(of, one) for one in truths), SceneFlowErrors())

        return KittiFlowScores(sets=1, prediction=errors(prediction), still=errors(still))

    def numbers(self, total: KittiFlowScores) -> dict[str, float]:
        """By the names of `SceneFlowErrors`."""
        still = {f"still_{name}": value for name, value in total.still.numbers().items()}
        return total.prediction.numbers() | still

    def reasons(self, total: KittiFlowScores) -> dict[str, str]:
        """Why numbers are NaN."""

        def reason(name: str) -> str:
            if not total.sets:
                return "no set was compared"
            if "fg" in name or "moving" in name:
                return "no pixel is of something movable, or no masks were given"
            return "no LiDAR point has a known optical flow"

        return {name: reason(name) for name, value in self.numbers(total).items() if value != value}

    def tables(self, total: KittiFlowScores) -> tuple[Table, ...]:
        """By the paper's rules, and by KITTI's own."""
        return (_methods(total), _kitti_rules(total))


@dataclass(frozen=True, slots=True)
class _Still:
    """The view of a prediction in which nothing moves."""

    prediction: Prediction

    def __call__(self, rays: Rays) -> Seen:
        seen = self.prediction.view(rays)
        return Seen(seen.range_m, torch.zeros_like(seen.velocity_mps))


def _truths(subject: Subject, index: int) -> Iterator[SceneFlowTruth]:
    drive, cues = subject.drive, subject.cues
    assert cues is not None  # as `compared` has checked
    for name, depth in zip(drive.sets[index].images, lidar_depths(drive, drive.sets[index])):
        image, following = image_of(drive, index, name), image_of(drive, index + 1, name)
        if image is not None and following is not None:
            yield _truth(image, following, depth, cues)


def _truth(
    image: CameraImage, following: CameraImage, depth: DepthTruth, cues: CueFolder
) -> SceneFlowTruth:
    camera = image.camera
    K = torch.from_numpy(camera.K)
    pixels, _ = project(K, depth.directions)  # (P, 2)
    u, v = pixels.round().long().unbind(dim=1)
    at = v.numpy().clip(0, camera.height_px - 1), u.numpy().clip(0, camera.width_px - 1)
    flow = cues.flow(image, following)
    movable = cues.movable(image)[at] if cues.has_movable else np.zeros(len(pixels), dtype=bool)
    return SceneFlowTruth(
        pixels=pixels,
        K=K,
        odom_T_camera=depth.odom_T_camera,
        odom_T_next=following.file.odom_T_base @ camera.base_T_camera,
        elapsed_s=1e-9 * (following.file.stamp_ns - image.file.stamp_ns),
        scenes=PixelScenes(depth.depth_m, flow.flow_px[at]),
        flow_known=flow.valid[at],
        movable=movable,
    )


def _methods(total: KittiFlowScores) -> Table:
    def row(name: str, errors: SceneFlowErrors) -> tuple[str, ...]:
        numbers = errors.numbers()
        return (name, *(number(numbers[key]) for key in _PUBLISHED))

    published = [(name, *(f"{value:.3f}" for value in values)) for name, *values in KITTI_FLOW]
    rows = (
        row("this prediction", total.prediction),
        row("this prediction, everything stands", total.still),
        *published,
    )
    header = ("method", "DE", "EPE", "DE_FG", "EPE_FG", "D1_5%", "F1_10%", "SF1_10%")
    note = (
        f"{total.sets} sets. Pixels and shares, means over images; optical flow is that of the "
        "cues given. Published rows are of KITTI-MOT with UniMatch."
    )
    return Table("Scene flow", header, rows, note, numbers=7)


def _kitti_rules(total: KittiFlowScores) -> Table:
    names = [one.name for one in fields(SceneFlowErrors) if one.name.startswith("kitti_")]
    prediction, still = total.prediction.numbers(), total.still.numbers()
    rows = tuple(
        (name.removeprefix("kitti_").upper(), number(prediction[name]), number(still[name]))
        for name in names
    )
    header = ("outliers", "prediction", "everything stands")
    return Table("By KITTI's rule of 3 px and 5 %", header, rows, numbers=2)
