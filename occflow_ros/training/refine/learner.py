"""OccFiner's first stage and its losses as one learner (section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from occflow_ros.losses.lovasz import lovasz_softmax_loss
from occflow_ros.losses.total import LossTerm, TotalLoss, total_loss
from occflow_ros.models.refine.coordinates import relative_coordinates
from occflow_ros.models.refine.refine_net import RefineNet
from occflow_ros.refine_config import RefineConfig, RefineLossesConfig
from occflow_ros.structures import UNKNOWN_CLASS_ID
from occflow_ros.training.learner import Learner, Stage
from occflow_ros.training.refine.sample import RefineSample


class RefineLearner(Learner[RefineSample]):
    """Sample to loss, in one stage.

    Args:
        network: to train.
        config: of network and training.
    """

    network: RefineNet
    unit = "voxels"

    def __init__(self, network: RefineNet, config: RefineConfig) -> None:
        super().__init__()
        self.network = network
        self.stages = (Stage(config.train.steps, config.train.factors),)
        losses = config.train.losses
        self._terms = {
            name: LossTerm(term.weight, term.enabled)
            for name in RefineLossesConfig.model_fields
            for term in (getattr(losses, name),)
        }
        self._reduced = config.train.precision == "bfloat16"
        self.train()

    def begin_stage(self, index: int) -> None:
        """The only stage learns everything."""

    def size(self, sample: RefineSample) -> int:
        """Voxels whose class is known."""
        return int((sample.truth != UNKNOWN_CLASS_ID).sum())

    def forward(self, sample: RefineSample, step: int, generator: torch.Generator) -> TotalLoss:
        """Equation 13 over the known voxels of all local frames; nothing is left to chance."""
        device = sample.classes.device
        coordinates = relative_coordinates(sample.pivot_T_frame, _shape(sample.classes))
        with torch.autocast(device.type, torch.bfloat16, enabled=self._reduced):
            logits = self.network(sample.classes.long()[None], coordinates[None], sample.local)
        known = sample.truth != UNKNOWN_CLASS_ID
        chosen = logits[0].movedim(1, -1)[known].float()  # (M, C)
        true = sample.truth[known].long()  # (M,)
        with torch.autocast(device.type, enabled=False):
            return total_loss(self._values(chosen, true), self._terms)

    def _values(self, logits: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Of the terms that are on; zero where no voxel is known."""
        losses = {"cross_entropy": _cross_entropy, "lovasz": lovasz_softmax_loss}
        return {
            name: losses[name](logits, true) for name, term in self._terms.items() if term.enabled
        }


def _cross_entropy(logits: Tensor, true: Tensor) -> Tensor:
    return cross_entropy(logits, true, reduction="sum") / max(1, len(true))


def _shape(classes: Tensor) -> tuple[int, int, int]:
    _, x, y, z = classes.shape
    return x, y, z
