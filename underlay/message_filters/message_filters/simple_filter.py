"""Base of every filter: callbacks and their signal."""

from collections.abc import Callable
from typing import Any

Callback = Callable[..., None]


class SimpleFilter:
    """Passes its output on to registered callbacks, in the order of their registration."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callback, tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callback, *args: Any) -> int:
        """Call `cb(*output, *args)` on every output; returns the index of the connection."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:
        """Hand one output to every callback."""
        for callback, args in self.callbacks.values():
            callback(*msg, *args)
