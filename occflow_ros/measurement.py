"""What a benchmark suite gets and gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from occflow_ros.config import Config


@dataclass(frozen=True, slots=True)
class Options:
    """What every suite is asked with.

    Args:
        config: the resolved configuration.
        device: torch device.
        repeat: timed runs after the warm-up.
    """

    config: Config
    device: str
    repeat: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured number.

    Args:
        name: suite and quantity, for example `network.step p50`.
        value: the number.
        unit: of the number.
        note: what it is to be compared with, an aim or a rival in the same run.
    """

    name: str
    value: float
    unit: str
    note: str = ""

    def row(self) -> str:
        """One line of the console table."""
        return f"{self.name:<44} {self.value:>12,.3f} {self.unit:<8} {self.note}".rstrip()


def time_ms(call: Callable[[], object], repeat: int, warm_up: int = 2) -> np.ndarray:
    """Wall-clock times of `call` in milliseconds, (repeat,); the call synchronises the device."""
    for _ in range(warm_up):
        call()
    times_ms = np.empty(repeat)
    for index in range(repeat):
        start_s = time.perf_counter()
        call()
        times_ms[index] = (time.perf_counter() - start_s) * 1e3
    return times_ms
