"""The last messages of a stream, to be asked for by time."""

from typing import Any

from rclpy.time import Time

from message_filters.simple_filter import SimpleFilter
from message_filters.stamps import stamp_of


class Cache(SimpleFilter):
    """Keeps the newest `cache_size` messages of a filter in order of arrival, and passes them on.

    Args:
        f: input filter.
        cache_size: number of messages kept.
        allow_headerless: stamp messages without a header with the ROS time of their arrival.
    """

    def __init__(
        self, f: SimpleFilter, cache_size: int = 1, allow_headerless: bool = False
    ) -> None:
        super().__init__()
        self.cache_size = cache_size
        self.cache_msgs: list[Any] = []
        self.cache_times: list[Time] = []
        self.allow_headerless = allow_headerless
        self.connectInput(f)

    def connectInput(self, f: SimpleFilter) -> None:
        """Listen to a filter."""
        self.incoming_connection = f.registerCallback(self.add)

    def add(self, msg: Any) -> None:
        """Store a message, and drop the one that arrived first if there are too many."""
        stamp = stamp_of(msg, self.allow_headerless, "message_filters_cache")
        if stamp is None:
            return
        self.cache_times.append(stamp)
        self.cache_msgs.append(msg)
        if len(self.cache_msgs) > self.cache_size:
            del self.cache_msgs[0], self.cache_times[0]
        self.signalMessage(msg)

    def getInterval(self, from_stamp: Time, to_stamp: Time) -> list[Any]:
        """Messages from one time to another, both included.

        Raises:
            AssertionError: the interval ends before it begins.
        """
        if from_stamp > to_stamp:
            raise AssertionError(f"expected from_stamp <= to_stamp, got {from_stamp}, {to_stamp}")
        return [
            msg
            for msg, time in zip(self.cache_msgs, self.cache_times, strict=True)
            if from_stamp <= time <= to_stamp
        ]

    def getElemAfterTime(self, stamp: Time) -> Any:
        """The first message at or after a time; None if there is none."""
        return next(
            (
                msg
                for msg, time in zip(self.cache_msgs, self.cache_times, strict=True)
                if time >= stamp
            ),
            None,
        )

    def getElemBeforeTime(self, stamp: Time) -> Any:
        """The last message at or before a time; None if there is none."""
        newest_first = zip(reversed(self.cache_msgs), reversed(self.cache_times), strict=True)
        return next((msg for msg, time in newest_first if time <= stamp), None)

    def getLastestTime(self) -> Time | None:
        """Stamp of the newest message; the name is upstream's."""
        return self.cache_times[-1] if self.cache_times else None

    def getOldestTime(self) -> Time | None:
        """Stamp of the oldest message."""
        return self.cache_times[0] if self.cache_times else None

    def getLast(self) -> Any:
        """The newest message; None if there is none."""
        return self.getElemAfterTime(self.cache_times[-1]) if self.cache_times else None
