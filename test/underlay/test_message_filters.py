"""Filters and synchronizers on hand-made stamps, and one subscription over DDS."""

import pytest

pytest.importorskip("message_filters", reason="needs the underlay or upstream ROS 2")

from geometry_msgs.msg import PointStamped
from message_filters import (
    ApproximateTimeSynchronizer,
    Cache,
    SimpleFilter,
    Subscriber,
    TimeSynchronizer,
)
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.time import Time
from std_msgs.msg import String


def stamped(time_ms: int, name: str = "") -> PointStamped:
    msg = PointStamped()
    msg.header.stamp = Time(nanoseconds=time_ms * 1_000_000).to_msg()
    msg.header.frame_id = name
    return msg


def time_ms(msg: PointStamped) -> int:
    return Time.from_msg(msg.header.stamp).nanoseconds // 1_000_000


class Bench:
    """A synchronizer with its inputs, and the stamps (ms) of the sets it has signalled."""

    def __init__(self, kind: type, n_inputs: int, *args: object, **kwargs: object) -> None:
        self.inputs = [SimpleFilter() for _ in range(n_inputs)]
        self.sets: list[tuple[int, ...]] = []
        self.synchronizer = kind(self.inputs, *args, **kwargs)
        self.synchronizer.registerCallback(self._record)

    def _record(self, *msgs: PointStamped) -> None:
        assert [m.header.frame_id for m in msgs] == [str(k) for k in range(len(self.inputs))]
        self.sets.append(tuple(time_ms(m) for m in msgs))

    def feed(self, *arrivals: tuple[int, int]) -> list[tuple[int, ...]]:
        """Feed (input, ms) pairs in order; returns all sets so far."""
        for index, ms in arrivals:
            self.inputs[index].signalMessage(stamped(ms, str(index)))
        return self.sets


def test_simple_filter_adds_the_callers_arguments() -> None:
    source, seen = SimpleFilter(), []
    assert source.registerCallback(lambda *args: seen.append(args), "a", 1) == 0
    assert source.registerCallback(lambda *args: seen.append(args)) == 1
    source.signalMessage("x", "y")
    assert seen == [("x", "y", "a", 1), ("x", "y")]


def test_exact_synchronizer_pairs_equal_stamps_in_any_order_of_arrival() -> None:
    bench = Bench(TimeSynchronizer, 2, 10)
    assert bench.feed((0, 100), (0, 200), (1, 150)) == []
    assert bench.feed((1, 200)) == [(200, 200)]
    assert bench.feed((1, 100)) == [(200, 200), (100, 100)]
    assert bench.feed((1, 100), (1, 200)) == [(200, 200), (100, 100)]


def test_exact_synchronizer_forgets_the_oldest_of_too_many() -> None:
    bench = Bench(TimeSynchronizer, 2, 2)
    bench.feed((0, 100), (0, 200), (0, 300))
    assert bench.feed((1, 100)) == []
    assert bench.feed((1, 200)) == [(200, 200)]


def test_approximate_takes_the_nearest_and_each_message_once() -> None:
    bench = Bench(ApproximateTimeSynchronizer, 2, 10, 0.05)
    assert bench.feed((0, 1000), (0, 1040)) == []
    assert bench.feed((1, 1030)) == [(1040, 1030)]
    assert bench.feed((1, 1035)) == [(1040, 1030), (1000, 1035)]
    assert bench.feed((1, 1001)) == [(1040, 1030), (1000, 1035)]


@pytest.mark.parametrize(("offset_ms", "n_sets"), [(0, 1), (49, 1), (50, 0), (51, 0), (1000, 0)])
@pytest.mark.parametrize("first", [0, 1])
def test_slop_is_a_strict_bound(offset_ms, n_sets, first) -> None:
    bench = Bench(ApproximateTimeSynchronizer, 2, 10, 0.05)
    assert len(bench.feed((first, 1000), (1 - first, 1000 + offset_ms))) == n_sets


def test_slop_bounds_the_span_of_the_whole_set() -> None:
    bench = Bench(ApproximateTimeSynchronizer, 3, 10, 0.05)
    assert bench.feed((0, 1000), (2, 1080), (1, 1040)) == []
    assert bench.feed((2, 1045)) == [(1000, 1040, 1045)]


def test_a_wider_candidate_is_taken_where_the_nearest_breaks_the_span() -> None:
    bench = Bench(ApproximateTimeSynchronizer, 3, 10, 0.05)
    bench.feed((0, 970), (0, 1035), (2, 1032))
    # 970 is nearer to 1000 than 1035 is, but too far from 1032.
    assert bench.feed((1, 1000)) == [(1035, 1000, 1032)]


