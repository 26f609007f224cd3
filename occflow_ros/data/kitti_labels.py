"""Labels of the KITTI tracking benchmark as boxes in base, with velocities from their tracks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occflow_ros.data.drive import Box
from occflow_ros.data.kitti import numbers, read_lines
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3

MAX_INTERVAL_S = 0.5

_LABEL_NUMBERS = 16
_UNLABELLED = "DontCare"


@dataclass(frozen=True, slots=True)
class Label:
    """One object in one frame.

    Args:
        frame: number of the frame.
        track: the same over the frames of a sequence.
        category: Car, Van, Truck, Pedestrian, Person, Cyclist, Tram or Misc.
        size_lwh_m: length, width, height.
        rect_T_box: (4, 4) box frame (origin at the centre, x forward, z up) to rectified camera 0.
    """

    frame: int
    track: int
    category: str
    size_lwh_m: tuple[float, float, float]
    rect_T_box: se3.Array


def read_boxes(
    path: Path,
    base_T_rect: se3.Array,
    stamps_ns: Sequence[int],
    odom_T_base: Sequence[se3.Array],
) -> list[tuple[Box, ...]]:
    """Boxes of each frame, of what camera 2 sees; regions that nobody labelled are left out.

    Args:
        path: file of the labels.
        base_T_rect: (4, 4) rectified camera 0 to base.
        stamps_ns: of the frames.
        odom_T_base: (4, 4) pose of each frame.

    Raises:
        DataError: where a line is no label, or of a frame that the sequence lacks.
    """
    labels = _read_labels(path, len(stamps_ns))
    tracks: dict[int, dict[int, se3.Array]] = defaultdict(dict)
    for label in labels:
        centre_m = odom_T_base[label.frame] @ base_T_rect @ label.rect_T_box[:, 3]
        tracks[label.track][label.frame] = centre_m[:3]
    boxes: list[list[Box]] = [[] for _ in stamps_ns]
    for label in labels:
        velocity_odom_mps = _velocity_mps(tracks[label.track], label.frame, stamps_ns)
        boxes[label.frame].append(
            _box(label, base_T_rect, velocity_odom_mps, odom_T_base[label.frame])
        )
    return [tuple(of_frame) for of_frame in boxes]


def _read_labels(path: Path, frames: int) -> list[Label]:
    labels = []
    for row, line in enumerate(read_lines(path), start=1):
        where = f"{path}:{row}"
        label = _parse_label(line, where)
        if not 0 <= label.frame < frames:
            raise DataError(f"{where}: expected a frame from 0 to {frames - 1}, got {label.frame}")
        if label.category != _UNLABELLED:
            labels.append(label)
    return labels


def _parse_label(line: str, where: str) -> Label:
    """frame track type truncated occluded alpha box(4) h w l x y z rotation_y.

    x y z is the middle of the box's underside in rectified camera 0 (x right, y down, z forward),
    rotation_y its heading about y: 0 along the camera's x, −π/2 along its z.
    """
    words = line.split()
    if len(words) < 3:
        raise DataError(f"{where}: expected a label of {_LABEL_NUMBERS + 1} columns, got {line!r}")
    values = numbers(" ".join(words[:2] + words[3:]), where, _LABEL_NUMBERS)
    height_m, width_m, length_m, x, y, z, rotation_y = values[9:]
    cosine, sine = math.cos(rotation_y), math.sin(rotation_y)
    rotation = np.array([[cosine, sine, 0.0], [0.0, 0.0, -1.0], [-sine, cosine, 0.0]])
    return Label(
        frame=int(values[0]),
        track=int(values[1]),
        category=words[2],
        size_lwh_m=(length_m, width_m, height_m),
        rect_T_box=se3.from_rotation_translation(rotation, (x, y - height_m / 2, z)),
    )


def _box(
    label: Label,
    base_T_rect: se3.Array,
    velocity_odom_mps: se3.Array | None,
    odom_T_base: se3.Array,
) -> Box:
    velocity_mps = None
    if velocity_odom_mps is not None:
        x, y, _ = odom_T_base[:3, :3].T @ velocity_odom_mps
        velocity_mps = (float(x), float(y))
    return Box(
        id=str(label.track),
        category=label.category,
        base_T_box=base_T_rect @ label.rect_T_box,
        size_lwh_m=label.size_lwh_m,
        velocity_mps=velocity_mps,
    )


def _velocity_mps(
    track: Mapping[int, se3.Array], frame: int, stamps_ns: Sequence[int]
) -> se3.Array | None:
    """Central difference over the neighbouring labels of a track, one-sided at its ends.

    Labels more than 0.5 s away do not count; None where no neighbour is left.
    """

    def interval_s(other: int) -> float:
        return 1e-9 * (stamps_ns[other] - stamps_ns[frame])

    near = [other for other in track if abs(interval_s(other)) <= MAX_INTERVAL_S]
    first = max((other for other in near if other < frame), default=frame)
    last = min((other for other in near if other > frame), default=frame)
    if first == last:
        return None
    return (track[last] - track[first]) / (interval_s(last) - interval_s(first))
