"""Points tracked through the images of a camera, and the flow that follows from them.

`tracks/<camera>.npz` holds `stamps_ns` (T,) int64 of the images, `pixels` (N, T, 2) float and
`visible` (N, T) bool. Long tracks through the sweeps give flow between keyframes (B.2).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from occflow_ros.cues.cue import FlowCue, Mask, flow_cue
from occflow_ros.cues.estimator import Recipe
from occflow_ros.cues.images import CameraImage, ImagePair, file_digest
from occflow_ros.errors import DataError
from occflow_ros.output import output_file

FOLDER = "tracks"
_KEYS = ("stamps_ns", "pixels", "visible")


@dataclass(frozen=True, slots=True)
class Tracks:
    """N points over T images of one camera.

    Args:
        stamps_ns: (T,) int64 of the images, increasing.
        pixels: (N, T, 2) float32 (u, v) in the undistorted images, zero where not visible.
        visible: (N, T) bool.

    Raises:
        ValueError: where shapes or types are not as above, or visible pixels are not finite.
    """

    stamps_ns: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.float32]
    visible: Mask

    def __post_init__(self) -> None:
        if self.visible.ndim != 2 or self.visible.dtype != np.bool_:
            raise ValueError(
                f"visible: expected (N, T) bool, got {self.visible.shape} {self.visible.dtype}"
            )
        if self.pixels.shape != (*self.visible.shape, 2) or self.pixels.dtype != np.float32:
            raise ValueError(
                f"pixels: expected {(*self.visible.shape, 2)} float32,"
                f" got {self.pixels.shape} {self.pixels.dtype}"
            )
        if self.stamps_ns.shape != self.visible.shape[1:] or self.stamps_ns.dtype != np.int64:
            raise ValueError(
                f"stamps_ns: expected {self.visible.shape[1:]} int64,"
                f" got {self.stamps_ns.shape} {self.stamps_ns.dtype}"
            )
        if not (np.diff(self.stamps_ns) > 0).all():
            raise ValueError("stamps_ns: expected increasing stamps")
        if not np.isfinite(self.pixels[self.visible]).all():
            raise ValueError("pixels: expected finite numbers where visible")


def follow(flows: Sequence[FlowCue], start_pixels: npt.NDArray, stamps_ns: Sequence[int]) -> Tracks:
    """Tracks by flow from each image to the next, such as the exact one of a synthetic drive.

    A point is lost where the flow is not valid; between pixels the flow is interpolated where all
    four are valid.

    Args:
        flows: T − 1 of one size.
        start_pixels: (N, 2) in the first image.
        stamps_ns: T of the images.

    Raises:
        ValueError: where the numbers do not belong together.
    """
    if len(stamps_ns) != len(flows) + 1:
        raise ValueError(f"stamps_ns: expected {len(flows) + 1}, got {len(stamps_ns)}")
    pixels = [np.asarray(start_pixels, np.float32)]
    visible = [np.ones(len(pixels[0]), bool)]
    for flow in flows:
        step_px, known = _sample(flow, pixels[-1])
        visible.append(visible[-1] & known)
        pixels.append(np.where(visible[-1][:, None], pixels[-1] + step_px, np.float32(0.0)))
    return Tracks(
        np.asarray(stamps_ns, np.int64), np.stack(pixels, axis=1), np.stack(visible, axis=1)
    )


def flow_between(
    tracks: Tracks, stamp_ns: int, target_stamp_ns: int, image_hw_px: tuple[int, int]
) -> FlowCue:
    """Flow of the pixels that hold a point visible in both images; all others are not valid.

    Raises:
        ValueError: where the tracks have no such image.
    """
    source, target = (_column(tracks, stamp) for stamp in (stamp_ns, target_stamp_ns))
    start, end = tracks.pixels[:, source], tracks.pixels[:, target]  # (N, 2)
    known = tracks.visible[:, source] & tracks.visible[:, target]
    column, row = np.where(known[:, None], np.round(start), -1.0).astype(np.int64).T
    height, width = image_hw_px
    known &= (column >= 0) & (column < width) & (row >= 0) & (row < height)
    flow_px, valid = np.zeros((height, width, 2), np.float32), np.zeros((height, width), bool)
    flow_px[row[known], column[known]] = (end - start)[known]
    valid[row[known], column[known]] = True
    return flow_cue(flow_px, valid)


def write_tracks(path: Path, tracks: Tracks) -> None:
    """Write one file; raises OutputError."""
    arrays = {key: getattr(tracks, key) for key in _KEYS}
    with output_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_tracks(path: Path) -> Tracks:
    """Read one file.

    Raises:
        DataError: where the file is missing, corrupt, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            stamps_ns, pixels, visible = (file[key] for key in _KEYS)
        return Tracks(stamps_ns, pixels.astype(np.float32), visible)
    except FileNotFoundError:
        raise DataError(f"{path}: tracks are missing") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected an npz of tracks: {error}") from None


@dataclass(frozen=True, slots=True)
class TrackFlow:
    """Flow from files of tracks, valid at the tracked pixels only."""

    folder: Path

    @property
    def recipe(self) -> Recipe:
        """Where the files lie does not matter, only what they hold."""
        return Recipe("tracks", 1, arguments=("--flow", "tracks", "--files", str(self.folder)))

    def origin(self, pair: ImagePair) -> str:
        """Hash of the camera's file."""
        return file_digest(self._path(pair.earlier), "file of tracks")

    def estimate(self, pair: ImagePair) -> tuple[FlowCue, FlowCue]:
        """Flow earlier → later and later → earlier.

        Raises:
            DataError: where the file is missing, corrupt or without these images.
        """
        path = self._path(pair.earlier)
        tracks = read_tracks(path)
        first, second = pair.earlier.file.stamp_ns, pair.later.file.stamp_ns
        try:
            return (
                flow_between(tracks, first, second, pair.earlier.size_hw_px),
                flow_between(tracks, second, first, pair.later.size_hw_px),
            )
        except ValueError as error:
            raise DataError(f"{path}: {error}") from None

    def _path(self, image: CameraImage) -> Path:
        return self.folder / FOLDER / f"{image.camera.name}.npz"


def _column(tracks: Tracks, stamp_ns: int) -> int:
    (found,) = np.nonzero(tracks.stamps_ns == stamp_ns)
    if not len(found):
        raise ValueError(f"expected tracks through the image at {stamp_ns} ns, found none")
    return int(found[0])


def _sample(cue: FlowCue, pixels: npt.NDArray[np.float32]) -> tuple[npt.NDArray, Mask]:
    """Flow (N, 2) at pixels (N, 2), and whether it is valid (N,)."""
    u, v = pixels[:, 0], pixels[:, 1]
    layers = (cue.flow_px[..., 0], cue.flow_px[..., 1], cue.valid.astype(np.float32))
    at = np.stack((v, u))  # (2, N)
    flow_u, flow_v, weight = (map_coordinates(layer, at, order=1) for layer in layers)
    return np.stack((flow_u, flow_v), axis=1), weight > 0.999
