"""Pseudo-labels on disk, in the layouts that training and other people's code read.

semantic_kitti  sequences/DRIVE/voxels/NNNNNN.label, and .invalid where it does not count, .occluded
                where this frame does not see it, .bin what the sweep hits (without a sweep: what is
                occupied and seen)
occ3d           DRIVE/TOKEN/labels.npz as `occflow labels` writes them; `mask_camera` is what counts
openocc         openocc_v2/DRIVE/TOKEN/labels.npz in OpenOcc's numbers; `observed` is what counts,
                a key that the benchmark's own code passes over

What does not count is marked so in each of them. Classes go by their names.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from occflow_ros.data import classes, openocc, semantic_kitti
from occflow_ros.data.drive import OCC3D_GRID, CameraSet, Drive, OccupancyTruth
from occflow_ros.data.semantic_kitti_voxels import write_bits, write_labels
from occflow_ros.data.sensors import read_lidar
from occflow_ros.data.truth import write_truth
from occflow_ros.data.vocabulary import OCC3D, SEMANTIC_KITTI, Vocabulary
from occflow_ros.errors import DataError, OutputError
from occflow_ros.geometry import se3
from occflow_ros.labels.store import label_path
from occflow_ros.offboard.pseudo_labels import Mask, PseudoLabel
from occflow_ros.offboard.recording import RecordingInfo, Velocities
from occflow_ros.output import write_bytes, write_text
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

Layout = Literal["semantic_kitti", "occ3d", "openocc"]

MANIFEST = "made_from.json"

_VOCABULARIES: Mapping[Layout, Vocabulary] = {
    "semantic_kitti": SEMANTIC_KITTI,
    "occ3d": OCC3D,
    "openocc": OCC3D,
}
_GRIDS: Mapping[Layout, VoxelGrid] = {"semantic_kitti": semantic_kitti.GRID, "openocc": OCC3D_GRID}


def begin_folder(path: Path, made_from: Mapping[str, Any]) -> None:
    """Make a folder and note what its files are made from, or go on with one of the same.

    Raises:
        OutputError: where it holds files made from something else, or cannot be written.
    """
    manifest = path / MANIFEST
    content = json.dumps(made_from, indent=1, sort_keys=True) + "\n"
    if manifest.is_file() and manifest.read_text(encoding="utf-8") != content:
        raise OutputError(
            f"{path}: expected files made from {content}, found others; give another --out"
        )
    _make_folder(path)
    write_text(manifest, content)


def layout_for(vocabulary: Vocabulary) -> Layout:
    """The one that has all the classes; raises DataError where none does."""
    for layout in ("semantic_kitti", "occ3d"):
        if not _without_name(vocabulary, layout):
            return layout
    raise DataError(
        f"classes: expected those of SemanticKITTI ({', '.join(SEMANTIC_KITTI.names)}) or of "
        f"nuScenes ({', '.join(classes.NAMES)}), whose files are known, got "
        f"{', '.join(vocabulary.names)}"
    )


@dataclass(frozen=True, slots=True)
class LabelFolder:
    """A folder of pseudo-labels of several drives in one layout.

    Args:
        path: the folder.
        layout: of its files.
    """

    path: Path
    layout: Layout

    def begin(self, made_from: Mapping[str, Any]) -> None:
        """Note what the labels are made from; labels from the same are gone on with.

        Raises:
            OutputError: where they were made from something else, or nothing can be written.
        """
        begin_folder(self.path, {"layout": self.layout, **made_from})

    def file(self, drive: Drive, index: int) -> Path:
        """Of the labels of one set; raises DataError where the drive's name is no folder's."""
        camera_set = drive.sets[index]
        if self.layout == "semantic_kitti":
            sequence = label_path(self.path / "sequences", drive, camera_set).parent.parent
            return sequence / "voxels" / f"{index:06d}.label"
        folder = self.path / openocc.FOLDER if self.layout == "openocc" else self.path
        return label_path(folder, drive, camera_set)

    def has(self, drive: Drive, index: int) -> bool:
        """Whether the labels of one set are there, all of its files."""
        return self.file(drive, index).is_file()  # of several files the last one

    def check(self, info: RecordingInfo) -> None:
        """Raise DataError where the layout has no place for a recording's classes or grid."""
        if missing := _without_name(info.vocabulary, self.layout):
            raise DataError(
                f"{info.name}: expected classes of {self.layout} "
                f"({', '.join(_VOCABULARIES[self.layout].names)}), got {', '.join(missing)} too"
            )
        _factors(info, _GRIDS.get(self.layout, info.grid))

    def write(self, drive: Drive, index: int, info: RecordingInfo, label: PseudoLabel) -> None:
        """Write the labels of one set, whole or not at all.

        Raises:
            DataError: where the layout has no place for them, or the sweep cannot be read.
            OutputError: where a file cannot be written.
        """
        self.check(info)
        fitted = _fit(label, info, self.layout)
        path = self.file(drive, index)
        _make_folder(path.parent)
        if self.layout == "semantic_kitti":
            hit = _hit(drive, drive.sets[index], fitted)
            write_bits(path.with_suffix(".invalid"), ~fitted.known)
            write_bits(path.with_suffix(".occluded"), ~fitted.visible)
            write_bits(path.with_suffix(".bin"), hit)
            write_labels(path, semantic_kitti.labels_of(fitted.class_id))
            return
        file = io.BytesIO()
        truth = _truth(fitted, _GRIDS.get(self.layout, info.grid))
        if self.layout == "openocc":
            openocc.write_openocc(file, truth, with_observed=True)
        else:
            write_truth(file, truth)
        write_bytes(path, file.getvalue())


