"""The synchroniser of `message_filters`, where a user prefers it to ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from message_filters import ApproximateTimeSynchronizer, SimpleFilter

from occflow_ros.ros.stamps import NS_PER_S, stamp_ns
from occflow_ros.ros.synchronizer import ImageCounts, MatchedSet


class ApproximateTime(SimpleFilter):
    """`ApproximateTimeSynchronizer` with the face of `RigSynchronizer`: whole sets only.

    Args:
        inputs: filters of messages with a header, by camera name.
        reference: name of the camera whose stamp is the set's.
        tolerance_s: largest spread of the stamps in a set.
        queue_size: images that wait, per camera.
    """

    def __init__(
        self,
        inputs: Mapping[str, SimpleFilter],
        *,
        reference: str,
        tolerance_s: float,
        queue_size: int,
    ) -> None:
        super().__init__()
        self._names = tuple(inputs)
        self._reference = self._names.index(reference)
        self._tolerance_ns = round(tolerance_s * NS_PER_S)
        self._received: Counter[str] = Counter()
        self._last_ns: dict[str, int] = {}
        self._sets = 0
        self._time_jumps = 0
        for name, source in inputs.items():
            source.registerCallback(self._note, name)  # before the synchroniser's own
        self._inner = ApproximateTimeSynchronizer([*inputs.values()], queue_size, tolerance_s)
        self._inner.registerCallback(self._signal)

    @property
    def counts(self) -> dict[str, ImageCounts]:
        """What became of every image, by camera name; one that left its queue was evicted."""
        return {
            name: ImageCounts(
                received=self._received[name],
                used=self._sets,
                late=0,
                duplicate=0,
                unmatched=0,
                evicted=self._received[name] - self._sets - len(queue),
                time_jump=0,
                waiting=len(queue),
            )
            for name, queue in zip(self._names, self._inner.queues)
        }

    @property
    def dropped_sets(self) -> int:
        """None: sets that are not whole do not form."""
        return 0

    @property
    def time_jumps(self) -> int:
        """How often the time of a camera went back."""
        return self._time_jumps

    def poll(self, now_s: float) -> None:
        """Nothing waits for time to pass."""

    def _note(self, message: Any, name: str) -> None:
        """Where a camera's time goes back, forget the images of its future.

        The synchroniser discards the oldest first, so in full queues they would outlive all others.
        """
        self._received[name] += 1
        place_ns = stamp_ns(message.header)
        latest_ns = place_ns + self._tolerance_ns
        if self._last_ns.get(name, 0) > latest_ns:
            self._time_jumps += 1
            for queue in self._inner.queues:
                for late_ns in [queued_ns for queued_ns in queue if queued_ns > latest_ns]:
                    del queue[late_ns]
        self._last_ns[name] = place_ns

    def _signal(self, *messages: Any) -> None:
        self._sets += 1
        self.signalMessage(MatchedSet(stamp_ns(messages[self._reference].header), messages))
