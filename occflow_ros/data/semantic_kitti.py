"""Classes of SemanticKITTI: the labels that its files hold, and the 20 classes of its benchmark.

A label is a number of 16 bits, 10 for a car and 252 for a moving one. The benchmark of semantic
scene completion merges labels to classes from 0, which is empty, to 19. Three labels belong to no
class: such voxels are occupied, nobody says by what, and they do not count.

Numbers and names are those of `config/semantic-kitti.yaml` in the data set's official API (Behley
et al., ICCV 2019), whose `evaluate_completion.py` says what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data import classes
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

Labels = npt.NDArray[np.uint16]
Classes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

GRID = VoxelGrid((0.0, -25.6, -2.0), (51.2, 25.6, 4.4), (256, 256, 32))
"""Voxels of 0.2 m in the frame of the Velodyne (x forward, y left, z up), 1.73 m above the road."""

NAMES = (
    "empty",
    "car",
    "bicycle",
    "motorcycle",
    "truck",
    "other-vehicle",
    "person",
    "bicyclist",
    "motorcyclist",
    "road",
    "parking",
    "sidewalk",
    "other-ground",
    "building",
    "fence",
    "vegetation",
    "trunk",
    "terrain",
    "pole",
    "traffic-sign",
)
EMPTY = NAMES.index("empty")
MOVABLE = tuple(
    NAMES.index(name)
    for name in (
        "car",
        "bicycle",
        "motorcycle",
        "truck",
        "other-vehicle",
        "person",
        "bicyclist",
        "motorcyclist",
    )
)
GROUND = tuple(
    NAMES.index(name) for name in ("road", "parking", "sidewalk", "other-ground", "terrain")
)
IGNORED = UNKNOWN_CLASS_ID
"""In place of a class: the label belongs to none."""

_UNKNOWN = 254


@dataclass(frozen=True, slots=True)
class Label:
    """What a number in a file of labels means.

    Args:
        number: of 16 bits.
        name: what the data set calls it.
        class_number: index into `NAMES`, or IGNORED.
    """

    number: int
    name: str
    class_number: int


def _label(number: int, name: str, class_name: str | None) -> Label:
    return Label(number, name, IGNORED if class_name is None else NAMES.index(class_name))


LABELS: Mapping[int, Label] = {
    label.number: label
    for label in (
        _label(0, "unlabeled", "empty"),
        _label(1, "outlier", None),
        _label(10, "car", "car"),
        _label(11, "bicycle", "bicycle"),
        _label(13, "bus", "other-vehicle"),
        _label(15, "motorcycle", "motorcycle"),
        _label(16, "on-rails", "other-vehicle"),
        _label(18, "truck", "truck"),
        _label(20, "other-vehicle", "other-vehicle"),
        _label(30, "person", "person"),
        _label(31, "bicyclist", "bicyclist"),
        _label(32, "motorcyclist", "motorcyclist"),
        _label(40, "road", "road"),
        _label(44, "parking", "parking"),
        _label(48, "sidewalk", "sidewalk"),
        _label(49, "other-ground", "other-ground"),
        _label(50, "building", "building"),
        _label(51, "fence", "fence"),
        _label(52, "other-structure", None),
        _label(60, "lane-marking", "road"),
        _label(70, "vegetation", "vegetation"),
        _label(71, "trunk", "trunk"),
        _label(72, "terrain", "terrain"),
        _label(80, "pole", "pole"),
        _label(81, "traffic-sign", "traffic-sign"),
        _label(99, "other-object", None),
        _label(252, "moving-car", "car"),
        _label(253, "moving-bicyclist", "bicyclist"),
        _label(254, "moving-person", "person"),
        _label(255, "moving-motorcyclist", "motorcyclist"),
        _label(256, "moving-on-rails", "other-vehicle"),
        _label(257, "moving-bus", "other-vehicle"),
        _label(258, "moving-truck", "truck"),
        _label(259, "moving-other-vehicle", "other-vehicle"),
    )
}
"""The learning map: labels by their numbers."""

_NUMBERS = {label.name: label.number for label in LABELS.values()}

LABEL_OF_CLASS = tuple(_NUMBERS.get(name, 0) for name in NAMES)
"""The inverse map: the label that stands for each class in files of predictions."""

STANDING_AND_MOVING: Mapping[str, tuple[str, str]] = {
    "others": ("other-object", "other-object"),
    "barrier": ("fence", "fence"),
    "bicycle": ("bicycle", "moving-bicyclist"),
    "bus": ("bus", "moving-bus"),
    "car": ("car", "moving-car"),
    "construction_vehicle": ("other-vehicle", "moving-other-vehicle"),
    "motorcycle": ("motorcycle", "moving-motorcyclist"),
    "pedestrian": ("person", "moving-person"),
    "traffic_cone": ("other-object", "other-object"),
    "trailer": ("other-vehicle", "moving-other-vehicle"),
    "truck": ("truck", "moving-truck"),
    "driveable_surface": ("road", "road"),
    "other_flat": ("other-ground", "other-ground"),
    "sidewalk": ("sidewalk", "sidewalk"),
    "terrain": ("terrain", "terrain"),
    "manmade": ("building", "building"),
    "vegetation": ("vegetation", "vegetation"),
    "free": ("unlabeled", "unlabeled"),
}
"""Labels of the classes of `occflow_ros.data.classes`, where they stand and where they move.

A bicycle that moves has a rider. What is manmade may be a wall, a pole or a sign: all are buildings
here. Cones and others belong to no class of the benchmark.
"""


def classes_of(labels: Labels) -> Classes:
    """Class of each label, IGNORED where it belongs to none.

    Raises:
        ValueError: names the labels that the data set does not have.
    """
    found = _CLASS_OF_LABEL[labels]
    if (found == _UNKNOWN).any():
        unknown = np.unique(labels[found == _UNKNOWN]).tolist()
        raise ValueError(f"expected labels out of {list(LABELS)}, got {unknown}")
    return found


def labels_of(class_numbers: Classes) -> Labels:
    """The label that stands for each class.

    Raises:
        ValueError: where there is another number than those of the 20 classes.
    """
    if (highest := int(class_numbers.max(initial=0))) >= len(NAMES):
        raise ValueError(f"expected classes 0 to {len(NAMES) - 1}, got {highest}")
    return np.array(LABEL_OF_CLASS, np.uint16)[class_numbers]


def labels_from_scene(semantics: Classes, moving: Mask) -> Labels:
    """Labels (X, Y, Z) by `STANDING_AND_MOVING`.

    Args:
        semantics: (X, Y, Z) in the numbers of `occflow_ros.data.classes`.
        moving: (X, Y, Z) voxels of what moves.

    Raises:
        ValueError: where the shapes differ.
    """
    if semantics.shape != moving.shape:
        raise ValueError(f"expected equal shapes, got {semantics.shape} and {moving.shape}")
    labels: Labels = _LABEL_OF_SCENE[semantics, moving.astype(np.intp)]
    return labels


def _class_of_label() -> Classes:
    table = np.full(np.iinfo(np.uint16).max + 1, _UNKNOWN, np.uint8)
    for label in LABELS.values():
        table[label.number] = label.class_number
    return table


_CLASS_OF_LABEL = _class_of_label()
_LABEL_OF_SCENE = np.array(
    [[_NUMBERS[label] for label in STANDING_AND_MOVING[name]] for name in classes.NAMES], np.uint16
)
