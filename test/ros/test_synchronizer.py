"""Which images become a set: tables of stamps made by hand, and invariants of random streams."""

import gc
import threading
import time
import weakref
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from message_filters import ApproximateTimeSynchronizer, SimpleFilter

from occflow_ros.ros import bench_synchronizer
from occflow_ros.ros.stamps import header_message, stamp_ns
from occflow_ros.ros.synchronizer import JUMP_NS, MatchedSet, RigSynchronizer

MS = 1_000_000
EPOCH_MS = 1_000_000
JUMP_MS = JUMP_NS // MS


@dataclass(frozen=True, eq=False)
class Message:
    """What a subscription hands on."""

    header: Any


class Rig:
    """Cameras `a`, `b`, … with a period of 100 ms, `a` the reference, times in ms."""

    def __init__(self, num_cameras=3, tolerance_ms=20, offset_ms=(), **settings):
        self.names = "abcdefghijkl"[:num_cameras]
        self.inputs = {name: SimpleFilter() for name in self.names}
        defaults = {"grid_hz": 0.0, "min_cameras": 0, "max_wait_s": 0.1, "queue_size": 10}
        offset_ms = offset_ms or (0,) * num_cameras
        self.synchronizer = RigSynchronizer(
            self.inputs,
            **{"reference": "a", **defaults, **settings},
            tolerance_s=dict.fromkeys(self.names, tolerance_ms / 1e3),
            offset_s={name: ms / 1e3 for name, ms in zip(self.names, offset_ms)},
        )
        self.matched = []
        self.synchronizer.registerCallback(self.matched.append)

    def send(self, *events):
        """Images in this order, as `("a", 100)`, or `("abc", 100)` for one of each."""
        for names, ms in events:
            for name in names:
                header = header_message((EPOCH_MS + ms) * MS, name)
                self.inputs[name].signalMessage(Message(header))

    def wait(self, seconds=1.0):
        """Let time pass for sets that may lack cameras."""
        self.synchronizer.poll(time.monotonic() + seconds)

    @property
    def stamps(self):
        """Stamps of the sets so far, in ms."""
        return [matched.stamp_ns / MS - EPOCH_MS for matched in self.matched]

    @property
    def sets(self):
        """Stamps of the images of each set, in ms, None where one is missing."""
        return [
            tuple(
                message and stamp_ns(message.header) / MS - EPOCH_MS for message in matched.messages
            )
            for matched in self.matched
        ]

    def lost(self, name):
        """Why images of a camera were lost."""
        counts = self.synchronizer.counts[name]
        reasons = ("late", "duplicate", "unmatched", "evicted", "time_jump")
        return {reason: n for reason in reasons if (n := getattr(counts, reason))}

    def assert_all_counted(self):
        for name, counts in self.synchronizer.counts.items():
            received, *others = astuple(counts)
            assert received == sum(others), (name, counts)
            used = sum(images[self.names.index(name)] is not None for images in self.sets)
            assert counts.used == used


@pytest.fixture(autouse=True)
def all_counted(monkeypatch):
    """After each test, every image of every rig is used, lost for a reason, or waits."""
    rigs = []
    build = Rig.__init__

    def noted(self, *args, **kwargs):
        build(self, *args, **kwargs)
        rigs.append(self)

    monkeypatch.setattr(Rig, "__init__", noted)
    yield
    for rig in rigs:
        rig.assert_all_counted()


# Whole sets


@pytest.mark.parametrize("order", ["abc", "cba", "bac"])
def test_a_set_leaves_with_its_last_image_and_has_the_stamp_of_the_reference(order):
    rig = Rig()
    times = {"a": 100, "b": 109, "c": 93}
    for name in order[:2]:
        rig.send((name, times[name]))
    assert rig.sets == []
    rig.send((order[2], times[order[2]]))
    assert rig.sets == [(100, 109, 93)]
    assert rig.stamps == [100]


