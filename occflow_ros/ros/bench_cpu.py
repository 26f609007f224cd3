"""Processor time of the parts of a running process."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

Place = tuple[Any, str]
"""A module or class, and the name of a function in it."""


class CpuTimes:
    """Processor time by part: of functions, each without those inside it, and of threads.

    What a thread spends outside the functions is counted under its name, and that of threads which
    Python does not know under `native`.
    """

    def __init__(self) -> None:
        self._inside = threading.local()
        self._spent_s: Counter[tuple[str, str]] = Counter()  # by thread and part

    @contextmanager
    def watching(self, parts: Mapping[str, Sequence[Place]]) -> Iterator[None]:
        """Count these functions inside the block; objects that keep one must be made there too."""
        with ExitStack() as patches:
            for part, places in parts.items():
                for owner, name in places:
                    timed = self._timed(part, getattr(owner, name))
                    patches.enter_context(patch.object(owner, name, timed))
            yield

    def now_s(self) -> dict[str, float]:
        """Seconds so far by part; they add up to those of the process."""
        spent_s, total_s = Counter(self._spent_s), time.process_time()
        parts_s: Counter[str] = Counter()
        rest_s = {thread.name: _thread_s(thread) for thread in threading.enumerate()}
        rest_s["native"] = total_s - sum(rest_s.values())
        for (thread, part), seconds in spent_s.items():
            parts_s[part] += seconds
            rest_s[thread if thread in rest_s else "native"] -= seconds  # some have ended
        return {**parts_s, **rest_s}

    def _timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        inside = self._inside

        def timed(*args: Any, **kwargs: Any) -> Any:
            outer_s, inside.spent_s = getattr(inside, "spent_s", 0.0), 0.0
            start_s = time.thread_time()
            try:
                return call(*args, **kwargs)
            finally:
                spent_s = time.thread_time() - start_s
                key = threading.current_thread().name, part
                self._spent_s[key] += spent_s - inside.spent_s
                inside.spent_s = outer_s + spent_s

        return timed


def _thread_s(thread: threading.Thread) -> float:
    assert thread.ident is not None  # it runs
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
