"""AdamW with a learning rate per module, warm-up and milestones (section B.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn
from torch.optim import AdamW

from occflow_ros.training_config import OptimizerConfig


def build_optimizer(
    network: nn.Module,
    beside: Sequence[nn.Parameter],
    config: OptimizerConfig,
    factors: BaseModel,
) -> AdamW:
    """AdamW over what of the network is to be learned; `scheduled_rate` moves the rates.

    Vectors and scalars, such as biases and norms, do not decay.

    Args:
        network: with one child module for each factor, or None where it does without.
        beside: parameters learned beside the network, those of them that ask for a gradient.
        config: base rate and decay.
        factors: of the child modules' rates.
    """
    groups: list[dict[str, Any]] = []
    for name, factor in factors.model_dump().items():
        child: nn.Module | None = getattr(network, name)
        parameters = () if child is None else child.parameters()
        learned = [value for value in parameters if value.requires_grad]
        for decays in (True, False):
            chosen = [value for value in learned if (value.ndim > 1) == decays]
            decay = config.weight_decay if decays else 0.0
            groups.append({"params": chosen, "factor": factor, "weight_decay": decay})
    others = [value for value in beside if value.requires_grad]
    groups.append({"params": others, "factor": 1.0, "weight_decay": 0.0})
    return AdamW([group for group in groups if group["params"]], lr=config.learning_rate)


def set_rate(optimizer: AdamW, rate: float) -> None:
    """The rate of each group is the base rate times the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def scheduled_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Base learning rate at a step of a stage.

    Example: rate 1, warm-up 10, 100 steps, decay 0.4 at 60 % give 0.5 at step 4, 1 at step 10 and
    0.4 from step 60 on.

    Args:
        step: of the stage, from 0.
        steps: of the whole stage.
        config: base rate, warm-up and milestones.
    """
    warm_up = min(1.0, (step + 1) / max(1, config.warm_up_steps))
    passed = sum(step >= share * steps for share in config.milestones)
    return config.learning_rate * warm_up * config.decay**passed


def clip_gradients(optimizer: AdamW, max_norm: float) -> Tensor:
    """Shorten the gradient to at most this length; returns its length before, maybe not finite."""
    gradients = [
        value.grad
        for group in optimizer.param_groups
        for value in group["params"]
        if value.grad is not None
    ]
    norm = torch.nn.utils.get_total_norm(gradients)
    torch.nn.utils.clip_grads_with_norm_(
        [value for group in optimizer.param_groups for value in group["params"]], max_norm, norm
    )
    return norm
