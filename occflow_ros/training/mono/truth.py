"""True classes of the voxels of a set, in the numbers of the network, whichever data set it is of.

Truth is the occupancy of a set where it has one (Occ3D, OpenOcc, the synthetic world, our own
labels), else SemanticKITTI's voxel files of its frame. Sets with neither are not labelled.

Classes are matched by name; what a data set calls nothing is what the network calls nothing. A
class that the network does not have counts as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from occflow_ros.data import kitti_odometry
from occflow_ros.data.drive import Drive
from occflow_ros.data.kitti_odometry import VoxelFiles
from occflow_ros.data.semantic_kitti import GRID
from occflow_ros.data.semantic_kitti_voxels import read_voxel_truth
from occflow_ros.data.truth import read_truth
from occflow_ros.data.vocabulary import OCC3D, SEMANTIC_KITTI, Vocabulary
from occflow_ros.errors import DataError
from occflow_ros.metrics.coarsen import coarsen_classes
from occflow_ros.mono_config import ClassesConfig
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

Classes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_NUMBERS = 256


class InFolder(Protocol):
    """A drive, and where it was read from."""

    @property
    def folder(self) -> Path:
        """That it was read from; of a data set, its root."""

    @property
    def drive(self) -> Drive:
        """All its sets."""


@dataclass(frozen=True, slots=True)
class VoxelClasses:
    """What a data set says of the voxels of one set.

    Args:
        class_id: (X, Y, Z) uint8 in the numbers of the vocabulary, IGNORED where occupied by nobody
            knows what.
        known: (X, Y, Z) bool, voxels that count.
        grid: where they lie in the ego frame.
        vocabulary: of the data set.
    """

    class_id: Classes
    known: Mask
    grid: VoxelGrid
    vocabulary: Vocabulary


def class_truth(one: InFolder, index: int, grid: VoxelGrid, classes: ClassesConfig) -> Classes:
    """True classes (X, Y, Z) on the grid of the network, UNKNOWN_CLASS_ID where unknown.

    Args:
        one: the drive.
        index: of one of its labelled sets.
        grid: that of the data set, or one of fewer, larger voxels over the same box.
        classes: of the network.

    Raises:
        DataError: where the set is not labelled, a file is damaged, the grid is another one, or
            no class has the name of one of the network.
    """
    return on_grid(read_voxel_classes(one, index), grid, classes, f"{one.drive.name}, set {index}")


def labelled_sets(one: InFolder) -> list[int]:
    """Sets with a truth."""
    files = _voxel_files(one.folder, one.drive.name)
    return [
        index
        for index, camera_set in enumerate(one.drive.sets)
        if camera_set.occupancy is not None or _is_labelled(files.get(index))
    ]


def read_voxel_classes(one: InFolder, index: int) -> VoxelClasses:
    """As the data set has them; raises DataError where a file is damaged or there is none."""
    drive = one.drive
    if (occupancy := drive.sets[index].occupancy) is not None:
        truth = read_truth(occupancy)
        return VoxelClasses(truth.semantics, truth.observed, truth.grid, OCC3D)
    files = _voxel_files(one.folder, drive.name).get(index)
    if files is None:
        raise DataError(f"{one.folder}: expected true voxels of set {index} of {drive.name}")
    voxels = read_voxel_truth(files)
    return VoxelClasses(voxels.classes, voxels.counted, GRID, SEMANTIC_KITTI)


def on_grid(truth: VoxelClasses, grid: VoxelGrid, classes: ClassesConfig, where: str) -> Classes:
    """Classes (X, Y, Z) on a grid over the same box, in the numbers of the network.

    Args:
        truth: as the data set has it.
        grid: of the network.
        classes: of the network.
        where: says in errors whose truth it is.

    Raises:
        DataError: where the grid is another one, or no class has the name of one of the network.
    """
    fine = truth.grid
    same_box = np.allclose((fine.lower_m, fine.upper_m), (grid.lower_m, grid.upper_m))
    if not same_box or any(many % few for many, few in zip(fine.shape, grid.shape)):
        raise DataError(
            f"{where}: expected true voxels on {grid}, or on more and smaller ones of the same box,"
            f" got {fine}"
        )
    class_id, known = truth.class_id, truth.known
    if fine.shape != grid.shape:
        class_id, known = coarsen_classes(class_id, known, grid.shape, truth.vocabulary)
    table = class_table(truth.vocabulary, classes, where)
    return np.where(known, table[class_id], UNKNOWN_CLASS_ID).astype(np.uint8)


def class_table(vocabulary: Vocabulary, classes: ClassesConfig, where: str) -> Classes:
    """Number of the network (256,) for each of a data set, UNKNOWN_CLASS_ID where it has none.

    Args:
        vocabulary: of the data set.
        classes: of the network.
        where: says in errors whose classes they are.

    Raises:
        DataError: where no class but the empty one has the name of one of the network.
    """
    table = np.full(_NUMBERS, UNKNOWN_CLASS_ID, np.uint8)
    for number, name in enumerate(vocabulary.names):
        if name in classes.names and name != classes.empty:
            table[number] = classes.names.index(name)
    if (table == UNKNOWN_CLASS_ID).all():
        raise DataError(
            f"{where}: expected classes out of {list(classes.names)}, got {list(vocabulary.names)}"
        )
    table[vocabulary.empty] = classes.empty_id
    return table


def _is_labelled(files: VoxelFiles | None) -> bool:
    return files is not None and files.label is not None


@lru_cache(maxsize=64)
def _voxel_files(folder: Path, sequence: str) -> dict[int, VoxelFiles]:
    return kitti_odometry.voxel_files(folder, sequence)
