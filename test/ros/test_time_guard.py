"""What counts as time set back, told once; what is merely late, or ahead, is not processed."""

import pytest

pytest.importorskip("rclpy")

from rclpy.clock import ROSClock
from rclpy.clock_type import ClockType
from rclpy.time import Time

from occflow_ros.ros.rejection import Reason, RejectedSetError
from occflow_ros.ros.time_guard import TimeGuard

S = 1_000_000_000
FRAME_NS = S // 10


@pytest.fixture
def clock():
    """Simulated time that the test sets; it has not begun."""
    made = ROSClock()
    made._set_ros_time_is_active(True)
    return made


@pytest.fixture
def guard(clock):
    made = TimeGuard(clock, max_ahead_s=5.0)
    yield made
    made.close()


def set_clock(clock, now_ns):
    clock.set_ros_time_override(Time(nanoseconds=now_ns, clock_type=ClockType.ROS_TIME))


def resets(guard, *stamps_ns):
    """Reasons for resets before sets at these times."""
    return [reason for stamp_ns in stamps_ns if (reason := guard.admit(stamp_ns)) is not None]


def assert_refused(guard, stamp_ns, reason, *mentions):
    with pytest.raises(RejectedSetError) as info:
        guard.admit(stamp_ns)
    assert info.value.reason == reason
    for mention in mentions:
        assert mention in str(info.value)


def test_time_that_goes_on_resets_nothing(guard):
    assert not resets(guard, 5 * S, 5 * S + 1, 5 * S + FRAME_NS, 500 * S)


@pytest.mark.parametrize("late_ns", [0, 1, FRAME_NS, S])
def test_a_set_that_is_late_is_dropped_and_resets_nothing(guard, late_ns):
    guard.admit(5 * S)
    assert_refused(guard, 5 * S - late_ns, Reason.OUT_OF_ORDER, "not after", "5.000000000 s")
    assert not resets(guard, 5 * S + 1)


def test_a_jump_back_is_told_once(guard):
    (reason,) = resets(guard, 100 * S, 5 * S, 5 * S + FRAME_NS, 6 * S)
    assert reason == "time went back by 95.000 s"


def test_each_round_of_a_bag_is_told_once(guard):
    assert len(resets(guard, *[5 * S + index * S for index in range(4)] * 3)) == 2


def test_a_clock_that_goes_back_is_told_once_with_the_sets_that_follow(clock, guard):
    set_clock(clock, 100 * S)
    guard.admit(100 * S)
    set_clock(clock, 5 * S)
    (reason,) = resets(guard, 5 * S, 5 * S + FRAME_NS)
    assert reason == "the ROS clock went back by 95.000 s"


def test_a_clock_that_goes_back_after_the_sets_did_is_not_told_again(clock, guard):
    set_clock(clock, 100 * S)
    assert len(resets(guard, 100 * S, 50 * S)) == 1
    set_clock(clock, 50 * S - FRAME_NS)
    assert not resets(guard, 50 * S + FRAME_NS)


def test_a_clock_that_goes_back_where_no_set_shows_it_is_told(clock, guard):
    set_clock(clock, 100 * S)
    guard.admit(100 * S)
    set_clock(clock, 97 * S)
    set_clock(clock, 100 * S)
    (reason,) = resets(guard, 100 * S + FRAME_NS)
    assert reason == "the ROS clock went back by 3.000 s"


def test_a_set_left_over_from_before_the_jump_does_not_use_it_up(clock, guard):
    set_clock(clock, 100 * S)
    guard.admit(100 * S)
    set_clock(clock, 5 * S)
    assert_refused(guard, 100 * S + FRAME_NS, Reason.FUTURE_STAMP)
    assert len(resets(guard, 5 * S, 5 * S + FRAME_NS)) == 1


def test_a_pause_or_another_rate_or_clock_resets_nothing(clock, guard):
    for now_ns in (5 * S, 5 * S, 6 * S, 6 * S + FRAME_NS, 6 * S):  # 0.1 s back: not worth a reset
        set_clock(clock, now_ns)
    assert not resets(guard, 5 * S, 6 * S)
    clock._set_ros_time_is_active(False)
    assert not resets(guard, 7 * S)
    clock._set_ros_time_is_active(True)
    assert not resets(guard, 8 * S)


def test_a_stamp_ahead_of_the_clock_is_named_and_changes_nothing(clock, guard):
    set_clock(clock, 100 * S)
    guard.admit(100 * S)
    assert_refused(
        guard, 200 * S, Reason.FUTURE_STAMP, "100.000 s ahead", "100.000000000 s", "use_sim_time"
    )
    assert not resets(guard, 100 * S + 1, 105 * S)


def test_before_simulated_time_begins_no_stamp_is_ahead(guard):
    assert not resets(guard, 100 * S)


def test_a_closed_guard_hears_no_clock(clock):
    guard = TimeGuard(clock, max_ahead_s=50.0)
    set_clock(clock, 100 * S)
    guard.admit(100 * S)
    guard.close()
    set_clock(clock, 90 * S)
    assert not resets(guard, 100 * S + 1)
