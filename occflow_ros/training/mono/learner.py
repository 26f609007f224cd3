"""MonoOcc and its losses as one learner, alone or taught by a privileged teacher (section III)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from occflow_ros.engine.semantics import views_of
from occflow_ros.errors import ConfigError
from occflow_ros.geometry.camera import project_from_base
from occflow_ros.losses.distillation import distillation_loss
from occflow_ros.losses.proposals import CoarseOccupancy, proposal_loss
from occflow_ros.losses.scene_affinity import geometric_affinity_loss, semantic_affinity_loss
from occflow_ros.losses.semantic_occupancy import (
    class_balance,
    pixel_cross_entropy,
    voxel_cross_entropy,
)
from occflow_ros.losses.total import LossTerm, TotalLoss, total_loss
from occflow_ros.models.mono.mono_net import MonoOccNet
from occflow_ros.models.mono.prediction import MonoPrediction
from occflow_ros.models.mono.views import Views
from occflow_ros.mono_config import MonoConfig, MonoLossesConfig
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid
from occflow_ros.training.learner import Learner, Stage
from occflow_ros.training.mono.sample import MonoSample


@dataclass(frozen=True, slots=True)
class VoxelTruth:
    """What the losses may know of the voxels of a batch of one.

    Args:
        classes: (1, X, Y, Z) uint8, UNKNOWN_CLASS_ID where a voxel does not count.
        cells: the same on the grid of the features.
    """

    classes: Tensor
    cells: CoarseOccupancy

    def occupied(self, empty_id: int) -> Tensor:
        """(1, X, Y, Z) bool, voxels that something fills, whatever it is."""
        return (self.classes != empty_id) & (self.classes != UNKNOWN_CLASS_ID)


class MonoLearner(Learner[MonoSample]):
    """Sample to loss, in one stage.

    The teacher is neither trained nor saved with the state of a run.

    Args:
        network: to train.
        config: of network and training.
        frequencies: (C,) voxels of each class in the training set.
        teacher: with any backbone and number of frames, frozen from now on; None leaves
            equation 9 out.

    Raises:
        ConfigError: where the teacher's features or classes are not those of the network.
        ValueError: where the frequencies are not those of the network's classes.
    """

    network: MonoOccNet
    class_weights: Tensor
    unit = "voxels"

    def __init__(
        self,
        network: MonoOccNet,
        config: MonoConfig,
        frequencies: Tensor,
        teacher: MonoOccNet | None = None,
    ) -> None:
        super().__init__()
        if tuple(frequencies.shape) != (len(network.class_names),):
            raise ValueError(
                f"frequencies: expected one of each class, ({len(network.class_names)},), "
                f"got {tuple(frequencies.shape)}"
            )
        self.network = network
        self.register_buffer("class_weights", class_balance(frequencies))
        self.stages = (Stage(config.train.steps, config.train.factors),)
        self._terms = _terms(config.train.losses, taught=teacher is not None)
        self._teach = None if teacher is None else _Teacher(teacher, network)
        self._only_seen = config.train.cameras_per_sample > 0
        self._reduced = config.train.precision == "bfloat16"
        self.train()

    def begin_stage(self, index: int) -> None:
        """The only stage learns everything."""

    def size(self, sample: MonoSample) -> int:
        """Voxels whose class is known."""
        return int((sample.classes != UNKNOWN_CLASS_ID).sum())

    def forward(self, sample: MonoSample, step: int, generator: torch.Generator) -> TotalLoss:
        """Equation 10 of one sample; nothing is left to chance."""
        views = views_of(sample.frames, self._device)
        depth_m = sample.depth_m.unsqueeze(0)
        with self._computing():
            prediction: MonoPrediction = self.network(views, depth_m)
        with torch.autocast(self._device.type, enabled=False):
            losses = self._losses(prediction, views, sample)
            values = {name: losses[name]() for name, term in self._terms.items() if term.enabled}
            return total_loss(values, self._terms)

    def _losses(
        self, prediction: MonoPrediction, views: Views, sample: MonoSample
    ) -> Mapping[str, Callable[[], Tensor]]:
        """Those of equation 10 and that of the proposals; what is off is not computed."""
        logits, empty_id = prediction.logits.float(), self.network.empty_id
        truth = self._truth(prediction, sample)
        return {
            "semantic_2d": lambda: self._semantic_2d(prediction.features, sample),
            "distillation": lambda: distillation_loss(
                logits, self._taught(views, sample), truth.occupied(empty_id)
            ),
            "cross_entropy": lambda: voxel_cross_entropy(logits, truth.classes, self.class_weights),
            "semantic_affinity": lambda: semantic_affinity_loss(logits, truth.classes),
            "geometric_affinity": lambda: geometric_affinity_loss(logits, truth.classes, empty_id),
            "proposals": lambda: proposal_loss(
                prediction.proposals.float(),
                truth.cells,
                cells_seen(views, self.network.volume_grid),
            ),
        }

    def _truth(self, prediction: MonoPrediction, sample: MonoSample) -> VoxelTruth:
        """Of all voxels, or of those that the cameras of the sample see."""
        classes = sample.classes.unsqueeze(0)
        if self._only_seen:
            seen = _on_finer_grid(prediction.seen)
            classes = torch.where(seen, classes, UNKNOWN_CLASS_ID).to(torch.uint8)
        return VoxelTruth(classes, CoarseOccupancy.of(classes, self.network.empty_id))

    def _semantic_2d(self, features: Tensor, sample: MonoSample) -> Tensor:
        """L_sem of equation 7, features (1, N, C, h, w)."""
        with self._computing():
            logits = self.network.semantic_decoder(features.flatten(0, 1))
        pixels = sample.pixels
        return pixel_cross_entropy(logits.float(), pixels.camera, pixels.location, pixels.class_id)

    def _taught(self, views: Views, sample: MonoSample) -> Tensor:
        """What the teacher reads from F̃_T of equation 9, (1, classes, X, Y, Z) logits."""
        assert self._teach is not None  # the term is off without a teacher
        with self._computing():
            return self._teach(views, sample.depth_m.unsqueeze(0)).float()

    @property
    def _device(self) -> torch.device:
        return self.class_weights.device

    def _computing(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._reduced)


def frames_of(config: MonoConfig, teacher: MonoOccNet | None) -> int:
    """How many images of a camera a sample needs."""
    return max(config.model.frames, 1 if teacher is None else teacher.frames)


class _Teacher:
    """A frozen network that is no part of the learner: no module, so that nothing finds it."""

    def __init__(self, network: MonoOccNet, student: MonoOccNet) -> None:
        for name in ("grid", "class_names"):
            got, expected = getattr(network, name), getattr(student, name)
            if got != expected:
                raise ConfigError(f"teacher.{name}: expected {expected} of the student, got {got}")
        self._network = network.eval().requires_grad_(False)

    def __call__(self, views: Views, depth_m: Tensor) -> Tensor:
        """Logits (B, classes, X, Y, Z) without gradient, from its own number of frames."""
        with torch.no_grad():
            prediction: MonoPrediction = self._network.to(depth_m.device)(views, depth_m)
        return prediction.logits


def cells_seen(views: Views, grid: VoxelGrid) -> Tensor:
    """Cells whose centre lies in the current image of each camera, (B, N, X, Y, Z) bool.

    Args:
        views: of N cameras.
        grid: of the cells.
    """
    newest = views.newest(1).by_camera()  # M = B · N single cameras
    centers_m = grid.centers_m(newest.images.device).flatten(0, 2)  # (Q, 3)
    _, visible = project_from_base(
        centers_m, newest.K[:, 0], newest.base_T_camera[:, 0], newest.image_hw_px
    )
    seen = visible & newest.present  # (M, Q)
    return seen.unflatten(1, grid.shape).unflatten(0, (-1, views.num_cameras))


def _on_finer_grid(cells: Tensor) -> Tensor:
    """(B, X', Y', Z') to (B, X, Y, Z): each cell's value for its eight voxels."""
    for dim in (1, 2, 3):
        cells = cells.repeat_interleave(2, dim=dim)
    return cells


def _terms(config: MonoLossesConfig, taught: bool) -> dict[str, LossTerm]:
    """Weights and switches; equation 9 costs a second network, so a weight of 0 turns it off."""
    terms = {name: getattr(config, name) for name in MonoLossesConfig.model_fields}
    terms = {name: LossTerm(term.weight, term.enabled) for name, term in terms.items()}
    distillation = terms["distillation"]
    wanted = taught and distillation.enabled and distillation.weight > 0
    return terms | {"distillation": LossTerm(distillation.weight, wanted)}
