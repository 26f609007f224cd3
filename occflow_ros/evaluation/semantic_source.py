"""Predictions of MonoOcc by itself: what each voxel is, from images and an estimate of depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from occflow_ros.cues.images import file_digest
from occflow_ros.data.drive import Drive
from occflow_ros.data.scene import VoxelScene
from occflow_ros.data.sensors import load_frame
from occflow_ros.depth.frame_depth import FrameDepth
from occflow_ros.engine import checkpoint
from occflow_ros.engine.prediction import Prediction
from occflow_ros.engine.semantics import SemanticEngine, SemanticVoxels
from occflow_ros.evaluation.sources import Predictions
from occflow_ros.evaluation.subject import Subject
from occflow_ros.models.build import build_mono_network
from occflow_ros.mono_config import MonoConfig
from occflow_ros.structures import Frame


class SemanticSource:
    """The semantic network on the images of a drive; nothing moves.

    Args:
        weights: its checkpoint, which says what network it is.
        depth: of the images.
        device: to compute on.
        precision: of matrix products and convolutions, as `StreamConfig` names it.

    Raises:
        DataError: where the file cannot be read or holds another kind of network.
    """

    def __init__(
        self,
        weights: Path,
        depth: FrameDepth,
        device: torch.device | str = "cpu",
        precision: str = "float32",
    ) -> None:
        model = checkpoint.load(weights, MonoConfig).config.model
        self._engine = SemanticEngine(build_mono_network(model, weights), device, precision)
        self._depth = depth
        self._image_hw_px = model.image_hw_px
        self._name = f"{weights.name} {file_digest(weights, 'checkpoint')}, {depth.name}"

    @property
    def name(self) -> str:
        """File of the weights, hash of its bytes, and where depth comes from."""
        return self._name

    def predictions(self, subject: Subject, sets: Sequence[int]) -> Predictions:
        """The sets before each are its history; None without the reference camera's image."""
        drive, loaded = subject.drive, dict[int, Frame]()
        reference = next(iter(drive.cameras))
        usable = [i for i in range(sets[-1] + 1) if reference in drive.sets[i].images]
        wanted = [index for index in sets if index in usable]
        depths = self._depth.depths(drive, wanted, self._image_hw_px)
        for index in sets:
            if index not in wanted:
                yield index, None
                continue
            last = usable.index(index) + 1
            newest_first = usable[max(0, last - self._engine.network.frames) : last][::-1]
            loaded = {i: loaded.get(i) or self._frame(drive, i) for i in newest_first}
            found = self._engine.predict(tuple(loaded.values()), next(depths))
            yield index, _prediction(found, loaded[index])

    def _frame(self, drive: Drive, index: int) -> Frame:
        """With stamp and pose of the first camera's image, as in the node."""
        reference = next(iter(drive.cameras))
        return load_frame(drive, drive.sets[index], self._image_hw_px, reference)


def _prediction(found: SemanticVoxels, frame: Frame) -> Prediction:
    class_id = found.class_id.cpu().numpy()
    scene = VoxelScene(
        grid=found.grid,
        occupied=class_id != found.empty_id,
        velocity_mps=np.zeros((*found.grid.shape, 2), np.float32),
        class_id=class_id,
        class_names=found.class_names,
    )
    return Prediction.of_voxels(scene, frame.odom_T_base.numpy().astype(np.float64))