def test_the_reference_need_not_be_the_first_input():
    rig = Rig(reference="b")
    rig.send(("a", 100), ("b", 105), ("c", 110))
    assert rig.stamps == [105]


def test_staggered_cameras_meet_at_their_offsets():
    rig = Rig(offset_ms=(0, 30, 60), tolerance_ms=5)
    for ms in (0, 100, 200):
        rig.send(("a", ms), ("b", ms + 31), ("c", ms + 58))
    assert rig.sets == [(0, 31, 58), (100, 131, 158), (200, 231, 258)]


def test_a_stamp_is_that_of_the_references_image_where_it_has_an_offset():
    rig = Rig(offset_ms=(10, 0, 0), tolerance_ms=5)
    rig.send(("a", 110), ("bc", 100))
    assert rig.stamps == [110]


@pytest.mark.parametrize(("late_ms", "sets"), [(20, 1), (21, 0)])
def test_the_tolerance_is_included(late_ms, sets):
    rig = Rig()
    rig.send(("a", 100), ("b", 100 + late_ms), ("c", 100 - late_ms))
    assert len(rig.sets) == sets


def test_each_camera_has_its_own_tolerance():
    inputs = {name: SimpleFilter() for name in "ab"}
    settings = {"grid_hz": 0.0, "min_cameras": 0, "max_wait_s": 0.1, "queue_size": 10}
    for tolerance_s, expected in ((0.05, 1), (0.01, 0)):
        synchronizer = RigSynchronizer(
            inputs,
            reference="a",
            tolerance_s={"a": 0.001, "b": tolerance_s},
            offset_s={"a": 0, "b": 0},
            **settings,
        )
        matched = []
        synchronizer.registerCallback(matched.append)
        for name, ms in (("a", 100), ("b", 130)):
            inputs[name].signalMessage(Message(header_message(ms * MS, "")))
        assert len(matched) == expected


def test_the_nearest_of_several_images_is_taken():
    rig = Rig(num_cameras=2)
    rig.send(("b", 85), ("b", 98), ("b", 115), ("a", 100))
    assert rig.sets == [(100, 98)]


def test_a_dropped_image_costs_its_set_and_no_other():
    rig = Rig(tolerance_ms=150)  # more than the period: the next image would be near enough
    rig.send(
        ("abc", 0), ("abc", 100), ("ab", 200), ("c", 300), ("ab", 300), ("c", 400), ("ab", 400)
    )
    assert rig.sets == [(ms,) * 3 for ms in (0, 100, 300, 400)]


def test_an_image_left_over_is_not_taken_in_place_of_the_one_still_to_come():
    rig = Rig(num_cameras=2, tolerance_ms=150)
    rig.send(("ab", 0), ("ab", 100), ("b", 200), ("a", 300), ("b", 300))
    assert rig.sets == [(0, 0), (100, 100), (300, 300)]
    assert rig.lost("b") == {"unmatched": 1}


def test_a_whole_set_goes_before_older_ones_that_wait():
    rig = Rig()
    rig.send(("ab", 0), ("ab", 100), ("abc", 200), ("c", 100))
    assert rig.sets == [(200, 200, 200)]
    assert rig.synchronizer.dropped_sets == 2
    assert rig.lost("c") == {"late": 1}


def test_one_camera_is_a_rig_too():
    rig = Rig(num_cameras=1)
    rig.send(("a", 0), ("a", 100))
    assert rig.sets == [(0,), (100,)]


# Sets that may lack cameras


def test_a_missing_camera_is_waited_for_until_it_has_delivered_a_later_image():
    rig = Rig(min_cameras=2)
    rig.send(("ab", 0), ("ab", 100))
    assert rig.sets == []
    rig.send(("c", 100))
    assert rig.sets == [(0, 0, None), (100, 100, 100)]


