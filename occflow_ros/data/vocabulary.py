"""Numbered classes of a data set, whichever it is."""

from __future__ import annotations

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
