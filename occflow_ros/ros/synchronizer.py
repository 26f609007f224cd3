"""Which images of a camera rig belong together.

In place of the products of candidates of `message_filters.ApproximateTimeSynchronizer`, each image
has a *place*, its stamp less its camera's offset, and belongs to the one set whose time is nearest.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import inf
from typing import Any

from message_filters import SimpleFilter

from occflow_ros.ros.stamps import NS_PER_S, stamp_ns

JUMP_NS = NS_PER_S
"""Images further than this from the rig's time are of another time."""
SMOOTHING = 0.1
"""Share of the last interval in a camera's period."""


class Lost(StrEnum):
    """Why an image did not become part of a set."""

    LATE = "late"
    DUPLICATE = "duplicate"
    UNMATCHED = "unmatched"
    EVICTED = "evicted"
    TIME_JUMP = "time_jump"


@dataclass(frozen=True, slots=True)
class MatchedSet:
    """Images of one time.

    Args:
        stamp_ns: of the reference camera's image, or the grid time.
        messages: one for each input, in their order; None where the camera is missing.
    """

    stamp_ns: int
    messages: tuple[Any | None, ...]


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """What became of the images of one camera; `received` is the sum of the others.

    Args:
        received: from the input.
        used: in sets that were signalled.
        late: older than the last set.
        duplicate: of the stamp of an image that waits or was the last.
        unmatched: without a set, or in one that lacked too many cameras.
        evicted: pushed out of a full queue.
        time_jump: waiting when time went back.
        waiting: for the others of their set.
    """

    received: int
    used: int
    late: int
    duplicate: int
    unmatched: int
    evicted: int
    time_jump: int
    waiting: int


class _Camera:
    """One input: its settings, the images that wait, and what became of the others."""

    __slots__ = (
        "counts",
        "half_period_ns",
        "heard",
        "heard_s",
        "held",
        "last_ns",
        "offset_ns",
        "position",
        "rank",
        "received",
        "tolerance_ns",
        "used",
        "waiting",
    )

    def __init__(self, position: int, rank: int, tolerance_s: float, offset_s: float) -> None:
        self.position = position  # among the inputs
        self.rank = rank  # 0: the reference; the lowest in a set gives it its time
        self.tolerance_ns = round(tolerance_s * NS_PER_S)
        self.offset_ns = round(offset_s * NS_PER_S)
        self.waiting: dict[int, _Image] = {}  # by place, in the order of arrival
        self.held: _Image | None = None  # of another time
        self.last_ns: float = -inf  # place of the last image
        self.heard = -1  # arrival of the last image of the rig's time
        self.heard_s = -inf
        self.half_period_ns: float = inf
        self.received = 0
        self.used = 0
        self.counts: Counter[Lost] = Counter()

    def note_place(self, place_ns: int) -> None:
        """Follow the camera's period; a gap of lost images says little about it."""
        half_ns, known_ns = (place_ns - self.last_ns) / 2, self.half_period_ns
        if known_ns == inf:
            self.half_period_ns = half_ns if half_ns > 0 else inf
        elif half_ns > 0:
            self.half_period_ns += SMOOTHING * (min(half_ns, 2 * known_ns) - known_ns)
        self.last_ns = place_ns


class _Image:
    """A message on its way into a set."""

    __slots__ = ("arrival", "arrived_s", "camera", "message", "place_ns", "set")

    def __init__(
        self, camera: _Camera, place_ns: int, message: Any, arrival: int, arrived_s: float
    ) -> None:
        self.camera = camera
        self.place_ns = place_ns
        self.message = message
        self.arrival = arrival  # number of it
        self.arrived_s = arrived_s
        self.set: _OpenSet | None = None


class _OpenSet:
    """Images found so far for one time."""

    __slots__ = ("filled", "images", "lead", "time_ns")

    def __init__(self, time_ns: int, num_cameras: int, lead: _Image | None) -> None:
        self.time_ns = time_ns
        self.lead = lead  # whose place is the time; None on a grid
        self.images: list[_Image | None] = [None] * num_cameras
        self.filled = 0

    @property
    def rank(self) -> int:
        """Of the camera that gives the time."""
        return self.lead.camera.rank if self.lead else 0

    @property
    def present(self) -> list[_Image]:
        """The images it has."""
        return [image for image in self.images if image is not None]

    def fill(self, image: _Image) -> _Image | None:
        """Take an image unless that of its camera is nearer; returns the one without a place."""
        position = image.camera.position
        other = self.images[position]
        if other is None:
            self.filled += 1
        elif abs(other.place_ns - self.time_ns) <= abs(image.place_ns - self.time_ns):
            return image
        else:
            other.set = None
        self.images[position] = image
        image.set = self
        return other

    def remove(self, image: _Image) -> None:
        """Give an image up."""
        self.images[image.camera.position] = None
        self.filled -= 1
        image.set = None