def test_a_missing_camera_is_waited_for_max_wait():
    rig = Rig(min_cameras=2, max_wait_s=0.5)
    rig.send(("ab", 0))
    rig.wait(0.4)
    assert rig.sets == []
    rig.wait(0.6)
    assert rig.sets == [(0, 0, None)]
    rig.send(("c", 0))
    rig.wait()
    assert rig.sets == [(0, 0, None)], "the image comes too late"


@pytest.mark.parametrize(("there", "sets"), [("ab", 1), ("bc", 1), ("a", 0), ("c", 0)])
def test_a_set_of_too_few_is_dropped_and_counted(there, sets):
    rig = Rig(min_cameras=2)
    rig.send((there, 0))
    rig.wait()
    assert len(rig.sets) == sets
    assert rig.synchronizer.dropped_sets == 1 - sets
    if not sets:
        assert rig.lost(there) == {"unmatched": 1}


def test_without_leave_to_lack_cameras_no_set_goes_by_time():
    rig = Rig()
    rig.send(("ab", 0))
    rig.wait(1e6)
    rig.send(("c", 0))
    assert rig.sets == [(0, 0, 0)]


@pytest.mark.parametrize("order", ["bc", "cb"])
def test_the_next_camera_in_order_stands_in_for_the_reference(order):
    rig = Rig(min_cameras=2, offset_ms=(0, 30, 60))
    times = {"b": 34, "c": 58}
    rig.send(*[(name, times[name]) for name in order])
    rig.wait()
    assert rig.sets == [(None, 34, 58)]
    assert rig.stamps == [4], "its stamp less its offset"


def test_a_set_around_a_stand_in_turns_to_the_reference_when_that_arrives():
    rig = Rig(num_cameras=4, min_cameras=2)
    rig.send(("b", 112), ("c", 85), ("a", 100))
    rig.wait()
    assert rig.sets == [(100, 112, 85, None)]


def test_sets_go_on_without_the_reference_and_with_it_again():
    rig = Rig(min_cameras=2)
    rig.send(("abc", 0), ("abc", 100), ("bc", 200), ("bc", 300), ("abc", 400))
    assert rig.sets == [(0,) * 3, (100,) * 3, (None, 200, 200), (None, 300, 300), (400,) * 3]


# Images that are lost


def test_duplicates_are_dropped():
    rig = Rig()
    rig.send(("a", 0), ("a", 0), ("b", 0), ("c", 0), ("c", 0))
    assert rig.sets == [(0, 0, 0)]
    assert rig.lost("a") == rig.lost("c") == {"duplicate": 1}


def test_images_out_of_order_are_still_used_and_are_no_jump():
    rig = Rig()
    rig.send(("ab", 100), ("ab", 0), ("c", 0), ("c", 100))
    assert rig.sets == [(0, 0, 0), (100, 100, 100)]
    assert rig.synchronizer.time_jumps == 0


@pytest.mark.parametrize("min_cameras", [0, 2])
def test_images_older_than_the_last_set_are_late(min_cameras):
    rig = Rig(min_cameras=min_cameras)
    rig.send(("abc", 100), ("abc", 0))
    rig.wait()
    assert rig.sets == [(100,) * 3]
    assert [rig.lost(name) for name in "abc"] == [{"late": 1}] * 3


def test_of_too_many_images_those_that_came_first_go():
    rig = Rig(queue_size=3)
    rig.send(*[("ab", ms) for ms in range(0, 1000, 100)], ("c", 600), ("c", 700))
    assert rig.sets == [(700,) * 3]
    assert rig.lost("a") == {"evicted": 7}


def test_a_camera_that_stops_stalls_the_rig_only_as_long():
    rig = Rig()
    rig.send(("abc", 0), *[("ab", ms) for ms in range(100, 5000, 100)])
    rig.send(*[("abc", ms) for ms in range(5000, 6000, 100)])
    assert rig.stamps == [0, *range(5000, 6000, 100)]


# A grid of times


