"""What became of every camera set, and how long each stage took."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from occflow_ros.ros.cameras import ImageSet
from occflow_ros.ros.rejection import Reason, RejectedSetError

PROCESSED = "processed"
DROPPED = "dropped"
WINDOW = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one set.

    Args:
        image_set: the set.
        rejection: why it was dropped; None where it was processed.
        reset: why the history was cleared with it, where it was.
        times_ms: by stage.
    """

    image_set: ImageSet
    rejection: RejectedSetError | None
    reset: str | None
    times_ms: Mapping[str, float]

    @property
    def key(self) -> str:
        """What it is counted as: processed, or the reason of the drop."""
        return self.rejection.reason if self.rejection else PROCESSED

    @property
    def is_unusual(self) -> bool:
        """Whether an operator should hear of it."""
        return self.rejection is not None and self.rejection.reason != Reason.NO_SUBSCRIBERS


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts since the start, and how it went lately.

    Args:
        outcomes: sets by what became of them.
        rate_hz: sets processed a second since the last `Ledger.totals`.
        age_s: since the last processed set; None before the first.
        latency_ms: p50 and p99 by stage, of the last processed sets.
    """

    outcomes: Mapping[str, int]
    rate_hz: float
    age_s: float | None
    latency_ms: Mapping[str, tuple[float, float]]

    @property
    def processed(self) -> int:
        """Sets that became a result."""
        return self.outcomes.get(PROCESSED, 0)

    @property
    def dropped(self) -> dict[str, int]:
        """Sets that did not, by reason."""
        return {key: count for key, count in sorted(self.outcomes.items()) if key != PROCESSED}


class Ledger:
    """Counts outcomes; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: Counter[str] = Counter()
        self._times_ms: deque[Mapping[str, float]] = deque(maxlen=WINDOW)
        self._last_processed_s: float | None = None
        self._asked = (time.monotonic(), 0)

    def record(self, outcome: Outcome) -> None:
        """Count what became of a set."""
        with self._lock:
            self._outcomes[outcome.key] += 1
            if outcome.rejection is None:
                self._times_ms.append(outcome.times_ms)
                self._last_processed_s = time.monotonic()

    def totals(self) -> Totals:
        """The counts; begins a new interval for the rate."""
        now_s = time.monotonic()
        with self._lock:
            outcomes, times_ms = dict(self._outcomes), list(self._times_ms)
            last_s, (asked_s, before) = self._last_processed_s, self._asked
            self._asked = (now_s, outcomes.get(PROCESSED, 0))
        return Totals(
            outcomes=outcomes,
            rate_hz=(outcomes.get(PROCESSED, 0) - before) / max(now_s - asked_s, 1e-3),
            age_s=None if last_s is None else now_s - last_s,
            latency_ms=_percentiles(times_ms),
        )


def _percentiles(times_ms: list[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    stages = dict.fromkeys(stage for one in times_ms for stage in one)
    found = {}
    for stage in stages:
        p50, p99 = np.percentile([one[stage] for one in times_ms if stage in one], (50, 99))
        found[stage] = (float(p50), float(p99))
    return found
