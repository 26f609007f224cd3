"""One process of several that train together, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True, slots=True)
class Process:
    """This process among those of the run.

    Args:
        rank: of it, 0 for the one that writes.
        world_size: number of processes.
        device: where it computes.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def writes(self) -> bool:
        """Whether it is the one that writes files and shows progress."""
        return self.rank == 0


@contextmanager
def join_processes(device: str) -> Iterator[Process]:
    """Join the others where `torchrun` has set RANK and WORLD_SIZE, else be the only one.

    Args:
        device: asked for; of several GPUs on a machine each process takes its own.
    """
    if "WORLD_SIZE" not in os.environ:
        yield Process(0, 1, torch.device(device))
        return
    chosen = torch.device(device)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    # What processes agree on between the steps is on the CPU, so that no GPU is waited for.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Process(distributed.get_rank(), distributed.get_world_size(), chosen)
    finally:
        distributed.destroy_process_group()