def _without_name(vocabulary: Vocabulary, layout: Layout) -> list[str]:
    """Classes that the layout does not have."""
    known = _VOCABULARIES[layout].names
    return [
        name
        for number, name in enumerate(vocabulary.names)
        if name not in known and number != vocabulary.empty
    ]


def _factors(info: RecordingInfo, grid: VoxelGrid) -> tuple[int, ...]:
    """How many voxels of a layout's grid one of the recording's is long, along x, y and z.

    Raises:
        DataError: where the box is another one or the voxels are not a multiple.
    """
    own = info.grid
    same_box = np.allclose((own.lower_m, own.upper_m), (grid.lower_m, grid.upper_m))
    if not same_box or any(many % few for many, few in zip(grid.shape, own.shape)):
        raise DataError(
            f"{info.name}: expected voxels on {grid}, or fewer and larger ones of the same box, "
            f"got {own}"
        )
    return tuple(many // few for many, few in zip(grid.shape, own.shape))


def _fit(label: PseudoLabel, info: RecordingInfo, layout: Layout) -> PseudoLabel:
    """In the numbers and on the grid of a layout; what it cannot say does not count."""
    wanted = _VOCABULARIES[layout]
    table = np.full(256, UNKNOWN_CLASS_ID, np.uint8)
    for number, name in enumerate(info.vocabulary.names):
        table[number] = wanted.empty if number == info.vocabulary.empty else _number(wanted, name)
    if layout == "openocc":
        table[table == classes.NAMES.index("others")] = UNKNOWN_CLASS_ID
    class_id = table[label.class_id]
    sayable = class_id != UNKNOWN_CLASS_ID
    velocity_mps = _velocities(label, info.vocabulary)
    factors = _factors(info, _GRIDS.get(layout, info.grid))
    return PseudoLabel(
        class_id=_finer(np.where(sayable, class_id, wanted.empty).astype(np.uint8), factors),
        velocity_mps=_finer(velocity_mps, factors),
        visible=_finer(label.visible, factors),
        known=_finer(label.known & sayable, factors),
    )


def _number(vocabulary: Vocabulary, name: str) -> int:
    return vocabulary.names.index(name)


def _velocities(label: PseudoLabel, vocabulary: Vocabulary) -> Velocities:
    """(X, Y, Z, 2); without an estimate what can move has an unknown one, NaN, the rest stands."""
    if label.velocity_mps is not None:
        return label.velocity_mps
    movable = np.isin(label.class_id, vocabulary.movable)
    speed_mps = np.where(movable, np.float32(np.nan), np.float32(0.0))
    return np.repeat(speed_mps[..., None], 2, axis=-1)  # (X, Y, Z, 2)


def _finer(values: Any, factors: tuple[int, ...]) -> Any:
    """(X, Y, Z, ...) with each voxel's value for those that it is cut into."""
    for axis, factor in enumerate(factors):
        values = values if factor == 1 else np.repeat(values, factor, axis=axis)
    return values


def _truth(label: PseudoLabel, grid: VoxelGrid) -> OccupancyTruth:
    assert label.velocity_mps is not None  # `_fit` gives some
    return OccupancyTruth(
        label.class_id, label.velocity_mps, label.known, grid.lower_m, grid.upper_m
    )


def _hit(drive: Drive, camera_set: CameraSet, label: PseudoLabel) -> Mask:
    """Voxels (X, Y, Z) of SemanticKITTI with a return of the sweep, or a surface that is seen."""
    sweep = camera_set.lidar
    if sweep is None or drive.base_T_lidar is None:
        return label.visible & (label.class_id != semantic_kitti.EMPTY)
    base_T_sweep = se3.between(camera_set.odom_T_base, sweep.odom_T_base) @ drive.base_T_lidar
    points_m = se3.transform_points(base_T_sweep, read_lidar(sweep.path).astype(np.float64))
    index, inside = semantic_kitti.GRID.index_of(torch.from_numpy(points_m))
    hit = np.zeros(semantic_kitti.GRID.shape, bool)
    hit[tuple(index[inside].T.numpy())] = True  # 3 × (P)
    return hit


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from None
