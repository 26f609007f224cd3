"""Stills and the animation of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from tqdm import tqdm

from occflow_ros.data.drive import Drive
from occflow_ros.demo.evaluation import EvaluatedSet
from occflow_ros.demo.report import Picture
from occflow_ros.geometry.camera import Image
from occflow_ros.output import write_bytes
from occflow_ros.viz.animation import can_animate, write_animation
from occflow_ros.viz.canvas import jpeg
from occflow_ros.viz.figure import Caption, draw_set

T = TypeVar("T")

MAX_PICTURES = 60
_ANIMATION_SCALE = 0.75


def draw_pictures(
    folder: Path, drive: Drive, evaluated: Sequence[EvaluatedSet], weights_note: str
) -> tuple[list[Picture], Picture | None]:
    """Draw the processed sets, at most `MAX_PICTURES` of them, evenly spread.

    Args:
        folder: gets `pictures/` and `animation.webp`.
        drive: whose images are shown.
        evaluated: the processed sets in time order.
        weights_note: said beside every prediction.

    Returns:
        the stills in time order, and the animation where there is more than one still and OpenCV
        can write one.
    """
    (folder / "pictures").mkdir()
    pictures, small = [], []
    for one in tqdm(spread(evaluated, MAX_PICTURES), desc="pictures", unit="picture"):
        figure = draw_set(
            drive,
            one.outcome.camera_set,
            one.prediction,
            one.reference,
            _caption(drive, one, weights_note),
        )
        path = folder / "pictures" / f"set_{one.number:04d}.jpg"
        write_bytes(path, jpeg(figure))
        pictures.append(Picture(path, _caption(drive, one).title))
        small.append(_scaled(figure, _ANIMATION_SCALE))
    return pictures, _animate(folder / "animation.webp", small, drive)


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` items, evenly spread, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, count).round().astype(int)]


_REFERENCES = {
    "occupancy": ("Ground truth", "voxels that a camera sees"),
    "lidar": ("LiDAR", "voxels that hold points; no occupancy truth in this source"),
}


def _caption(drive: Drive, one: EvaluatedSet, weights_note: str = "") -> Caption:
    elapsed_s = (one.outcome.camera_set.stamp_ns - drive.sets[0].stamp_ns) * 1e-9
    title = f"{drive.name}, set {one.number + 1}, {elapsed_s:.2f} s"
    if one.accuracy is None:
        return Caption(title, prediction=weights_note)
    iou = f"IoU {one.accuracy.occupancy.iou:.3f}"
    reference, note = _REFERENCES[one.accuracy.against]
    prediction = "   ".join(part for part in (weights_note, iou) if part)
    return Caption(title, prediction=prediction, reference=reference, reference_note=note)


def _animate(path: Path, images: Sequence[Image], drive: Drive) -> Picture | None:
    if len(images) < 2 or not can_animate():
        return None
    write_animation(path, images, frame_ms=400)
    return Picture(path, f"{drive.name}: all pictures in a row")


def _scaled(image: Image, factor: float) -> Image:
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)