class RigSynchronizer(SimpleFilter):
    """Calls back with a `MatchedSet` for each image of the reference camera, or each grid time.

    The **place** of an image is its stamp less its camera's offset. The time of a set is the place
    of the reference camera's image, or a multiple of 1/`grid_hz`. Where sets may lack cameras and
    the reference is missing, the next camera in the order of the inputs gives the time. An image
    belongs to the set whose time is nearest to its place, within its camera's tolerance; of several
    images of one camera the nearest belongs to it. Sets leave in the order of their times.

    - A set with all its images leaves at once, and with it those before it. Only where an image is
      so far from the set's time that the next image of its camera, or the next set, is expected
      nearer, the set waits for that one.
    - A set that lacks cameras, where that is allowed, leaves when each of the missing ones has
      delivered a later image, or by `poll` when `max_wait_s` have passed since its first image
      arrived. By time it does not leave while more cameras than it has are heard with images of
      before it: then it is they that are the rig, or that take longer on their way.
    - Images more than `JUMP_NS` before or after the last one are held until most cameras say so, or
      more than still deliver images of the old time (where as many, the reference decides). Then,
      if time went back, what waits is cleared. So one camera with wrong stamps is left out, and a
      bag that starts again costs no set.

    Callbacks run in the thread of the image that completed the set, one at a time, without a lock.

    Args:
        inputs: filters of messages with a header, by camera name.
        reference: name of the camera that gives a set its time.
        tolerance_s: largest distance of a place from the set's time, by camera name.
        offset_s: by camera name, how long after the set's time its stamps are.
        grid_hz: sets per second at fixed times; 0: one for each image of the reference.
        min_cameras: a set may lack cameras down to this many; 0: it needs them all.
        max_wait_s: for the cameras that a set may lack.
        queue_size: images that wait, per camera, and sets that wait for the callback.

    Raises:
        ValueError: a setting names other cameras than the inputs, or is out of its range.
    """

    def __init__(
        self,
        inputs: Mapping[str, SimpleFilter],
        *,
        reference: str,
        tolerance_s: Mapping[str, float],
        offset_s: Mapping[str, float],
        grid_hz: float,
        min_cameras: int,
        max_wait_s: float,
        queue_size: int,
    ) -> None:
        super().__init__()
        _check_names(inputs, reference, tolerance_s, offset_s)
        if not 0 <= min_cameras <= len(inputs):
            raise ValueError(f"min_cameras: expected 0 to {len(inputs)}, got {min_cameras}")
        if grid_hz < 0 or max_wait_s < 0 or queue_size < 1:
            raise ValueError(
                "expected grid_hz and max_wait_s of 0 or more and queue_size of 1 or more, "
                f"got {grid_hz}, {max_wait_s}, {queue_size}"
            )
        self._names = tuple(inputs)
        order = sorted(self._names, key=lambda name: name != reference)
        self._cameras = tuple(
            _Camera(position, order.index(name), tolerance_s[name], offset_s[name])
            for position, name in enumerate(self._names)
        )
        self._reference = self._cameras[self._names.index(reference)]
        self._period_ns = NS_PER_S / Fraction(grid_hz).limit_denominator(10**6) if grid_hz else None
        self._fewest = min_cameras or len(inputs)
        self._may_lack = self._fewest < len(inputs)
        self._max_wait_s = max_wait_s
        self._queue_size = queue_size
        self._jump_ns = max(JUMP_NS, 2 * max(camera.tolerance_ns for camera in self._cameras))

        self._lock = threading.Lock()
        self._arrivals = 0
        self._now_ns: int | None = None  # place of the last image of the rig's time
        self._left_ns: float = -inf  # time of the last set that left
        self._open: list[_OpenSet] = []  # by time
        self._unsure: list[_OpenSet] = []  # with all images, of which some may not be the nearest
        self._ready: deque[tuple[int, tuple[_Image | None, ...]]] = deque()
        self._delivering = False
        self._dropped_sets = 0
        self._time_jumps = 0
        for camera, source in zip(self._cameras, inputs.values()):
            source.registerCallback(self._add, camera)

    @property
    def counts(self) -> dict[str, ImageCounts]:
        """What became of every image, by camera name."""
        with self._lock:
            ready = Counter(
                image.camera for _, images in self._ready for image in images if image is not None
            )
            return {
                name: ImageCounts(
                    received=camera.received,
                    used=camera.used,
                    waiting=len(camera.waiting) + (camera.held is not None) + ready[camera],
                    **{reason.value: camera.counts[reason] for reason in Lost},
                )
                for name, camera in zip(self._names, self._cameras)
            }

    @property
    def dropped_sets(self) -> int:
        """Sets that lacked too many cameras."""
        with self._lock:
            return self._dropped_sets

    @property
    def time_jumps(self) -> int:
        """How often time went back."""
        with self._lock:
            return self._time_jumps

    def poll(self, now_s: float) -> None:
        """Let sets that may lack cameras leave when they have waited enough.

        Args:
            now_s: in seconds of `time.monotonic`.
        """
        if not self._may_lack:
            return
        with self._lock:
            while self._open and self._has_waited(self._open[0], now_s):
                self._close(self._open[0])
        self._deliver()

    def _add(self, message: Any, camera: _Camera) -> None:
        arrived_s = time.monotonic()
        with self._lock:
            camera.received += 1
            self._arrivals += 1
            place_ns = stamp_ns(message.header) - camera.offset_ns
            image = _Image(camera, place_ns, message, self._arrivals, arrived_s)
            if self._now_ns is None or abs(place_ns - self._now_ns) <= self._jump_ns:
                self._accept(image)
            else:
                self._hold(image)
        if self._ready:
            self._deliver()

    # Images

    def _accept(self, image: _Image) -> None:
        """Take an image of the rig's time, and let the sets leave that are certain by it."""
        camera, place_ns = image.camera, image.place_ns
        self._now_ns = place_ns
        camera.heard, camera.heard_s = image.arrival, image.arrived_s
        if camera.held is not None:
            self._lose_held(camera.held)
            camera.held = None
        if place_ns == camera.last_ns or place_ns in camera.waiting:
            camera.counts[Lost.DUPLICATE] += 1
            return
        camera.note_place(place_ns)
        if place_ns <= self._left_ns:
            camera.counts[Lost.LATE] += 1
            return
        camera.waiting[place_ns] = image
        if len(camera.waiting) > self._queue_size:
            self._lose(next(iter(camera.waiting.values())), Lost.EVICTED)
        if self._period_ns is not None:
            self._place_on_grid(image)
        elif camera is self._reference:
            self._open_around(image)
        elif self._open or self._may_lack:  # else it waits for the reference
            self._place(image)
        if self._unsure or self._may_lack:
            self._close_certain()

    def _place(self, image: _Image) -> None:
        """Put an image into the set whose time is nearest, or make it the lead of a set."""
        nearest = self._nearest(image.place_ns)
        distance_ns = inf if nearest is None else abs(image.place_ns - nearest.time_ns)
        if self._may_lack and self._leads(image, nearest, distance_ns):
            self._open_around(image)
        elif distance_ns <= image.camera.tolerance_ns:
            self._fill(nearest, image)

    def _leads(self, image: _Image, nearest: _OpenSet | None, distance_ns: float) -> bool:
        """Whether an image gives a set its time until a camera of lower rank does."""
        camera = image.camera
        reach_ns = min(camera.half_period_ns, camera.tolerance_ns)
        if distance_ns <= reach_ns:
            return nearest.rank > camera.rank
        return image.place_ns - self._left_ns > reach_ns  # else it came too late for that set

    def _place_on_grid(self, image: _Image) -> None:
        """Put an image into the set of the nearest grid time."""
        index = round(image.place_ns / self._period_ns)
        time_ns = round(index * self._period_ns)
        if abs(image.place_ns - time_ns) > image.camera.tolerance_ns:
            self._lose(image, Lost.UNMATCHED)
        elif time_ns <= self._left_ns:
            self._lose(image, Lost.LATE)
        else:
            matched = self._nearest(time_ns)
            if matched is None or matched.time_ns != time_ns:
                matched = self._insert(_OpenSet(time_ns, len(self._cameras), lead=None))
            self._fill(matched, image)

    def _nearest(self, place_ns: int) -> _OpenSet | None:
        """The set whose time is nearest; mostly the newest."""
        best, best_ns = None, inf
        for candidate in reversed(self._open):
            distance_ns = abs(place_ns - candidate.time_ns)
            if distance_ns >= best_ns:
                break
            best, best_ns = candidate, distance_ns
        return best

    def _open_around(self, lead: _Image) -> None:
        """A set at the place of an image, with the images that wait and belong to it."""
        opened = _OpenSet(lead.place_ns, len(self._cameras), lead)
        self._move(lead, opened)
        for camera in self._cameras:
            if camera.waiting and camera is not lead.camera:
                for image in camera.waiting.values():
                    if _belongs(image, opened):
                        self._move(image, opened)
        self._insert(opened)
        self._check(opened)

    def _insert(self, opened: _OpenSet) -> _OpenSet:
        position = len(self._open)
        while position and self._open[position - 1].time_ns > opened.time_ns:
            position -= 1
        self._open.insert(position, opened)
        return opened

    def _move(self, image: _Image, target: _OpenSet) -> None:
        """Put an image that waits into a set."""
        if image.set is not None:
            self._take_out(image)
        target.fill(image)

    def _take_out(self, image: _Image) -> None:
        """Take an image out of its set, which ends with its lead."""
        source = image.set
        source.remove(image)
        if source.lead is image or not source.filled:
            self._end(source)

    def _end(self, ended: _OpenSet) -> None:
        """Forget a set; what it had waits on."""
        self._open.remove(ended)
        for image in ended.present:
            image.set = None

    def _fill(self, target: _OpenSet, image: _Image) -> None:
        loser = target.fill(image)
        if loser is not None and self._period_ns is not None:
            self._lose(loser, Lost.UNMATCHED)  # its grid time has a nearer one
        self._check(target)

    def _lose(self, image: _Image, reason: Lost) -> None:
        """Count an image that waits as lost."""
        del image.camera.waiting[image.place_ns]
        image.camera.counts[reason] += 1
        if image.set is not None:
            self._take_out(image)

    # Sets

    def _check(self, opened: _OpenSet) -> None:
        """Let a set leave that has all its images."""
        if self._is_full(opened):
            if self._is_sure(opened):
                self._close(opened)
            else:
                self._unsure.append(opened)

    def _is_full(self, opened: _OpenSet) -> bool:
        return opened.filled == len(self._cameras)

    def _is_sure(self, opened: _OpenSet) -> bool:
        """Whether no image of the set is expected nearer to another, nor one nearer to the set."""
        newest_ns = self._open[-1].time_ns
        for image in opened.present:
            early_ns = opened.time_ns - image.place_ns
            if early_ns > image.camera.half_period_ns and image.camera.last_ns <= image.place_ns:
                return False
            lead = opened.lead  # the times of a grid are known
            if lead and -early_ns > lead.camera.half_period_ns and newest_ns <= image.place_ns:
                return False
        return True

    def _close_certain(self) -> None:
        """Let the sets leave of which later images have made certain what belongs to them."""
        for opened in self._unsure:
            if opened in self._open and self._is_full(opened) and self._is_sure(opened):
                self._close(opened)
        if self._unsure:
            self._unsure = [opened for opened in self._open if opened in self._unsure]
        while self._may_lack and self._open and self._lacks_for_certain(self._open[0]):
            self._close(self._open[0])

    def _lacks_for_certain(self, opened: _OpenSet) -> bool:
        """Whether each missing camera has delivered a later image."""
        for camera, image in zip(self._cameras, opened.images):
            if image is None and camera.last_ns <= opened.time_ns:
                return False
        return not self._is_full(opened) and self._is_sure(opened)

    def _has_waited(self, opened: _OpenSet, now_s: float) -> bool:
        """Whether the time of a set is over, and it is not the rest of the rig that is earlier."""
        first_s = min(image.arrived_s for image in opened.present)
        if now_s - first_s < self._max_wait_s:
            return False
        earlier = [
            camera
            for camera, image in zip(self._cameras, opened.images)
            if image is None and camera.heard_s >= first_s and camera.last_ns < opened.time_ns
        ]
        present = [image.camera for image in opened.present]
        return self._weight(present) >= self._weight(earlier)

    def _weight(self, cameras: list[_Camera]) -> tuple[int, bool]:
        """Vote of some cameras; of as many the reference's side has more."""
        return len(cameras), self._reference in cameras

    def _close(self, last: _OpenSet) -> None:
        """Let a set and those before it leave, or drop them where they lack too many cameras."""
        opened = None
        while opened is not last:
            opened = self._open.pop(0)
            if opened.filled >= self._fewest:
                self._leave(opened)
            else:
                self._drop(opened)
        for camera in self._cameras:
            if camera.waiting:
                for image in [*camera.waiting.values()]:
                    if image.place_ns <= self._left_ns:
                        self._lose(image, Lost.UNMATCHED)

    def _drop(self, opened: _OpenSet) -> None:
        self._dropped_sets += 1
        for image in opened.present:
            image.set = None
            self._lose(image, Lost.UNMATCHED)

    def _leave(self, opened: _OpenSet) -> None:
        for image in opened.present:
            del image.camera.waiting[image.place_ns]
            image.set = None  # a cycle would keep its megabytes until they are collected
        self._left_ns = opened.time_ns
        stamp_ns = opened.time_ns + (self._reference.offset_ns if opened.lead else 0)
        self._ready.append((stamp_ns, tuple(opened.images)))
        if len(self._ready) > self._queue_size:  # the callback is slower than the cameras
            _, images = self._ready.popleft()
            self._dropped_sets += 1
            for image in images:
                if image is not None:
                    image.camera.counts[Lost.EVICTED] += 1

    def _deliver(self) -> None:
        """Call back with the sets that are ready; one thread does, for all."""
        while self._ready and not self._delivering:
            matched = self._take_ready()
            if matched is None:
                return
            try:
                self.signalMessage(matched)
            finally:
                self._delivering = False

    def _take_ready(self) -> MatchedSet | None:
        with self._lock:
            if self._delivering or not self._ready:
                return None
            self._delivering = True
            stamp_ns, images = self._ready.popleft()
            for image in images:
                if image is not None:
                    image.camera.used += 1
        return MatchedSet(stamp_ns, tuple([image and image.message for image in images]))

    # Jumps of time

    def _hold(self, image: _Image) -> None:
        """Keep an image of another time, and go to that time when the vote is for it."""
        camera = image.camera
        before, camera.held = camera.held, image
        if before is not None and before.place_ns == image.place_ns:
            camera.counts[Lost.DUPLICATE] += 1
            return
        if before is not None and not self._are_of_one_time(before, image):
            self._lose_held(before)
            before = None
        party = [
            other.held
            for other in self._cameras
            if other.held is not None and self._are_of_one_time(other.held, image)
        ]
        if self._wins(party, before):
            self._go_to_time_of([*party, before] if before else party)
        elif before is not None:
            self._lose_held(before)

    def _are_of_one_time(self, one: _Image, other: _Image) -> bool:
        return abs(one.place_ns - other.place_ns) <= self._jump_ns

    def _wins(self, party: list[_Image], before: _Image | None) -> bool:
        """Whether held images are those of the rig; `before` is the last one's predecessor.

        Between the two each camera that is alive had its turn.
        """
        if 2 * len(party) > len(self._cameras):
            return True
        if before is None:
            return False
        against = [
            other for other in self._cameras if other.held is None and other.heard > before.arrival
        ]
        return self._weight([image.camera for image in party]) > self._weight(against)

    def _go_to_time_of(self, images: list[_Image]) -> None:
        """Take held images as those of the rig."""
        if images[0].place_ns < self._now_ns:
            self._forget_time()
        for image in images:
            image.camera.held = None
        for image in sorted(images, key=lambda image: image.arrival):
            self._accept(image)

    def _forget_time(self) -> None:
        """Clear what is of a later time than all that will come."""
        self._time_jumps += 1
        for camera in self._cameras:
            for image in [*camera.waiting.values()]:
                self._lose(image, Lost.TIME_JUMP)
            camera.last_ns = -inf
        self._unsure.clear()
        self._left_ns = -inf

    def _lose_held(self, image: _Image) -> None:
        image.camera.counts[Lost.LATE if image.place_ns < self._now_ns else Lost.UNMATCHED] += 1


def _belongs(image: _Image, opened: _OpenSet) -> bool:
    """Whether a set that opens takes an image that waits from where it is."""
    camera, distance_ns = image.camera, abs(image.place_ns - opened.time_ns)
    if distance_ns > camera.tolerance_ns:
        return False
    current = image.set
    return (
        current is None
        or distance_ns < abs(image.place_ns - current.time_ns)
        or (current.rank > opened.rank and distance_ns <= camera.half_period_ns)
    )


def _check_names(
    inputs: Mapping[str, SimpleFilter], reference: str, *settings: Mapping[str, float]
) -> None:
    """Every setting is of the cameras that there are."""
    if reference not in inputs:
        raise ValueError(f"reference: expected one of {list(inputs)}, got {reference!r}")
    for setting in settings:
        if set(setting) != set(inputs):
            raise ValueError(f"expected a value for each of {list(inputs)}, got {dict(setting)}")