def test_a_grid_has_one_set_for_each_of_its_times_that_is_the_nearest():
    rig = Rig(num_cameras=2, grid_hz=2.0, tolerance_ms=60)
    times = range(-1000, 2000, 40)
    rig.send(*[event for ms in times for event in (("a", ms + 3), ("b", ms - 7))])
    assert rig.stamps == [-1000, -500, 0, 500, 1000, 1500]
    for stamp, images in list(zip(rig.stamps, rig.sets))[1:]:
        assert max(abs(ms - stamp) for ms in images) <= 20, "half their period"


def test_a_grid_needs_no_reference():
    rig = Rig(grid_hz=10.0, min_cameras=2, offset_ms=(0, 30, 0))
    rig.send(("b", 32), ("c", 1), ("b", 131), ("c", 99))
    rig.wait()
    assert rig.stamps == [0, 100]
    assert rig.sets == [(None, 32, 1), (None, 131, 99)]


def test_images_between_grid_times_are_unmatched():
    rig = Rig(grid_hz=10.0)
    rig.send(("abc", 0), ("abc", 50), ("abc", 100))
    assert rig.stamps == [0, 100]
    assert rig.lost("a") == {"unmatched": 1}


def test_grid_times_stay_exact_far_from_zero():
    rig = Rig(num_cameras=1, grid_hz=30.0)
    second_ns = 1_700_000_001 * 1000 * MS
    rig.inputs["a"].signalMessage(Message(header_message(second_ns + 5, "")))
    assert rig.matched[0].stamp_ns == second_ns


# Time that jumps


@pytest.mark.parametrize("min_cameras", [0, 2])
def test_a_bag_that_starts_again_costs_no_set(min_cameras):
    rig = Rig(min_cameras=min_cameras)
    times = range(0, 5000, 100)
    for _ in range(3):
        rig.send(*[("abc", ms) for ms in times])
    assert rig.stamps == [*times] * 3
    assert rig.synchronizer.time_jumps == 2


def test_what_waits_for_the_future_is_cleared_when_time_goes_back():
    rig = Rig()
    rig.send(("abc", 9000), ("ab", 9100), ("abc", 0), ("abc", 100))
    assert rig.stamps == [9000, 0, 100]
    assert rig.lost("a") == {"time_jump": 1}
    assert rig.lost("c") == {}


def test_time_jumps_for_the_cameras_that_are_left():
    rig = Rig(num_cameras=6, min_cameras=2)
    rig.send(*[("abcdef", ms) for ms in (9000, 9100)], ("ab", 9200))
    rig.send(*[("ab", ms) for ms in (0, 100, 200, 300)])
    rig.wait()
    assert rig.stamps == [9000, 9100, 0, 100, 200, 300]
    assert rig.synchronizer.time_jumps == 1


def test_a_gap_costs_no_set():
    rig = Rig()
    rig.send(("abc", 0), ("abc", 100), ("abc", 60_000), ("abc", 60_100))
    assert rig.stamps == [0, 100, 60_000, 60_100]
    assert rig.synchronizer.time_jumps == 0


@pytest.mark.parametrize("min_cameras", [1, 2])
@pytest.mark.parametrize("broken", ["a", "b", "c"])
@pytest.mark.parametrize("ahead_ms", [300, 900, 5 * JUMP_MS, -5 * JUMP_MS])
def test_a_camera_with_wrong_stamps_does_not_stall_the_others(min_cameras, broken, ahead_ms):
    rig = Rig(min_cameras=min_cameras)
    rig.send(("abc", -200), ("abc", -100))
    others = "abc".replace(broken, "")
    for ms in range(0, 5000, 100):
        rig.send((broken, ms + ahead_ms), (others, ms))
        rig.wait(0.2)
    whole = [images for images in rig.sets if sum(ms is not None for ms in images) > 1]
    assert len(whole) >= 48, "of 50"
    assert rig.synchronizer.time_jumps == 0
    assert rig.stamps == sorted(rig.stamps)


