"""What a benchmark suite gets and gives."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from occflow_ros.config import Config

_NAME, _COLUMN = 44, 16  # widths in the console table


@dataclass(frozen=True, slots=True)
class Options:
    """What every suite is asked with.

    Args:
        config: the resolved configuration.
        device: torch device.
        repeat: timed runs after the warm-up.
        cameras: of the rig.
    """

    config: Config
    device: str
    repeat: int
    cameras: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured number.

    Args:
        name: suite and what was measured, for example `network.step`.
        value: the number.
        unit: of the number.
        note: what it is to be compared with, an aim or a rival in the same run.
        quantity: which of several numbers of the same thing, for example `p50`.
    """

    name: str
    value: float
    unit: str
    note: str = ""
    quantity: str = ""

    @property
    def title(self) -> str:
        """Head of its column; a number that stands alone has none."""
        return f"{self.quantity} ({self.unit})" if self.quantity else ""

    @property
    def cell(self) -> str:
        """The number, with its unit where no head names it."""
        return f"{self.value:>{_COLUMN},.3f}" + ("" if self.quantity else f" {self.unit:<8}")


def table(measurements: Iterable[Measurement]) -> Iterator[str]:
    """Lines of the console table: numbers of one name side by side, heads where they change."""
    titles: list[str] = []
    for name, group in groupby(measurements, key=lambda measurement: measurement.name):
        row = list(group)
        if titles[: len(row)] != [item.title for item in row]:
            titles = [item.title for item in row]
            heads = "".join(f"{title:>{_COLUMN}}" for title in titles)
            yield from [f"{'':<{_NAME}}{heads}"] if any(titles) else []
        notes = [item.note for item in row if item.note]
        yield " ".join([f"{name:<{_NAME}}" + "".join(item.cell for item in row), *notes]).rstrip()


def is_cuda(device: str) -> bool:
    """Whether a torch device is a CUDA GPU."""
    return torch.device(device).type == "cuda"


def peak_bytes(device: str) -> int:
    """Most memory so far: allocated on a GPU, else resident of the whole process."""
    if is_cuda(device):
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10


def time_ms(
    call: Callable[[], object],
    repeat: int,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray:
    """Times of `call` in milliseconds, (repeat,), by a clock in seconds.

    The call synchronises the device. By `time.process_time` they are those of the processor.
    """
    for _ in range(warm_up):
        call()
    times_ms = np.empty(repeat)
    for index in range(repeat):
        start_s = clock()
        call()
        times_ms[index] = (clock() - start_s) * 1e3
    return times_ms
