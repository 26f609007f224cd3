"""Wall-clock time of each stage of a step, measured from outside the network."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn


class StageTimer:
    """Adds up milliseconds by stage; on a GPU it waits for the stage's work to be done.

    Args:
        device: where the stages run.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._times_ms: dict[str, float] = {}

    @property
    def times_ms(self) -> dict[str, float]:
        """Milliseconds by stage since `clear`, in the order in which the stages first ran."""
        return dict(self._times_ms)

    def clear(self) -> None:
        """Start a new step."""
        self._times_ms = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block under this name."""
        start_s = self._now_s()
        yield
        self._add(name, start_s)

    @contextmanager
    def watching(self, modules: Mapping[nn.Module, str]) -> Iterator[None]:
        """Count every call of these modules inside the block under their stage's name."""
        with ExitStack() as hooks:
            for module, name in modules.items():
                self._watch(module, name, hooks)
            yield

    def _watch(self, module: nn.Module, name: str, hooks: ExitStack) -> None:
        start_s = 0.0

        def begin(*_: Any) -> None:
            nonlocal start_s
            start_s = self._now_s()

        def end(*_: Any) -> None:
            self._add(name, start_s)

        hooks.callback(module.register_forward_pre_hook(begin).remove)
        hooks.callback(module.register_forward_hook(end).remove)

    def _add(self, name: str, start_s: float) -> None:
        elapsed_ms = (self._now_s() - start_s) * 1e3
        self._times_ms[name] = self._times_ms.get(name, 0.0) + elapsed_ms

    def _now_s(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
