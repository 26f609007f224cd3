"""Occupancy truth as the `labels.npz` of Occ3D and OpenOcc.

Keys: `semantics` (X, Y, Z) uint8 in the numbers of `occflow_ros.data.classes`, `flow` (X, Y, Z, 2)
float, velocity in m/s along ego x and y, `mask_camera` (X, Y, Z), non-zero where a camera sees the
voxel, in some files `mask_lidar` (X, Y, Z), the same for LiDAR. `lower_m` and `upper_m` (3,) give
the box; files without them are on the box of Occ3D. Files of OpenOcc have `semantics` in its own
numbers (`occflow_ros.data.openocc`) and `flow` alone, by which they are known.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from occflow_ros.data import openocc
from occflow_ros.data.drive import OccupancyTruth
from occflow_ros.errors import DataError

Mask = npt.NDArray[np.bool_]

_CORNERS = ("lower_m", "upper_m")


def write_truth(
    file: Path | BinaryIO, truth: OccupancyTruth, mask_lidar: Mask | None = None
) -> None:
    """Write one file; velocities are kept as float16, as OpenOcc has them.

    Args:
        file: its path, or an open file.
        truth: what it holds.
        mask_lidar: (X, Y, Z) voxels that LiDAR knows, left out where there is none.
    """
    masks: dict[str, Any] = {"mask_camera": truth.observed}
    if mask_lidar is not None:
        masks["mask_lidar"] = mask_lidar
    np.savez_compressed(
        file,
        semantics=truth.semantics,
        flow=truth.velocity_mps.astype(np.float16),
        **masks,
        lower_m=np.array(truth.lower_m),
        upper_m=np.array(truth.upper_m),
    )


def read_truth(path: Path) -> OccupancyTruth:
    """Read one file; classes are in the numbers of `occflow_ros.data.classes`, whoever made it.

    Without `mask_camera` every voxel counts as observed; without `flow` (Occ3D has none) all
    velocities are NaN, which is to say unknown.

    Raises:
        DataError: where the file is missing, corrupt, or holds other shapes or classes.
    """
    arrays = _load(path)
    if "semantics" not in arrays:
        raise DataError(f"{path}: expected the key semantics, got {sorted(arrays)}")
    semantics = arrays["semantics"]
    shape = semantics.shape
    flow = arrays.get("flow", np.full((*shape, 2), np.nan))
    official = openocc.is_openocc(arrays)
    observed = arrays.get(openocc.OBSERVED if official else "mask_camera", np.ones(shape))
    try:
        box = {name: _corner(name, arrays[name]) for name in _CORNERS if name in arrays}
        return OccupancyTruth(
            semantics=openocc.from_openocc(semantics) if official else semantics,
            velocity_mps=flow.astype(np.float32),
            observed=observed.astype(bool),
            **box,
        )
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def read_lidar_mask(path: Path) -> Mask | None:
    """The `mask_lidar` (X, Y, Z) of one file, None where it has none; raises DataError."""
    mask = _load(path).get("mask_lidar")
    return None if mask is None else mask.astype(bool)


def _load(path: Path) -> dict[str, npt.NDArray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise DataError(f"{path}: occupancy truth is missing") from None
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected an npz of occupancy truth: {error}") from None


def _corner(name: str, values: npt.NDArray) -> tuple[float, float, float]:
    if values.shape != (3,):
        raise ValueError(f"{name}: expected 3 numbers, got shape {values.shape}")
    x, y, z = values.tolist()
    return x, y, z