def test_one_image_of_the_future_does_not_stall_its_camera():
    rig = Rig(min_cameras=1)
    rig.send(("abc", 0), ("a", 10**9), ("bc", 100), ("abc", 200), ("abc", 300))
    assert rig.sets == [(0,) * 3, (None, 100, 100), (200,) * 3, (300,) * 3]
    assert rig.lost("a") == {"unmatched": 1}


def test_a_first_image_of_the_future_is_forgotten():
    rig = Rig()
    rig.send(("a", 10**9), ("bca", 0), ("abc", 100))
    assert rig.stamps == [0, 100]
    assert rig.lost("a") == {"time_jump": 1}


# Callbacks


def test_a_callback_that_raises_costs_its_set_only():
    rig = Rig()
    fail = iter([True, False])

    def callback(matched):
        if next(fail):
            raise RuntimeError("in the callback")

    rig.synchronizer.registerCallback(callback)
    with pytest.raises(RuntimeError, match="in the callback"):
        rig.send(("abc", 0))
    rig.send(("abc", 100))
    assert rig.stamps == [0, 100]


def test_images_that_arrive_in_the_callback_wait_for_its_end():
    rig = Rig()
    seen = []

    def callback(matched):
        ms = matched.stamp_ns // MS - EPOCH_MS
        seen.append(("in", ms))
        if ms < 300:
            rig.send(("abc", ms + 100))
        seen.append(("out", ms))

    rig.synchronizer.registerCallback(callback)
    rig.send(("abc", 0))
    assert seen == [(step, ms) for ms in (0, 100, 200, 300) for step in ("in", "out")]


def test_other_threads_go_on_during_the_callback_and_memory_stays_bounded():
    rig = Rig(queue_size=4)
    entered, leave = threading.Event(), threading.Event()

    def callback(matched):
        entered.set()
        assert leave.wait(10)

    rig.synchronizer.registerCallback(callback)
    slow = threading.Thread(target=rig.send, args=(("abc", 0),))
    slow.start()
    assert entered.wait(10)
    rig.send(*[("abc", ms) for ms in range(100, 1100, 100)])
    assert rig.synchronizer.counts["a"].waiting == 4
    leave.set()
    slow.join()
    assert rig.stamps == [0, 700, 800, 900, 1000], "the newest"
    assert rig.lost("a") == {"evicted": 6}


