"""Depth of the frames of a drive as the semantic network takes it, wherever it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from occflow_ros.config import RunConfig
from occflow_ros.cues.images import file_digest
from occflow_ros.data.drive import Drive
from occflow_ros.depth.folder import STRIDE_PX, Depth, DepthFolder, cells_of
from occflow_ros.depth.network_depth import NetworkDepth
from occflow_ros.errors import DataError
from occflow_ros.geometry.camera import ImageFit


class FrameDepth(Protocol):
    """A source of depth."""

    @property
    def name(self) -> str:
        """Says where depth comes from, and tells two sources apart."""

    def depths(
        self, drive: Drive, sets: Sequence[int], image_hw_px: tuple[int, int]
    ) -> Iterator[Tensor]:
        """Of the images of these sets, ascending, in order.

        Args:
            drive: whose images count.
            sets: numbers of its sets.
            image_hw_px: size (H, W) of the network's images.

        Returns:
            (N, H / 4, W / 4) in metres along the optical axes, 0 where unknown or the image is
            missing.

        Raises:
            DataError: where an image or its depth cannot be read.
        """


class DepthFiles:
    """Depth files as `occflow depth` makes them.

    Args:
        root: folder of them.

    Raises:
        DataError: where there is no such folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(f"{root}: expected a folder that `occflow depth` filled, found none")
        self._root = root

    @property
    def name(self) -> str:
        """The folder."""
        return f"depth of {self._root}"

    def depths(
        self, drive: Drive, sets: Sequence[int], image_hw_px: tuple[int, int]
    ) -> Iterator[Tensor]:
        """Of the images of these sets; raises DataError where a file is missing or damaged."""
        folder = DepthFolder(self._root)
        for index in sets:
            found = {
                name: folder.read(
                    drive.name, name, file.stamp_ns, _recorded_hw_px(drive, name), image_hw_px
                )
                for name, file in drive.sets[index].images.items()
            }
            yield _stacked(drive, found, image_hw_px)


class RenderedDepth:
    """Depth as the fields of our own network render it.

    Args:
        config: of that network and its stream.
        weights: its checkpoint, None for random values.
        device: to compute on.

    Raises:
        DataError: where the weights do not fit.
    """

    def __init__(
        self, config: RunConfig, weights: Path | None, device: torch.device | str = "cpu"
    ) -> None:
        self._source = NetworkDepth(config, weights, device)
        self._name = (
            "random weights"
            if weights is None
            else f"{weights.name} {file_digest(weights, 'checkpoint')}"
        )

    @property
    def name(self) -> str:
        """File of the weights and hash of its bytes."""
        return f"depth rendered by {self._name}"

    def depths(
        self, drive: Drive, sets: Sequence[int], image_hw_px: tuple[int, int]
    ) -> Iterator[Tensor]:
        """The sets before them are history; raises DataError where an image cannot be read."""
        for index, whole_m in self._source.depths(drive, sets):
            found = {
                name: cells_of(whole_m[name], ImageFit(_recorded_hw_px(drive, name), image_hw_px))
                for name in drive.sets[index].images
            }
            yield _stacked(drive, found, image_hw_px)


def _recorded_hw_px(drive: Drive, camera: str) -> tuple[int, int]:
    return drive.cameras[camera].height_px, drive.cameras[camera].width_px


def _stacked(drive: Drive, found: Mapping[str, Depth], image_hw_px: tuple[int, int]) -> Tensor:
    """(N, h, w) in the order of the rig."""
    height, width = (side // STRIDE_PX for side in image_hw_px)
    unknown = torch.zeros(height, width)
    return torch.stack(
        [torch.from_numpy(found[name]) if name in found else unknown for name in drive.cameras]
    )
