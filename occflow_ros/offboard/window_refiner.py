"""One window of a recording through the network of stage 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from occflow_ros.errors import DataError
from occflow_ros.models.refine.coordinates import relative_coordinates, relative_poses
from occflow_ros.models.refine.refine_net import RefineNet
from occflow_ros.offboard.recording import Classes, RecordingInfo
from occflow_ros.offboard.windows import Window, WindowSizes
from occflow_ros.refine_config import RefineModelConfig


def window_sizes(config: RefineModelConfig) -> WindowSizes:
    """Of a configuration."""
    return WindowSizes(config.local_frames, config.reference_frames, config.reference_radius)


def check_recording(info: RecordingInfo, config: RefineModelConfig) -> None:
    """Raise DataError unless a recording is on the grid and has the classes of the network."""
    grid, classes = config.grid.voxels, config.classes.vocabulary
    same_box = np.allclose((info.grid.lower_m, info.grid.upper_m), (grid.lower_m, grid.upper_m))
    if not same_box or info.grid.shape != grid.shape:
        raise DataError(f"{info.name}: expected voxels on {grid} of the network, got {info.grid}")
    got = info.vocabulary
    if (got.names, got.empty) != (classes.names, classes.empty):
        raise DataError(
            f"{info.name}: expected the classes of the network, {', '.join(classes.names)} with "
            f"{classes.names[classes.empty]} for nothing, got {', '.join(got.names)} with "
            f"{got.names[got.empty]}"
        )


@dataclass(frozen=True, slots=True)
class WindowRefiner:
    """A network at work.

    Args:
        network: on its device.
        device: of it.
    """

    network: RefineNet
    device: torch.device

    @torch.inference_mode()
    def classes(self, onboard: Tensor, window: Window, info: RecordingInfo) -> Classes:
        """Refined classes (L, X, Y, Z) of the local frames of a window.

        Args:
            onboard: (T, X, Y, Z) uint8 classes of `window.places`, in this order.
            window: of the recording.
            info: of the recording.
        """
        poses = relative_poses(info.world_T_base[list(window.places)], window.pivot, info.grid)
        coordinates = relative_coordinates(poses.to(self.device), info.grid.shape)
        logits = self.network(
            onboard.to(self.device).long()[None], coordinates[None], len(window.local)
        )
        return logits[0].argmax(dim=1).to(torch.uint8).cpu().numpy()
