"""Classes of the points of a LiDAR sweep, as SemanticKITTI and nuScenes-lidarseg have them.

sequences/08/labels/000000.label           uint32: label of each point in the lower 16 bits,
                                           number of its instance in the upper ones
lidarseg/v1.0-mini/<token>_lidarseg.bin    see `occflow_ros.data.lidarseg`
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from occflow_ros.data import classes, lidarseg
from occflow_ros.data.semantic_kitti import IGNORED, Classes, Labels, classes_of
from occflow_ros.data.sensors import Points, read_lidar_rows
from occflow_ros.data.vocabulary import OCC3D, SEMANTIC_KITTI, Vocabulary
from occflow_ros.errors import DataError
from occflow_ros.output import write_bytes

_LABEL_MASK = 0xFFFF
_CLASS_OF_CATEGORY = np.array(
    [
        IGNORED if name is None else classes.NAMES.index(name)
        for name in lidarseg.CATEGORIES.values()
    ],
    np.uint8,
)


@dataclass(frozen=True, slots=True)
class LabelledPoints:
    """A sweep whose points have classes.

    Args:
        points_m: (N, 3) float32 in the LiDAR frame.
        class_id: (N,) uint8 in the numbers of the vocabulary, IGNORED where a point has none.
        vocabulary: of the data set.
    """

    points_m: Points
    class_id: Classes
    vocabulary: Vocabulary


def read_labelled_points(sweep: Path, labels: Path) -> LabelledPoints:
    """A sweep with its labels, points that are not finite left out.

    Args:
        sweep: as `read_lidar` takes it.
        labels: of nuScenes-lidarseg where the name ends as theirs do, else of SemanticKITTI.

    Raises:
        DataError: where a file is missing or damaged, they differ in length, or a label does not
            exist.
    """
    points_m = read_lidar_rows(sweep)
    of_nuscenes = labels.name.endswith(lidarseg.SUFFIX)
    class_id = _lidarseg_classes(labels) if of_nuscenes else _kitti_classes(labels)
    if len(class_id) != len(points_m):
        raise DataError(
            f"{labels}: expected a label for each of the {len(points_m)} points of {sweep.name},"
            f" got {len(class_id)}"
        )
    finite = np.isfinite(points_m).all(axis=1)
    vocabulary = OCC3D if of_nuscenes else SEMANTIC_KITTI
    return LabelledPoints(points_m[finite], class_id[finite], vocabulary)


def write_kitti_labels(path: Path, labels: Labels) -> None:
    """Write labels (N,) uint16 as a .label file without instances; raises OutputError."""
    write_bytes(path, labels.astype("<u4").tobytes())


def _kitti_classes(path: Path) -> Classes:
    numbers = _read(path, "<u4") & _LABEL_MASK
    try:
        return classes_of(numbers.astype(np.uint16))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _lidarseg_classes(path: Path) -> Classes:
    numbers = _read(path, "<u1")
    if (highest := int(numbers.max(initial=0))) >= len(_CLASS_OF_CATEGORY):
        raise DataError(f"{path}: expected 0 to {len(_CLASS_OF_CATEGORY) - 1}, got {highest}")
    return _CLASS_OF_CATEGORY[numbers]


def _read(path: Path, kind: str) -> npt.NDArray:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: point labels are missing") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    size = np.dtype(kind).itemsize
    if len(data) % size:
        raise DataError(f"{path}: expected labels of {size} bytes, got {len(data)} bytes")
    return np.frombuffer(data, kind)
