"""What a trainer trains: a network with its losses, stages and schedules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import torch
from pydantic import BaseModel
from torch import nn

from occflow_ros.losses.total import TotalLoss


class Sample(Protocol):
    """What one training step takes of one place of a data set."""

    def to(self, device: torch.device, /) -> Self:
        """The same with what is needed there on a device."""


SampleT = TypeVar("SampleT", bound=Sample)


@dataclass(frozen=True, slots=True)
class Stage:
    """Part of a run; optimizer and rates begin anew in each.

    Args:
        steps: optimizer steps; 0 leaves the stage out.
        factors: learning rates over the base rate, one field for each child of the network.
    """

    steps: int
    factors: BaseModel


class Learner(nn.Module, ABC, Generic[SampleT]):
    """Sample to loss, in one stage after the other.

    Everything registered as parameter, buffer or child is saved with the state of a run. In data
    parallel training `forward` is what the processes share.

    Attributes:
        network: what is trained, and saved as weights.
        stages: of the run, in order.
        unit: of what `size` counts, in the plural.
    """

    network: nn.Module
    stages: Sequence[Stage]
    unit: str

    @property
    def steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in self.stages)

    def place(self, step: int) -> tuple[int, int]:
        """The stage that a step belongs to, and the step's number within it, both from 0.

        After the last step, the last stage and its number of steps.
        """
        index, first = 0, 0
        for number, stage in enumerate(self.stages):
            if stage.steps and step >= first:
                index, begin = number, first
            first += stage.steps
        return index, step - begin

    @abstractmethod
    def begin_stage(self, index: int) -> None:
        """Choose what is learned in this stage, by whether it asks for a gradient."""

    @abstractmethod
    def forward(self, sample: SampleT, step: int, generator: torch.Generator) -> TotalLoss:
        """Loss of one sample.

        Args:
            sample: after `Sample.to` with the device of the network.
            step: of the run, from 0.
            generator: on the CPU, for what is left to chance.
        """

    @abstractmethod
    def size(self, sample: SampleT) -> int:
        """How many of `unit` a sample has, for the speed that is shown."""

    def beside(self) -> Sequence[nn.Parameter]:
        """Parameters that are learned beside the network, at the base rate and without decay."""
        return ()

    def numbers(self, step: int) -> dict[str, float]:
        """What logs and checkpoints say about this step beside the losses, by name."""
        del step
        return {}
