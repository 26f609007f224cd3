"""Frames of a recording in a folder of their own, each whole or absent: what every stage writes.

recording.json            `RecordingInfo`
frames/000000.npz         of place 0: `index` (M,) uint32 row-major, `class_id` (M,) uint8 and,
                          where motion is known, `velocity_mps` (M, 2) float16, of the voxels
                          that are not empty
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from occflow_ros.data.drive import Camera
from occflow_ros.data.vocabulary import Vocabulary
from occflow_ros.errors import DataError, OutputError
from occflow_ros.offboard.recording import RecordedFrame, RecordingInfo
from occflow_ros.output import write_bytes, write_text
from occflow_ros.structures import VoxelGrid

INFO = "recording.json"
_FRAMES = "frames"


class FrameStore:
    """A `Recording` in a folder, read and written frame by frame, by several processes at once.

    Args:
        folder: of a store.

    Raises:
        DataError: where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._info = _read_info(folder / INFO)

    @staticmethod
    def create(folder: Path, info: RecordingInfo) -> FrameStore:
        """A store for these frames; one of the same recording is gone on with.

        Raises:
            OutputError: where the folder cannot be written or holds another recording.
        """
        path = folder / INFO
        content = json.dumps(_document(info), indent=1) + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") != content:
            raise OutputError(f"{folder}: holds frames of another recording; give another folder")
        try:
            (folder / _FRAMES).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from None
        write_text(path, content)
        return FrameStore(folder)

    @property
    def folder(self) -> Path:
        """That it was opened from."""
        return self._folder

    @property
    def info(self) -> RecordingInfo:
        """Of all its frames, whether they are there or not."""
        return self._info

    def has(self, place: int) -> bool:
        """Whether a frame is there."""
        return self._path(place).is_file()

    @property
    def missing(self) -> tuple[int, ...]:
        """Places without a frame, ascending."""
        return tuple(place for place in range(len(self._info)) if not self.has(place))

    def write(self, place: int, frame: RecordedFrame) -> None:
        """Write a frame, whole or not at all.

        Raises:
            ValueError: where it is not on the grid or has classes without a name.
            OutputError: where it cannot be written.
        """
        self._check(frame)
        class_id = frame.class_id.reshape(-1)  # (X·Y·Z)
        index = np.flatnonzero(class_id != self._info.vocabulary.empty)
        arrays: dict[str, Any] = {"index": index.astype(np.uint32), "class_id": class_id[index]}
        if frame.velocity_mps is not None:
            velocity_mps = frame.velocity_mps.reshape(-1, 2)[index]  # (M, 2)
            arrays["velocity_mps"] = velocity_mps.astype(np.float16)
        file = io.BytesIO()
        np.savez(file, **arrays)
        write_bytes(self._path(place), file.getvalue())

    def load(self, place: int) -> RecordedFrame:
        """Read a frame; raises DataError where it is missing, damaged or not on the grid."""
        path, grid = self._path(place), self._info.grid
        arrays = _load(path)
        try:
            index = arrays["index"]
            class_id = np.full(grid.num_voxels, self._info.vocabulary.empty, np.uint8)
            class_id[index] = arrays["class_id"]
            velocity_mps = None
            if "velocity_mps" in arrays:
                flat_mps = np.zeros((grid.num_voxels, 2), np.float32)
                flat_mps[index] = arrays["velocity_mps"]
                velocity_mps = flat_mps.reshape(*grid.shape, 2)  # (X, Y, Z, 2)
            frame = RecordedFrame(class_id.reshape(grid.shape), velocity_mps)  # (X, Y, Z)
            self._check(frame)
        except (KeyError, IndexError, ValueError) as error:
            raise DataError(f"{path}: expected voxels on the grid {grid}: {error}") from None
        return frame

    def frames(self, indices: Iterable[int]) -> Iterator[RecordedFrame]:
        """As `Recording`."""
        return map(self.load, indices)

    def _check(self, frame: RecordedFrame) -> None:
        names, shape = self._info.vocabulary.names, self._info.grid.shape
        if frame.class_id.shape != shape:
            raise ValueError(f"class_id: expected {shape}, got {frame.class_id.shape}")
        if (highest := int(frame.class_id.max())) >= len(names):
            raise ValueError(f"class_id: expected 0 to {len(names) - 1}, got {highest}")

    def _path(self, place: int) -> Path:
        return self._folder / _FRAMES / f"{place:06d}.npz"


def _load(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise DataError(f"{path}: frame is missing") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected a frame of voxels: {error}") from None


def _document(info: RecordingInfo) -> dict[str, Any]:
    values = asdict(info)
    values["world_T_base"] = info.world_T_base.tolist()
    for camera in values["cameras"]:
        camera |= {name: camera[name].tolist() for name in ("K", "base_T_camera")}
    return values


def _read_info(path: Path) -> RecordingInfo:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return RecordingInfo(
            name=values["name"],
            grid=VoxelGrid(**{key: tuple(value) for key, value in values["grid"].items()}),
            vocabulary=_vocabulary(values["vocabulary"]),
            frame_names=tuple(values["frame_names"]),
            stamps_ns=tuple(values["stamps_ns"]),
            world_T_base=np.array(values["world_T_base"], np.float64),
            cameras=tuple(map(_camera, values["cameras"])),
        )
    except FileNotFoundError:
        raise DataError(f"{path}: expected a folder of recorded frames, file is missing") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected the description of a recording: {error}") from None


def _vocabulary(values: dict[str, Any]) -> Vocabulary:
    return Vocabulary(tuple(values["names"]), values["empty"], tuple(values["movable"]))


def _camera(values: dict[str, Any]) -> Camera:
    arrays = {name: np.array(values[name], np.float64) for name in ("K", "base_T_camera")}
    return Camera(**{**values, **arrays, "distortion": tuple(values["distortion"])})
