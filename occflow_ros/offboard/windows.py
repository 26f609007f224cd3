"""Which frames stage 1 looks at together (equation 2): neighbours, and references around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Frames of a recording that are refined together.

    Args:
        local: places of neighbours, all of which are refined.
        references: places of more distant frames, ascending, that are looked at.
    """

    local: range
    references: tuple[int, ...] = ()

    @property
    def places(self) -> tuple[int, ...]:
        """All of them, the local ones first."""
        return (*self.local, *self.references)

    @property
    def pivot(self) -> int:
        """Which of `places` relative coordinates are relative to: the middle of the local ones."""
        return len(self.local) // 2


@dataclass(frozen=True, slots=True)
class WindowSizes:
    """How windows are made.

    Args:
        local: T_l.
        references: T_r.
        radius: of the references, in frames before the first and after the last local one.
    """

    local: int
    references: int
    radius: int

    def first_places(self, segment: range) -> range:
        """Where windows of a segment can begin; one that is too short for a window has one."""
        return range(segment.start, max(segment.start, segment.stop - self.local) + 1)

    def local_at(self, first: int, segment: range) -> range:
        """The local frames of the window that begins there; fewer in a short segment."""
        return range(first, min(first + self.local, segment.stop))

    def candidates(self, local: range, segment: range) -> list[int]:
        """Frames that can be its references, ascending."""
        before = range(max(segment.start, local.start - self.radius), local.start)
        after = range(local.stop, min(segment.stop, local.stop + self.radius))
        return [*before, *after]


def aligned_windows(segment: range, sizes: WindowSizes) -> Iterator[tuple[Window, range]]:
    """Windows one after the other, and the places that each answers for.

    The last one begins earlier where the segment does not divide into windows, so that it sees as
    many frames as the others; it answers for what is left. Windows depend on the segment alone.
    References are spread evenly over all that could be.
    """
    for first in range(segment.start, segment.stop, sizes.local):
        begin = min(first, sizes.first_places(segment)[-1])
        local = sizes.local_at(begin, segment)
        references = _spread(sizes.candidates(local, segment), sizes.references)
        yield Window(local, references), range(first, local.stop)


def _spread(candidates: list[int], count: int) -> tuple[int, ...]:
    """The middle one of each of `count` equal parts; all where there are no more than that."""
    if len(candidates) <= count:
        return tuple(candidates)
    return tuple(
        candidates[(2 * part + 1) * len(candidates) // (2 * count)] for part in range(count)
    )
