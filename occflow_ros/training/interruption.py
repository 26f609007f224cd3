"""Ctrl-C and SIGTERM during training: noted at first, so that the running step is not lost."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_ECHO_S = 1.0
"""A terminal signals every process of a run, and `torchrun` passes its own signal on to them."""


class Interrupted(KeyboardInterrupt):
    """A signal that was noted, raised where nothing is lost."""


class Interruption:
    """Within the block the first signal is noted; one that comes later ends the step at once.

    Outside of the main thread signals go where they always go.
    """

    def __init__(self) -> None:
        self._noted_s: float | None = None

    @property
    def noted(self) -> bool:
        """Whether a signal has come."""
        return self._noted_s is not None

    def __enter__(self) -> Self:
        in_main = threading.current_thread() is threading.main_thread()
        self._previous = {
            number: signal.signal(number, self._note) for number in _SIGNALS if in_main
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler or signal.SIG_DFL)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if self._noted_s is None:
            self._noted_s = now_s
        elif now_s - self._noted_s > _ECHO_S:
            raise KeyboardInterrupt


def leave_signals_to_parent(worker: int) -> None:
    """For processes that load samples: they go on until the training process lets them end."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
