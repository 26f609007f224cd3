"""Where the parts of a long work are done: in this process, in several, or on a Ray cluster.

A part is any callable without arguments that pickles, for example a frozen dataclass with a
`__call__`; `str(part)` names it in errors. It may be done twice, since one whose process was killed
is done again, so it must leave the same behind then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, get_args

import torch

from occflow_ros.errors import ConfigError

ResultT = TypeVar("ResultT")
EngineName = Literal["process", "ray"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

TRIES = 3
"""How often a part is begun whose process dies."""


class Engine(Protocol):
    """Does parts, whoever lends the processes."""

    def run(self, parts: Sequence[Callable[[], ResultT]]) -> Iterator[tuple[int, ResultT]]:
        """Do all parts, in any order; the results are those of one process.

        Where a part raises, or the caller ends the iteration, parts that are being done are
        stopped and the others are not begun.

        Yields:
            place of a part that is done in `parts`, and what it returned.

        Raises:
            PartError: names a part whose process died `TRIES` times.
            Exception: whatever a part raised.
        """


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where parts are done.

    Args:
        name: processes of this machine, or Ray.
        workers: parts at a time; None for one, with Ray for as many as it has CPUs.
        address: of a running Ray cluster, None to start one on this machine.
        device: that the parts compute on.

    Raises:
        ConfigError: where these do not go together.
    """

    name: EngineName = "process"
    workers: int | None = None
    address: str | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise ConfigError(f"engine: expected {' or '.join(ENGINES)}, got {self.name}")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers: expected at least 1, got {self.workers}")
        if self.address is not None and self.name != "ray":
            raise ConfigError(f"address: expected with the engine ray only, got {self.address}")
        if self.name == "ray" and ":" in self.device:
            raise ConfigError(f"device: expected cuda, as Ray chooses which, got {self.device}")


def open_engine(options: EngineOptions) -> AbstractContextManager[Engine]:
    """An engine for a `with` block, at whose end its processes end.

    Raises:
        ConfigError: where Ray is asked for and is not installed, or not at the address.
    """
    if options.name == "ray":
        from occflow_ros.offboard.ray_engine import RayEngine

        return RayEngine(options.workers, options.address, options.device)
    if options.workers is None or options.workers == 1:
        return OneProcess()
    from occflow_ros.offboard.worker_pool import WorkerPool

    return WorkerPool(options.workers)


class OneProcess(AbstractContextManager["OneProcess"]):
    """Does parts here, one after the other."""

    def __exit__(self, *_: object) -> None:
        return None

    def run(self, parts: Sequence[Callable[[], ResultT]]) -> Iterator[tuple[int, ResultT]]:
        """As `Engine`; a part that kills its process kills this one."""
        for place, part in enumerate(parts):
            yield place, part()


def threads_each(workers: int) -> int:
    """How many threads of torch each of several processes of this machine should take."""
    return max(1, torch.get_num_threads() // workers)
