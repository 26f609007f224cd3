"""How often each class is true at each place: the best trivial answer, and what balances losses."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from occflow_ros.errors import DataError
from occflow_ros.output import write_bytes
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid
from occflow_ros.training.mono.dataset import MonoDataset
from occflow_ros.training.mono.truth import Classes

PRIOR = "prior.npz"

Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True, slots=True)
class ClassPrior:
    """Counts of the true classes of voxels, over all samples of a data set.

    Args:
        counts: (X, Y, Z, C) unsigned.
        names: of the C classes.
        empty: which of them says that nothing is there.
        grid: of the voxels.
        samples: digest of what was counted.

    Raises:
        ValueError: where the counts are not of this grid and these classes.
    """

    counts: npt.NDArray[np.unsignedinteger]
    names: tuple[str, ...]
    empty: str
    grid: VoxelGrid
    samples: str

    def __post_init__(self) -> None:
        shape = (*self.grid.shape, len(self.names))
        if self.counts.shape != shape or self.counts.dtype.kind != "u":
            raise ValueError(
                f"counts: expected {shape} unsigned, got {self.counts.shape} {self.counts.dtype}"
            )
        if self.empty not in self.names:
            raise ValueError(f"empty: expected one of {list(self.names)}, got {self.empty!r}")

    @property
    def classes(self) -> Classes:
        """(X, Y, Z) uint8 most frequent class of each voxel, empty where none was ever known."""
        most = self.counts.argmax(axis=-1)
        most[~self.counts.any(axis=-1)] = self.names.index(self.empty)
        return most.astype(np.uint8)

    @property
    def class_counts(self) -> npt.NDArray[np.int64]:
        """(C,) known voxels of each class over all samples."""
        return self.counts.sum(axis=(0, 1, 2), dtype=np.int64)

    @property
    def frequencies(self) -> npt.NDArray[np.float64]:
        """(C,) share of each class in the known voxels."""
        counts = self.class_counts
        return counts / max(int(counts.sum()), 1)

    def save(self, path: Path) -> None:
        """Write an npz, whole or not at all; raises OutputError."""
        file = io.BytesIO()
        np.savez_compressed(
            file,
            counts=self.counts,
            names=np.array(self.names),
            empty=np.array(self.empty),
            lower_m=np.array(self.grid.lower_m),
            upper_m=np.array(self.grid.upper_m),
            samples=np.array(self.samples),
        )
        write_bytes(path, file.getvalue())

    @classmethod
    def load(cls, path: Path) -> ClassPrior:
        """Read such a file; raises DataError where it is missing or something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                counts = file["counts"]
                return cls(
                    counts=counts,
                    names=tuple(file["names"].tolist()),
                    empty=str(file["empty"]),
                    grid=VoxelGrid(
                        tuple(file["lower_m"].tolist()),
                        tuple(file["upper_m"].tolist()),
                        counts.shape[:3],
                    ),
                    samples=str(file["samples"]),
                )
        except FileNotFoundError:
            raise DataError(f"{path}: file is missing") from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: expected an npz of class counts: {error}") from None


def class_prior(dataset: MonoDataset, progress: Progress | None = None) -> ClassPrior:
    """Count the true classes of all samples; no image is read.

    Args:
        dataset: to go through once.
        progress: wraps the numbers of its samples.

    Raises:
        DataError: where a truth is damaged.
    """
    grid, classes = dataset.grid, dataset.config.model.classes
    shape = (*grid.shape, len(classes.names))
    counts = np.zeros((grid.num_voxels, shape[-1]), np.min_scalar_type(len(dataset)))
    numbers = range(len(dataset))
    for number in numbers if progress is None else progress(numbers):
        class_id = dataset.classes(number).ravel()
        (known,) = np.nonzero(class_id != UNKNOWN_CLASS_ID)
        counts[known, class_id[known]] += 1
    return ClassPrior(counts.reshape(shape), classes.names, classes.empty, grid, _digest(dataset))


def cached_prior(dataset: MonoDataset, path: Path, progress: Progress | None = None) -> ClassPrior:
    """The prior that a file holds, counted and written where there is none or one of other samples.

    Args:
        dataset: that it is of.
        path: `PRIOR` in the folder of a run.
        progress: as `class_prior` takes it.

    Raises:
        DataError: where the file is damaged, or a truth is.
        OutputError: where the file cannot be written.
    """
    if path.is_file():
        found = ClassPrior.load(path)
        if found.samples == _digest(dataset):
            return found
    prior = class_prior(dataset, progress)
    prior.save(path)
    return prior


def _digest(dataset: MonoDataset) -> str:
    """Of the samples by the files of their truth, of the classes and of the grid."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{dataset.config.model.classes} {dataset.grid}".encode())
    for one, index in dataset.places:
        occupancy = one.drive.sets[index].occupancy
        digest.update(f"{one.folder} {one.drive.name} {index} {occupancy}".encode())
    return digest.hexdigest()
