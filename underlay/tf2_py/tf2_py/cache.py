"""History of one frame: its parent and transform over time."""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from tf2_py.exceptions import ExtrapolationException
from tf2_py.rigid import Rigid, interpolate

LATEST_NS = 0  # tf2 reads time zero as "the latest there is"


class Edge(NamedTuple):
    """One link of the tree; a static link carries stamp zero."""

    parent: str
    stamp_ns: int
    parent_T_child: Rigid


class StaticCache:
    """A link that holds at every time; the last one set counts."""

    def __init__(self) -> None:
        self._edge: Edge | None = None

    def __len__(self) -> int:
        return 1

    def insert(self, edge: Edge) -> bool:
        self._edge = edge._replace(stamp_ns=LATEST_NS)
        return True

    def clear(self) -> None:
        """Keep the link: a jump in time does not touch what holds at every time."""

    def latest(self) -> Edge | None:
        return self._edge

    def oldest(self) -> Edge | None:
        return self._edge

    def at(self, time_ns: int) -> Edge | None:
        return self._edge


class TimeCache:
    """Links of one frame in time order, no older than `cache_ns` before the newest but one."""

    def __init__(self, cache_ns: int) -> None:
        self._cache_ns = cache_ns
        self._stamps_ns: list[int] = []
        self._edges: list[Edge] = []

    def __len__(self) -> int:
        return len(self._edges)

    def insert(self, edge: Edge) -> bool:
        """Add a link in time order; False where it is older than the history kept."""
        if self._stamps_ns:
            horizon_ns = self._stamps_ns[-1] - self._cache_ns
            self._drop_before(horizon_ns)
            if edge.stamp_ns < horizon_ns:
                return False
        index = bisect_right(self._stamps_ns, edge.stamp_ns)
        if edge not in self._edges[bisect_left(self._stamps_ns, edge.stamp_ns) : index]:
            self._stamps_ns.insert(index, edge.stamp_ns)
            self._edges.insert(index, edge)
        return True

    def _drop_before(self, horizon_ns: int) -> None:
        expired = bisect_left(self._stamps_ns, horizon_ns)
        del self._stamps_ns[:expired]
        del self._edges[:expired]

    def clear(self) -> None:
        self._stamps_ns.clear()
        self._edges.clear()

    def latest(self) -> Edge | None:
        return self._edges[-1] if self._edges else None

    def oldest(self) -> Edge | None:
        return self._edges[0] if self._edges else None

    def at(self, time_ns: int) -> Edge | None:
        """The link at a time, interpolated between its neighbours; None in an empty history
        where the latest is asked for.

        Raises:
            ExtrapolationException: the time lies outside the history.
        """
        if time_ns == LATEST_NS:
            return self.latest()
        before = bisect_right(self._stamps_ns, time_ns) - 1
        if before >= 0 and self._stamps_ns[before] == time_ns:
            return self._edges[before]
        if before < 0 or before + 1 == len(self._edges):
            raise ExtrapolationException(self._gap(time_ns))
        return _between(self._edges[before], self._edges[before + 1], time_ns)

    def _gap(self, time_ns: int) -> str:
        requested = display(time_ns)
        if not self._edges:
            return (
                f"Lookup would require extrapolation at time {requested}, "
                "but the buffer holds no data"
            )
        earliest, latest = self._stamps_ns[0], self._stamps_ns[-1]
        if earliest == latest:
            return (
                f"Lookup would require extrapolation at time {requested}, "
                f"but only time {display(latest)} is in the buffer"
            )
        if time_ns > latest:
            return (
                "Lookup would require extrapolation into the future.  Requested time "
                f"{requested} but the latest data is at time {display(latest)}"
            )
        return (
            "Lookup would require extrapolation into the past.  Requested time "
            f"{requested} but the earliest data is at time {display(earliest)}"
        )


Cache = StaticCache | TimeCache


def _between(older: Edge, newer: Edge, time_ns: int) -> Edge:
    """Interpolate two neighbours; a frame that changed its parent keeps the older link."""
    if older.parent != newer.parent:
        return older
    ratio = (time_ns - older.stamp_ns) / (newer.stamp_ns - older.stamp_ns)
    pose = interpolate(older.parent_T_child, newer.parent_T_child, ratio)
    return Edge(older.parent, time_ns, pose)


def display(time_ns: int) -> str:
    """Seconds with six decimals, as tf2 writes times."""
    return f"{time_ns * 1e-9:.6f}"
