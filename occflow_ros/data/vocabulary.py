"""Numbered classes of a data set, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from occflow_ros.data import classes, semantic_kitti


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What voxels and points of a data set can be; the number of a class is its place.

    Args:
        names: of all classes.
        empty: number of the one that says that nothing is there.
        movable: numbers of those that can move by themselves.
    """

    names: tuple[str, ...]
    empty: int
    movable: tuple[int, ...]


OCC3D = Vocabulary(classes.NAMES, classes.FREE, classes.MOVABLE)
SEMANTIC_KITTI = Vocabulary(semantic_kitti.NAMES, semantic_kitti.EMPTY, semantic_kitti.MOVABLE)
OCCUPANCY = Vocabulary(("occupied", "free"), empty=1, movable=())
"""Of models that say where something is, and not what."""

UNKNOWN = "unknown"
"""Name of the class of what is occupied, nobody says by what."""

_KNOWN = (OCC3D, SEMANTIC_KITTI)

GROUND_NAMES = (
    *(classes.NAMES[number] for number in classes.GROUND),
    *(semantic_kitti.NAMES[number] for number in semantic_kitti.GROUND),
)
"""What a vehicle could drive over, in the known data sets."""


def vocabulary_of(names: Sequence[str]) -> Vocabulary:
    """The vocabulary of classes that are known by their names alone, such as those of a legend.

    What is empty and what can move is as in the known data sets; `free` is added where no name is
    one of an empty class.
    """
    empty = next((name for name in names if name in _EMPTY), None)
    if empty is None:
        empty, names = "free", (*names, "free")
    movable = tuple(number for number, name in enumerate(names) if name in _MOVABLE)
    return Vocabulary(tuple(names), names.index(empty), movable)


_EMPTY = {known.names[known.empty] for known in _KNOWN}
_MOVABLE = {known.names[number] for known in _KNOWN for number in known.movable}