def test_six_cameras_of_one_sweep_make_one_set() -> None:
    bench = Bench(ApproximateTimeSynchronizer, 6, 10, 0.1)
    sweep = [(k, 1000 + 14 * k) for k in range(6)]
    following = [(k, 1500 + 14 * k) for k in range(6)]
    assert bench.feed(*sweep, *reversed(following)) == [
        tuple(ms for _, ms in sweep),
        tuple(ms for _, ms in following),
    ]


def test_a_missing_partner_costs_only_its_own_set() -> None:
    bench = Bench(ApproximateTimeSynchronizer, 2, 10, 0.02)
    assert bench.feed((0, 100), (0, 200), (1, 205), (0, 300), (1, 295)) == [(200, 205), (300, 295)]


def test_approximate_forgets_the_oldest_of_too_many() -> None:
    bench = Bench(ApproximateTimeSynchronizer, 2, 2, 0.05)
    bench.feed((0, 1000), (0, 2000), (0, 3000))
    assert bench.feed((1, 1000)) == []
    assert bench.feed((1, 2000)) == [(2000, 2000)]


def test_a_message_older_than_a_full_queue_is_dropped() -> None:
    bench = Bench(ApproximateTimeSynchronizer, 2, 1, 0.05)
    bench.feed((1, 1000), (0, 2000))
    assert bench.feed((0, 1000)) == []


def test_headerless_messages_need_permission() -> None:
    for allowed in (False, True):
        inputs, sets = [SimpleFilter(), SimpleFilter()], []
        synchronizer = ApproximateTimeSynchronizer(inputs, 10, 60.0, allow_headerless=allowed)
        synchronizer.registerCallback(lambda *msgs, sets=sets: sets.append(msgs))
        for index, text in enumerate("ab"):
            inputs[index].signalMessage(String(data=text))
        assert [[m.data for m in msgs] for msgs in sets] == ([["a", "b"]] if allowed else [])


def test_cache_answers_by_time() -> None:
    source = SimpleFilter()
    cache = Cache(source, cache_size=3)
    passed_on = []
    cache.registerCallback(passed_on.append)
    assert cache.getLast() is None
    for ms in (100, 200, 300, 400):
        source.signalMessage(stamped(ms))
    ms_to_time = {
        ms: Time(nanoseconds=ms * 1_000_000, clock_type=cache.getOldestTime().clock_type)
        for ms in (100, 200, 250, 300, 500)
    }
    assert [time_ms(m) for m in passed_on] == [100, 200, 300, 400]
    assert [time_ms(m) for m in cache.getInterval(ms_to_time[100], ms_to_time[300])] == [200, 300]
    assert time_ms(cache.getElemAfterTime(ms_to_time[250])) == 300
    assert time_ms(cache.getElemBeforeTime(ms_to_time[250])) == 200
    assert cache.getElemAfterTime(ms_to_time[500]) is None
    assert cache.getElemBeforeTime(ms_to_time[100]) is None
    assert time_ms(cache.getLast()) == 400
    assert cache.getOldestTime().nanoseconds == 200_000_000
    assert cache.getLastestTime().nanoseconds == 400_000_000
    with pytest.raises(AssertionError):
        cache.getInterval(ms_to_time[300], ms_to_time[100])


def test_subscribers_feed_a_synchronizer_over_dds(bus) -> None:
    talker, listener = bus.node("talker"), bus.node("listener")
    publishers = [talker.create_publisher(PointStamped, f"/cam{k}", 10) for k in range(2)]
    subscribers = [
        Subscriber(listener, PointStamped, "/cam0"),
        Subscriber(listener, PointStamped, "/cam1", qos_profile=qos_profile_sensor_data),
    ]
    sets: list[tuple[int, int]] = []
    synchronizer = ApproximateTimeSynchronizer(subscribers, 5, 0.05)
    synchronizer.registerCallback(lambda a, b: sets.append((time_ms(a), time_ms(b))))
    assert bus.spin_until(lambda: all(p.get_subscription_count() == 1 for p in publishers))
    publishers[0].publish(stamped(100))
    publishers[1].publish(stamped(140))
    assert bus.spin_until(lambda: bool(sets))
    assert sets == [(100, 140)]
    assert subscribers[0].getTopic() == "/cam0"
    assert subscribers[0].topic_name == "/cam0"  # an attribute of the rclpy subscription


def test_subscriber_passes_its_quality_of_service_on(bus) -> None:
    node = bus.node("listener")
    Subscriber(node, PointStamped, "/default")
    Subscriber(
        node,
        PointStamped,
        "/chosen",
        qos_profile=QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT),
    )
    (default,) = node.get_subscriptions_info_by_topic("/default")
    (chosen,) = node.get_subscriptions_info_by_topic("/chosen")
    assert default.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert chosen.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
