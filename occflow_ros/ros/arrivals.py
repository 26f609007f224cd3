"""Waiting for what another thread brings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from occflow_ros.ros.rejection import Reason, RejectedSetError

T = TypeVar("T")
FINAL = (Reason.IMAGE_TOO_OLD, Reason.POSE_GAP)
"""What no later message mends."""


class Arrivals:
    """Wakes those who wait for messages, each time that one came."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._closed = False

    def announce(self) -> None:
        """Something came."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing will come any more: nobody waits from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def await_result(self, find: Callable[[], T], deadline_s: float) -> T:
        """What `find` returns, called again after each arrival until `time.monotonic` is this.

        Raises:
            RejectedSetError: the last one that `find` raised.
        """
        while True:
            seen = self._count
            try:
                return find()
            except RejectedSetError as error:
                if error.reason in FINAL or not self._came_after(seen, deadline_s):
                    raise

    def _came_after(self, seen: int, deadline_s: float) -> bool:
        """Whether something new came in time."""
        wait_s = max(0.0, deadline_s - time.monotonic())
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._count > seen, wait_s)
            return not self._closed and self._count > seen and time.monotonic() < deadline_s
