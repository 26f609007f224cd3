"""Depth on disk, one file for each image of a camera.

    <folder>/<drive>/<camera>/<stamp_ns>.png

<stamp_ns> is when the image was taken. A file is a PNG of 16 bit as KITTI has them, metres × 256,
0 where unknown, at any size; it covers the whole image, undistorted, as it was recorded.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from occflow_ros.cues.formats import read_depth, write_depth
from occflow_ros.errors import DataError, OutputError
from occflow_ros.geometry.camera import ImageFit
from occflow_ros.output import write_text

Depth = npt.NDArray[np.float32]

STRIDE_PX = 4
"""Pixels of the network's image along each side of a cell of its depth map."""

_MAKER = "source.json"


class DepthFolder:
    """Depth files of any number of drives.

    Args:
        root: given to `occflow depth` as `--out`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, drive_name: str, camera: str, stamp_ns: int) -> Path:
        """File of an image; raises DataError where the drive's name is no folder's."""
        if drive_name != Path(drive_name).name or drive_name in ("", ".", ".."):
            raise DataError(f"{drive_name!r}: expected a drive's name that can be that of a folder")
        return self._root / drive_name / camera / f"{stamp_ns}.png"

    def write(
        self, drive_name: str, camera: str, stamp_ns: int, depth_m: npt.NDArray[np.floating]
    ) -> None:
        """Keep the depth (H, W) of an image, along the optical axis; see `write_depth`.

        Raises:
            OutputError: where the file cannot be written.
        """
        path = self.path(drive_name, camera, stamp_ns)
        _make_folder(path.parent)
        write_depth(path, depth_m)

    def read(
        self,
        drive_name: str,
        camera: str,
        stamp_ns: int,
        source_hw_px: tuple[int, int],
        target_hw_px: tuple[int, int],
        stride_px: int = STRIDE_PX,
    ) -> Depth:
        """Depth of the network's image, each cell that of the file's pixel at its centre.

        Args:
            drive_name: of the drive.
            camera: of the image, its name in the drive.
            stamp_ns: when it was taken.
            source_hw_px: size of the image as it was recorded, which the file covers.
            target_hw_px: size (H, W) of the network's image, see `ImageFit`.
            stride_px: pixels of the network's image along each side of a cell.

        Returns:
            (H / stride, W / stride) in metres, 0 where unknown.

        Raises:
            ValueError: where cells do not fill the network's image.
            DataError: names the file where it is missing, damaged or something else.
        """
        path = self.path(drive_name, camera, stamp_ns)
        try:
            whole_m = read_depth(path)
        except DataError as error:
            raise DataError(f"{error}; depth of images is made with: {self._command}") from None
        return cells_of(whole_m, ImageFit(source_hw_px, target_hw_px), stride_px)

    def claim(self, maker: Mapping[str, str]) -> None:
        """Note what makes the files; a folder holds those of one maker alone.

        Raises:
            OutputError: where the folder holds files of another one, or cannot be written.
        """
        found = self._maker()
        if found is not None and found != dict(maker):
            raise OutputError(
                f"{self._root}: expected depth made by {dict(maker)}, found that by {found};"
                " choose another folder"
            )
        if found is None:
            _make_folder(self._root)
            write_text(self._root / _MAKER, json.dumps(dict(maker), indent=2) + "\n")

    @property
    def _command(self) -> str:
        return f"occflow depth --out {shlex.quote(str(self._root))}"

    def _maker(self) -> dict[str, str] | None:
        path = self._root / _MAKER
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise OutputError(f"{path}: expected what made the files: {error}") from None
        return found


def whole_image(depth_m: Depth, fit: ImageFit) -> Depth:
    """Depth (h, w) of cells of the network's image to depth of the whole recorded image.

    It has the size of the scaled image, so that `DepthFolder.read` gives the same cells again; what
    the network's image leaves out is unknown, 0.
    """
    height, width = fit.target_hw_px
    rows, columns = (
        np.arange(side) * count // side for side, count in zip(fit.target_hw_px, depth_m.shape)
    )
    whole_m = np.zeros(fit.scaled_hw_px, np.float32)
    x, y = fit.offset_xy_px
    whole_m[y : y + height, x : x + width] = depth_m[np.ix_(rows, columns)]
    return whole_m


def cells_of(whole_m: Depth, fit: ImageFit, stride_px: int = STRIDE_PX) -> Depth:
    """Depth (H, W) of a whole recorded image to that of cells of the network's image.

    Raises:
        ValueError: where cells do not fill the network's image.
    """
    if any(side % stride_px for side in fit.target_hw_px):
        raise ValueError(f"stride_px: expected a divisor of {fit.target_hw_px}, got {stride_px}")
    x, y = fit.offset_xy_px
    rows, columns = (
        _pixels_at(first + stride_px * (np.arange(side // stride_px) + 0.5), scaled, size)
        for first, side, scaled, size in zip(
            (y, x), fit.target_hw_px, fit.scaled_hw_px, whole_m.shape
        )
    )
    return whole_m[np.ix_(rows, columns)]


def _pixels_at(
    centers: npt.NDArray[np.floating], scaled: int, size: int
) -> npt.NDArray[np.integer]:
    """Pixels of a file at these places of the scaled image, along one axis."""
    return np.floor(centers * size / scaled).astype(np.intp)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from None
