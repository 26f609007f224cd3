"""Sets of messages from several streams whose stamps agree."""

import itertools
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from rclpy.duration import Duration
from rclpy.time import Time

from message_filters.simple_filter import SimpleFilter
from message_filters.stamps import stamp_of

Queue = dict[int, Any]  # stamp in ns -> message


class TimeSynchronizer(SimpleFilter):
    """Calls back with one message of each input, all of the same stamp.

    Args:
        fs: input filters; the callback's arguments keep their order.
        queue_size: messages kept for each input while their partners are awaited.
    """

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int) -> None:
        super().__init__()
        self.lock = threading.RLock()  # reentrant: a callback may feed an input
        self.queue_size = queue_size
        self.connectInput(fs)

    def connectInput(self, fs: Sequence[SimpleFilter]) -> None:
        """Listen to filters, each with an empty queue."""
        self.queues: list[Queue] = [{} for _ in fs]
        self.input_connections = [
            f.registerCallback(self.add, queue, index)
            for index, (f, queue) in enumerate(zip(fs, self.queues, strict=True))
        ]

    def add(self, msg: Any, my_queue: Queue, my_queue_index: int | None = None) -> None:
        """Take a message of one input, and signal every set that is complete."""
        with self.lock:
            self._enqueue(msg, Time.from_msg(msg.header.stamp).nanoseconds, my_queue)
            for stamp_ns in sorted(set.intersection(*map(set, self.queues))):
                self._emit([stamp_ns] * len(self.queues))

    def _enqueue(self, msg: Any, stamp_ns: int, queue: Queue) -> None:
        """Store a message; of too many, the one with the earliest stamp goes."""
        queue[stamp_ns] = msg
        while len(queue) > self.queue_size:
            del queue[min(queue)]

    def _emit(self, stamps_ns: Iterable[int]) -> None:
        """Take the messages with these stamps out of the queues, and signal them as a set."""
        matched = zip(self.queues, stamps_ns, strict=True)
        self.signalMessage(*[queue.pop(stamp_ns) for queue, stamp_ns in matched])


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """Calls back with one message of each input whose stamps span less than `slop`.

    A new message is matched with the others nearest to it in time; the first combination
    within the slop is signalled and leaves the queues.

    Args:
        fs: input filters; the callback's arguments keep their order.
        queue_size: messages kept for each input while their partners are awaited.
        slop: largest span of the stamps in a set (s), itself excluded.
        allow_headerless: stamp messages without a header with the ROS time of their arrival.
    """

    def __init__(
        self,
        fs: Sequence[SimpleFilter],
        queue_size: int,
        slop: float,
        allow_headerless: bool = False,
    ) -> None:
        super().__init__(fs, queue_size)
        self.slop = Duration(seconds=slop)
        self.allow_headerless = allow_headerless

    def add(self, msg: Any, my_queue: Queue, my_queue_index: int | None = None) -> None:
        """Take a message of one input, and signal the set it completes, if any."""
        stamp = stamp_of(msg, self.allow_headerless, "message_filters_approx")
        if stamp is None:
            return
        with self.lock:
            self._enqueue(msg, stamp.nanoseconds, my_queue)
            match = self._match(stamp.nanoseconds, my_queue)
            if match is not None:
                self._emit(match)

    def _match(self, stamp_ns: int, my_queue: Queue) -> tuple[int, ...] | None:
        """Stamps of the set around a new message, one for each queue; None if there is none."""
        if stamp_ns not in my_queue:  # it was the earliest of too many
            return None
        candidates = [
            [stamp_ns] if queue is my_queue else self._nearest_first(queue, stamp_ns)
            for queue in self.queues
        ]
        slop_ns = self.slop.nanoseconds
        return next(
            (
                stamps_ns
                for stamps_ns in itertools.product(*candidates)
                if max(stamps_ns) - min(stamps_ns) < slop_ns
            ),
            None,
        )

    def _nearest_first(self, queue: Queue, stamp_ns: int) -> list[int]:
        within_slop = (s for s in queue if abs(s - stamp_ns) <= self.slop.nanoseconds)
        return sorted(within_slop, key=lambda s: abs(s - stamp_ns))
