"""Voxel files of SemanticKITTI, and predictions for its benchmark of semantic scene completion.

    sequences/08/voxels/000000.bin        bits: the sweep hits the voxel
    sequences/08/voxels/000000.label      uint16: label of each voxel (`data.semantic_kitti`)
    sequences/08/voxels/000000.invalid    bits: no position of the sensor along the way sees it
    sequences/08/voxels/000000.occluded   bits: the position of this frame does not see it
    sequences/08/predictions/000000.label as .label

All hold the 256×256×32 voxels of `semantic_kitti.GRID` in the order (x, y, z), z fastest; bits are
packed eight to a byte, the first voxel in the highest bit, and numbers are little-endian. The frame
is that of the Velodyne, which is also the base of our KITTI loaders, so nothing is transformed.
Every fifth frame of a sequence has voxel files; those of the test sequences are .bin alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occflow_ros.data.kitti_odometry import VoxelFiles
from occflow_ros.data.semantic_kitti import (
    EMPTY,
    GRID,
    IGNORED,
    NAMES,
    Classes,
    Labels,
    Mask,
    classes_of,
    labels_of,
)
from occflow_ros.errors import DataError
from occflow_ros.output import write_bytes

FRAMES_PER_LABEL = 5

_PREDICTIONS = "predictions"


@dataclass(frozen=True, slots=True)
class VoxelTruth:
    """What is true of one frame.

    Args:
        classes: (X, Y, Z) uint8 class of each voxel, IGNORED where its label belongs to none.
        invalid: (X, Y, Z) bool, voxels that the sensor never saw, whose class nobody knows.

    Raises:
        ValueError: where shapes, types or classes are not as above.
    """

    classes: Classes
    invalid: Mask

    def __post_init__(self) -> None:
        _check("classes", self.classes, np.uint8)
        _check("invalid", self.invalid, np.bool_)
        wrong = (self.classes >= len(NAMES)) & (self.classes != IGNORED)
        if wrong.any():
            raise ValueError(
                f"classes: expected 0 to {len(NAMES) - 1} or {IGNORED},"
                f" got {int(self.classes[wrong].max())}"
            )

    @property
    def counted(self) -> Mask:
        """(X, Y, Z) voxels over which the benchmark evaluates."""
        mask: Mask = ~self.invalid & (self.classes != IGNORED)
        return mask

    @property
    def occupied(self) -> Mask:
        """(X, Y, Z) voxels that something fills, whatever it is."""
        mask: Mask = self.classes != EMPTY
        return mask


def read_voxel_truth(files: VoxelFiles) -> VoxelTruth:
    """The truth of one frame.

    Raises:
        DataError: where a file is missing, of another size, or holds labels that do not exist.
    """
    if files.label is None or files.invalid is None:
        missing = files.occupied.with_suffix(".label" if files.label is None else ".invalid")
        raise DataError(f"{missing}: file is missing; the test sequences have no public labels")
    return VoxelTruth(_classes(files.label), read_bits(files.invalid))


def prediction_path(folder: Path, sequence: str, frame: int) -> Path:
    """Where the benchmark looks for the prediction of a frame.

    Args:
        folder: with `sequences`; that of the data set or another one.
        sequence: its two digits.
        frame: number of the frame.
    """
    return folder / "sequences" / sequence / _PREDICTIONS / f"{frame:06d}.label"


def read_prediction(path: Path) -> Classes:
    """Predicted classes (X, Y, Z) uint8, 0 to 19.

    Raises:
        DataError: where the file is missing, of another size, or holds labels without a class.
    """
    found = _classes(path)
    if (found == IGNORED).any():
        ignored = np.unique(read_labels(path)[found == IGNORED]).tolist()
        raise DataError(f"{path}: expected labels of the 19 classes or 0, got {ignored}")
    return found


def write_prediction(path: Path, classes: Classes) -> None:
    """Write predicted classes (X, Y, Z); the folder is made.

    Raises:
        ValueError: where the shape is another one or a number is none of a class.
        OutputError: where the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(path, labels_of(classes))


def read_labels(path: Path) -> Labels:
    """Labels (X, Y, Z) uint16 of a .label file, whatever they are; raises DataError."""
    data = _read(path, 2 * GRID.num_voxels)
    return np.frombuffer(data, "<u2").astype(np.uint16).reshape(GRID.shape)  # (X, Y, Z)


def write_labels(path: Path, labels: Labels) -> None:
    """Write a .label file; raises ValueError where shape or type differ, and OutputError."""
    _check("labels", labels, np.uint16)
    write_bytes(path, labels.astype("<u2").tobytes())


def read_bits(path: Path) -> Mask:
    """Voxels (X, Y, Z) bool of a .bin, .invalid or .occluded file; raises DataError."""
    data = _read(path, GRID.num_voxels // 8)
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="big")
    return bits.astype(bool).reshape(GRID.shape)  # (X, Y, Z)


def write_bits(path: Path, voxels: Mask) -> None:
    """Write such a file; raises ValueError where shape or type differ, and OutputError."""
    _check("voxels", voxels, np.bool_)
    write_bytes(path, np.packbits(voxels, bitorder="big").tobytes())


def _classes(path: Path) -> Classes:
    try:
        return classes_of(read_labels(path))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _read(path: Path, size_bytes: int) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) != size_bytes:
        voxels = "x".join(map(str, GRID.shape))
        raise DataError(f"{path}: expected {size_bytes} bytes for {voxels} voxels, got {len(data)}")
    return data


def _check(name: str, values: np.ndarray, kind: type[np.generic]) -> None:
    if values.shape != GRID.shape or values.dtype != kind:
        raise ValueError(
            f"{name}: expected {GRID.shape} {np.dtype(kind)}, got {values.shape} {values.dtype}"
        )
