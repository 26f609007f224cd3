"""Cues made elsewhere, in a folder with one file per image, named as the image is.

    flow_forward/<camera>/<image>.png|.flo|.npy    to the image of the next set
    flow_backward/<camera>/<image>.png|.flo|.npy   to that of the previous set
    movable/<camera>/<image>.png|.npy              mask or class map

<camera> is the name in the drive and <image> the image's file name without its suffix. The first
image needs no flow backward, the last none forward. All are of the undistorted image at its own
size; `formats` says what the files hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occflow_ros.cues.cue import FlowCue, Mask
from occflow_ros.cues.estimator import Recipe
from occflow_ros.cues.formats import FLOW_SUFFIXES, MASK_SUFFIXES, read_flow, read_labels
from occflow_ros.cues.images import CameraImage, ImagePair, file_digest
from occflow_ros.errors import DataError

FORWARD, BACKWARD, MOVABLE = "flow_forward", "flow_backward", "movable"


@dataclass(frozen=True, slots=True)
class FileFlow:
    """Flow from files."""

    folder: Path

    @property
    def recipe(self) -> Recipe:
        """Where the files lie does not matter, only what they hold."""
        return Recipe("files", 1, arguments=("--flow", "files", "--files", str(self.folder)))

    def origin(self, pair: ImagePair) -> str:
        """Hash of the two files."""
        return "".join(file_digest(path, "optical flow") for path in self._paths(pair))

    def estimate(self, pair: ImagePair) -> tuple[FlowCue, FlowCue]:
        """Flow earlier → later and later → earlier.

        Raises:
            DataError: where the images are not of consecutive sets, or a file is missing, corrupt
                or of another size than the image.
        """
        if pair.later.set_index != pair.earlier.set_index + 1:
            raise DataError(f"{self.folder}: flow files lead to the next set; give no --span")
        forward, backward = self._paths(pair)
        return _sized_flow(forward, pair.earlier), _sized_flow(backward, pair.later)

    def _paths(self, pair: ImagePair) -> tuple[Path, Path]:
        return (
            _find(self.folder / FORWARD, pair.earlier, FLOW_SUFFIXES),
            _find(self.folder / BACKWARD, pair.later, FLOW_SUFFIXES),
        )


@dataclass(frozen=True, slots=True)
class FileMask:
    """Movable masks from files.

    Args:
        folder: that holds them.
        classes: numbers of movable classes in class maps; none means all but 0.
    """

    folder: Path
    classes: tuple[int, ...] = ()

    @property
    def recipe(self) -> Recipe:
        """Depends on the classes."""
        numbers = ",".join(str(number) for number in self.classes)
        chosen = ("--movable-classes", numbers) if numbers else ()
        return Recipe(
            name="files",
            version=1,
            arguments=("--movable", "files", "--files", str(self.folder), *chosen),
            settings={"classes": numbers},
        )

    def origin(self, image: CameraImage) -> str:
        """Hash of the file."""
        return file_digest(self._path(image), "mask")

    def estimate(self, image: CameraImage) -> Mask:
        """(H, W) bool.

        Raises:
            DataError: where the file is missing, corrupt or of another size than the image.
        """
        path = self._path(image)
        labels = read_labels(path)
        _check_size(path, labels.shape, image)
        return np.isin(labels, self.classes) if self.classes else labels != 0

    def _path(self, image: CameraImage) -> Path:
        return _find(self.folder / MOVABLE, image, MASK_SUFFIXES)


def _find(folder: Path, image: CameraImage, suffixes: Sequence[str]) -> Path:
    stem = folder / image.camera.name / image.file.path.stem
    found = [path for suffix in suffixes if (path := Path(f"{stem}{suffix}")).is_file()]
    if len(found) != 1:
        names = " or ".join(path.name for path in found) or "no file"
        raise DataError(f"{stem}: expected one file {'|'.join(suffixes)}, found {names}")
    return found[0]


def _sized_flow(path: Path, image: CameraImage) -> FlowCue:
    cue = read_flow(path)
    _check_size(path, cue.valid.shape, image)
    return cue


def _check_size(path: Path, shape: tuple[int, ...], image: CameraImage) -> None:
    if shape != image.size_hw_px:
        height, width = image.size_hw_px
        raise DataError(
            f"{path}: expected {width}x{height} px as {image.file.path.name} has,"
            f" got {shape[1]}x{shape[0]} px"
        )
