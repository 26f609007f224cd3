"""Labels of OpenOcc, the benchmark of the CVPR 2024 challenge on occupancy and flow.

    <dataroot>/openocc_v2/<scene>/<sample token>/labels.npz

Keys: `semantics` (X, Y, Z) uint8 in the order of `classes.OPENOCC_NAMES`, `flow` (X, Y, Z, 2) float
along x and y. There are no masks, and the box is that of Occ3D. By the README of the challenge and
answers of its authors (issues 2 and 50 of OpenDriveLab/OccNet), flow is the velocity of the
annotated box around the voxel, in m/s, and zero in the background. Nothing says what holds where
nuScenes knows no velocity; NaN is read as unknown.

Files with one more key, `observed` (X, Y, Z), are ours: False where nobody knows what is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from occflow_ros.data.classes import NAMES, OPENOCC_NAMES
from occflow_ros.data.drive import OCC3D_GRID, OccupancyTruth

FOLDER = "openocc_v2"
KEYS = frozenset({"semantics", "flow"})
OBSERVED = "observed"

_OTHERS = NAMES.index("others")
_FROM_OPENOCC = np.array([NAMES.index(name) for name in OPENOCC_NAMES], np.uint8)
_TO_OPENOCC = np.full(len(NAMES), len(OPENOCC_NAMES), np.uint8)
_TO_OPENOCC[_FROM_OPENOCC] = np.arange(len(OPENOCC_NAMES))


def is_openocc(keys: Iterable[str]) -> bool:
    """Whether a file with these keys is OpenOcc's: Occ3D's and our own labels have other masks."""
    return set(keys) - {OBSERVED} == KEYS


def from_openocc(semantics: npt.NDArray) -> npt.NDArray[np.uint8]:
    """OpenOcc's class numbers (X, Y, Z) as those of `classes.NAMES`.

    Raises:
        ValueError: where there is another number.
    """
    if semantics.dtype.kind not in "iu":
        raise ValueError(f"semantics: expected whole numbers, got {semantics.dtype}")
    last = len(OPENOCC_NAMES) - 1
    if semantics.size and (semantics.min() < 0 or semantics.max() > last):
        raise ValueError(
            f"semantics: expected OpenOcc's classes 0 to {last}, as there is flow and no mask,"
            f" got {semantics.min()} to {semantics.max()}"
        )
    return _FROM_OPENOCC[semantics]


def fits_openocc(truth: OccupancyTruth) -> bool:
    """Whether OpenOcc can say it: on its grid, and nothing of a class that it does not have."""
    return truth.grid == OCC3D_GRID and not (truth.semantics == _OTHERS).any()


def write_openocc(
    file: Path | BinaryIO, truth: OccupancyTruth, with_observed: bool = False
) -> None:
    """Write one file.

    Args:
        file: its path, or an open file.
        truth: what it holds.
        with_observed: keep what is observed, in a key that OpenOcc does not have; else it is lost.

    Raises:
        ValueError: where the truth does not fit.
    """
    if not fits_openocc(truth):
        raise ValueError(
            f"expected a truth on {OCC3D_GRID} without the class others, got one on {truth.grid}"
            f" with {int((truth.semantics == _OTHERS).sum())} voxels of it"
        )
    more: dict[str, Any] = {OBSERVED: truth.observed} if with_observed else {}
    np.savez_compressed(
        file,
        semantics=_TO_OPENOCC[truth.semantics],
        flow=truth.velocity_mps.astype(np.float16),
        **more,
    )