def test_inputs_in_threads_of_their_own():
    rig = Rig(num_cameras=6, queue_size=1000)
    times = range(0, 30_000, 100)
    threads = [
        threading.Thread(target=rig.send, args=[(name, ms) for ms in times]) for name in rig.names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rig.stamps == sorted(rig.stamps)
    assert all(len(set(images)) == 1 for images in rig.sets)


def without_images(matched):
    """The same set of other messages."""
    messages = tuple(message and Message(message.header) for message in matched.messages)
    return MatchedSet(matched.stamp_ns, messages)


@pytest.mark.parametrize("min_cameras", [0, 2])
def test_images_are_freed_with_their_set(min_cameras):
    rig = Rig(min_cameras=min_cameras, queue_size=3)
    alive = weakref.WeakSet()
    for images in rig.inputs.values():
        images.registerCallback(alive.add)
    gc.disable()
    try:
        for _ in range(2):
            rig.send(("abc", 0), ("ab", 100), ("bc", 200), ("b", 210), ("a", 300), ("abc", 400))
            rig.send(("ab", 9000), ("ab", 9100), ("c", 9300), ("ab", 9300), ("bc", 9400))
        rig.matched[:] = [without_images(matched) for matched in rig.matched]
        assert len(alive) == sum(counts.waiting for counts in rig.synchronizer.counts.values())
    finally:
        gc.enable()


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reference": "x"}, "expected one of .*got 'x'"),
        ({"min_cameras": 4}, "expected 0 to 3, got 4"),
        ({"queue_size": 0}, "queue_size of 1 or more"),
        ({"offset_ms": (0, 1)}, "expected a value for each"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        Rig(**settings)


# Random streams


def stream(seed, num_cameras=6, frames=200, jitter_ms=4.0, drops=0.05):
    """Events of a rig at 30 Hz in the order of arrival, 5 to 30 ms after the stamps."""
    rng = np.random.default_rng(seed)
    stamps = np.arange(frames)[:, None] * 1e3 / 30 + rng.normal(0, jitter_ms, (frames, num_cameras))
    arrivals = stamps + rng.uniform(5, 30, stamps.shape)
    kept = rng.random(stamps.shape) >= drops
    order = np.argsort(arrivals, axis=None)
    events = [(divmod(i, num_cameras), stamps.flat[i]) for i in order if kept.flat[i]]
    return [("abcdefghijkl"[camera], round(ms, 3)) for (_, camera), ms in events]


def num_valid(sets, tolerance_ms):
    """Sets with all images within the tolerance of the first camera's."""
    return sum(
        all(ms is not None and abs(ms - images[0]) <= tolerance_ms for ms in images)
        for images in sets
        if images[0] is not None
    )


@pytest.mark.parametrize("tolerance_ms", [8, 15])
@pytest.mark.parametrize("seed", range(2))
def test_no_fewer_valid_sets_than_approximate_time(seed, tolerance_ms):
    rig = Rig(num_cameras=6, tolerance_ms=tolerance_ms)
    rival = ApproximateTimeSynchronizer([*rig.inputs.values()], 10, tolerance_ms / 1e3)
    theirs = []
    rival.registerCallback(
        lambda *messages: theirs.append([stamp_ns(m.header) / MS for m in messages])
    )
    rig.send(*[(name, ms) for name, ms in stream(seed)])
    assert num_valid(rig.sets, tolerance_ms) == len(rig.sets)
    assert len(rig.sets) >= num_valid(theirs, tolerance_ms) > 0


@pytest.mark.parametrize("grid_hz", [0.0, 10.0])
@pytest.mark.parametrize("min_cameras", [0, 1, 4])
@pytest.mark.parametrize("tolerance_ms", [12, 60])
def test_invariants_of_random_streams(tolerance_ms, min_cameras, grid_hz):
    """Of streams with duplicates, delays, jumps and a camera that stops."""
    rig = Rig(
        num_cameras=6,
        tolerance_ms=tolerance_ms,
        min_cameras=min_cameras,
        grid_hz=grid_hz,
        queue_size=5,
    )
    rng = np.random.default_rng(7)
    for part in range(4):
        events = stream(part, frames=40, jitter_ms=8.0, drops=0.2)
        for name, ms in events:
            if part == 2 and name == "b":
                continue
            chance = rng.random()
            far_ms = 10_000 * (chance < 0.02) - 10_000 * (chance > 0.98)
            rig.send(*[(name, ms + far_ms)] * (2 if 0.5 < chance < 0.55 else 1))
            if rng.random() < 0.1:
                rig.wait(rng.choice([0.0, 0.2]))
        rig.assert_all_counted()
        assert all(counts.waiting <= 6 for counts in rig.synchronizer.counts.values())
    used = [(name, ms) for images in rig.sets for name, ms in zip(rig.names, images) if ms]
    assert rig.sets
    for stamp_ms, images in zip(rig.stamps, rig.sets):
        present = [ms for ms in images if ms is not None]
        assert len(present) >= (min_cameras or 6)
        assert max(abs(ms - stamp_ms) for ms in present) <= tolerance_ms + 1e-3
    assert used
    backward = sum(later <= earlier for earlier, later in zip(rig.stamps, rig.stamps[1:]))
    assert backward <= rig.synchronizer.time_jumps


def test_the_benchmark_measures_both_on_the_same_stream():
    events = bench_synchronizer.stream(num_cameras=6, num_frames=40)
    assert 0.9 * 240 < len(events) < 240
    rig = bench_synchronizer.run_rig(6, events)
    rival = bench_synchronizer.run_approximate_time(6, events)
    assert rig.num_valid == len(rig.sets) >= rival.num_valid > 0
    assert rig.us_per_set > 0
