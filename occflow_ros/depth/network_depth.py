"""Depth of a drive from our own network, rendered set after set as in the node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from occflow_ros.config import RunConfig
from occflow_ros.cues.images import file_digest
from occflow_ros.data.drive import Drive
from occflow_ros.data.sensors import load_frame
from occflow_ros.depth.folder import Depth, whole_image
from occflow_ros.depth.rendered import render_depths
from occflow_ros.depth.source import SetDepths
from occflow_ros.engine import checkpoint
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.geometry.camera import ImageFit
from occflow_ros.models.build import build_network
from occflow_ros.structures import Frame


class NetworkDepth:
    """Equation 14 in the fields that the network predicts.

    Args:
        config: of network and stream.
        weights: checkpoint, None for random values.
        device: to compute on.

    Raises:
        DataError: where the weights do not fit.
    """

    def __init__(
        self, config: RunConfig, weights: Path | None, device: torch.device | str = "cpu"
    ) -> None:
        self._stream = OccupancyStream(build_network(config.model, weights), config, device)
        self._model = config.model
        self._sharpness_per_m = checkpoint.sharpness_per_m(weights, config.model)
        self._maker = {
            "source": "rendered",
            "weights": "untrained" if weights is None else file_digest(weights, "checkpoint"),
            "image_hw_px": "x".join(str(side) for side in config.model.image_hw_px),
        }

    @property
    def maker(self) -> Mapping[str, str]:
        """The weights and the size of the network's images."""
        return self._maker

    def depths(self, drive: Drive, sets: Sequence[int]) -> Iterator[SetDepths]:
        """The sets before them are history; raises DataError."""
        self._stream.reset(f"depth of {drive.name}")
        history, wanted = self._model.temporal.history, set(sets)
        for index in range(len(drive.sets)):
            if wanted.isdisjoint(range(index, index + history + 1)):
                continue
            frame = self._frame(drive, index)
            flow = self._stream.step(frame)
            if index in wanted:
                depths_m = render_depths(flow, frame, self._sharpness_per_m).cpu().numpy()
                yield index, self._whole_images(drive, frame, depths_m)

    def _frame(self, drive: Drive, index: int) -> Frame:
        """With stamp and pose of the first camera's image, as in the node, where there is one."""
        camera_set, first = drive.sets[index], next(iter(drive.cameras))
        reference = first if first in camera_set.images else None
        return load_frame(drive, camera_set, self._model.image_hw_px, reference)

    def _whole_images(self, drive: Drive, frame: Frame, depths_m: Depth) -> dict[str, Depth]:
        depths = {}
        for name, depth_m in zip(frame.rig.names, depths_m):
            camera = drive.cameras[name]
            fit = ImageFit((camera.height_px, camera.width_px), self._model.image_hw_px)
            depths[name] = whole_image(depth_m, fit)
        return depths
