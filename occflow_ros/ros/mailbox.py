"""One slot between two threads."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A newer item replaces one that was not yet taken, so what is taken is never stale."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None

    def put(self, item: T) -> T | None:
        """Leave an item; returns the one it replaces."""
        with self._changed:
            replaced, self._item = self._item, item
            self._changed.notify()
            return replaced

    def take(self, timeout_s: float) -> T | None:
        """The item, waiting for it at most `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None, timeout_s)
            item, self._item = self._item, None
            return item
