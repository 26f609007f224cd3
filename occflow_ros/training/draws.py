"""Which samples a step takes: a pure function of the step, so that a run can go on."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Generic, Protocol

import numpy as np
import torch
from torch.utils.data import Sampler

from occflow_ros.training.learner import SampleT

_SEEDS = 2**62


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample as it is drawn.

    Args:
        index: into the data set.
        seed: of all that is left to chance about it.
    """

    index: int
    seed: int


@dataclass(frozen=True, slots=True)
class Drawn(Generic[SampleT]):
    """What a draw gave: a sample, or why there is none.

    Errors travel as values, since a loader's worker would wrap them in its own traceback.
    """

    draw: Draw
    sample: SampleT | None
    problem: str = ""


class SampleSource(Protocol[SampleT]):
    """A data set to draw from."""

    def __len__(self) -> int:
        """Number of samples, at least 1."""

    def __getitem__(self, draw: Draw, /) -> Drawn[SampleT]:
        """The sample, as its seed makes it."""


@dataclass(frozen=True)
class Draws(Sampler[Draw], Sized):
    """Samples of one process, from a step on.

    All processes together go through one order: every sample once an epoch, each epoch shuffled
    anew. Step k takes `samples_per_step` of it, dealt to the processes in turn.

    Args:
        dataset_size: number of samples.
        samples_per_step: over all processes.
        first_step: to begin with.
        last_step: not drawn any more.
        seed: of order and chance.
        rank: of this process.
        world_size: number of processes.
    """

    dataset_size: int
    samples_per_step: int
    first_step: int
    last_step: int
    seed: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.samples_per_step % self.world_size:
            raise ValueError(
                f"samples_per_step: expected a multiple of the {self.world_size} processes, "
                f"got {self.samples_per_step}"
            )

    def __len__(self) -> int:
        return (self.last_step - self.first_step) * self.samples_per_step // self.world_size

    def __iter__(self) -> Iterator[Draw]:
        order: list[int] = []
        epoch = -1
        first = self.first_step * self.samples_per_step + self.rank
        last = self.last_step * self.samples_per_step
        for position in range(first, last, self.world_size):
            if position // self.dataset_size != epoch:
                epoch = position // self.dataset_size
                order = self._order(epoch)
            yield Draw(order[position % self.dataset_size], self._seed_of(position))

    def _order(self, epoch: int) -> list[int]:
        generator = _generator(self.seed, 0, epoch)
        return torch.randperm(self.dataset_size, generator=generator).tolist()

    def _seed_of(self, position: int) -> int:
        return int(torch.randint(_SEEDS, (1,), generator=_generator(self.seed, 1, position)))


def _generator(seed: int, purpose: int, number: int) -> torch.Generator:
    """One of its own for each purpose and number."""
    mixed = np.random.SeedSequence((seed, purpose, number)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0]) % _SEEDS)
