"""Exact flow and masks of the synthetic world, as `occflow synth --truth all` writes them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from occflow_ros.cues.cue import FlowCue, Mask, flow_cue
from occflow_ros.cues.estimator import Recipe
from occflow_ros.cues.images import CameraImage, ImagePair, file_digest
from occflow_ros.data.classes import MOVABLE
from occflow_ros.data.drive import Drive
from occflow_ros.data.synthetic.image_truth import FOLDER
from occflow_ros.errors import DataError


class TruthFiles:
    """Files `truth/<camera>/<set>.npz` of a drive.

    Args:
        source: folder of the drive.
        drive: all its sets, sweeps too, since their numbers name the files.

    Raises:
        DataError: where the drive was written without the truth of its images.
    """

    def __init__(self, source: Path, drive: Drive) -> None:
        self._folder = source.expanduser() / FOLDER
        if not self._folder.is_dir():
            raise DataError(
                f"{self._folder}: folder is missing; exact cues are those of a synthetic drive:"
                " occflow synth --truth all"
            )
        self._numbers = {one.stamp_ns: number for number, one in enumerate(drive.sets)}

    def number(self, image: CameraImage) -> int:
        """Of the image's set, sweeps counted."""
        if image.set_stamp_ns not in self._numbers:
            raise DataError(
                f"{self._folder}: expected truth of the set at {image.set_stamp_ns} ns, found none"
            )
        return self._numbers[image.set_stamp_ns]

    def path(self, image: CameraImage) -> Path:
        """File with the truth of an image."""
        return self._folder / image.camera.name / f"{self.number(image):06d}.npz"

    def read(self, image: CameraImage, *keys: str) -> tuple[npt.NDArray, ...]:
        """Arrays of the file, with the image's height and width; raises DataError."""
        path = self.path(image)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = tuple(file[key] for key in keys)
        except FileNotFoundError:
            raise DataError(f"{path}: truth of an image is missing") from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: expected an npz with {keys}: {error}") from None
        for key, array in zip(keys, arrays):
            if array.shape[:2] != image.size_hw_px:
                raise DataError(
                    f"{path}: {key}: expected {image.size_hw_px}, got {array.shape[:2]}"
                )
        return arrays


@dataclass(frozen=True, slots=True)
class TruthFlow:
    """Exact flow, valid where the point is visible in the other image."""

    files: TruthFiles

    @property
    def recipe(self) -> Recipe:
        """Has no settings."""
        return Recipe(name="truth", version=1, arguments=("--flow", "truth"))

    def origin(self, pair: ImagePair) -> str:
        """Hash of the two files."""
        return "".join(_digest(self.files, image) for image in (pair.earlier, pair.later))

    def estimate(self, pair: ImagePair) -> tuple[FlowCue, FlowCue]:
        """Flow earlier → later and later → earlier.

        Raises:
            DataError: where the images are not of consecutive sets, or a file cannot be read.
        """
        earlier, later = pair.earlier, pair.later
        if self.files.number(later) != self.files.number(earlier) + 1:
            raise DataError(
                f"{self.files.path(earlier)}: leads to the next set, not to the one at"
                f" {later.set_stamp_ns} ns; give --sweeps where sweeps lie between keyframes,"
                " and no --span"
            )
        return (
            flow_cue(*self.files.read(earlier, "flow_forward_px", "visible_forward")),
            flow_cue(*self.files.read(later, "flow_backward_px", "visible_backward")),
        )


@dataclass(frozen=True, slots=True)
class TruthMask:
    """Pixels of movable classes (`occflow_ros.data.classes.MOVABLE`)."""

    files: TruthFiles

    @property
    def recipe(self) -> Recipe:
        """Has no settings."""
        return Recipe(name="truth", version=1, arguments=("--movable", "truth"))

    def origin(self, image: CameraImage) -> str:
        """Hash of the file."""
        return _digest(self.files, image)

    def estimate(self, image: CameraImage) -> Mask:
        """(H, W) bool; raises DataError."""
        (semantic,) = self.files.read(image, "semantic")
        return np.isin(semantic, MOVABLE)


def _digest(files: TruthFiles, image: CameraImage) -> str:
    return file_digest(files.path(image), "truth of an image")
