"""The transform buffer against transforms composed by hand."""

import math
import threading

import pytest
import yaml

pytest.importorskip("tf2_ros", reason="needs the underlay or upstream ROS 2")

import tf2_ros
from rclpy.duration import Duration
from rclpy.time import Time
from tf2_ros.buffer import Buffer
from tf_buffers import at, filled, stamp_s

LATEST = Time()


@pytest.fixture
def vehicle(tf) -> Buffer:
    """map -> odom -> base -> (camera, lidar), all at 1 s."""
    return filled(
        tf.transform("map", "odom", 1, (10.0, 0.0, 0.0), tf.yaw(90)),
        tf.transform("odom", "base", 1, (1.0, 2.0, 0.0), tf.yaw(90)),
        tf.transform("base", "camera", 1, (1.0, 0.0, 0.0), tf.yaw(90)),
        tf.transform("base", "lidar", 1, (0.0, 1.0, 0.0)),
    )


@pytest.mark.parametrize(
    ("target", "source", "xyz", "yaw_deg"),
    [
        ("map", "odom", (10.0, 0.0, 0.0), 90),
        ("odom", "map", (0.0, 10.0, 0.0), -90),
        ("map", "base", (8.0, 1.0, 0.0), 180),
        ("base", "map", (8.0, 1.0, 0.0), 180),
        ("lidar", "camera", (1.0, -1.0, 0.0), 90),
        ("camera", "lidar", (1.0, 1.0, 0.0), -90),
        ("map", "camera", (7.0, 1.0, 0.0), 270),
        ("base", "base", (0.0, 0.0, 0.0), 0),
    ],
)
def test_chain_equals_the_composition_by_hand(vehicle, tf, target, source, xyz, yaw_deg) -> None:
    found = vehicle.lookup_transform(target, source, at(1))
    tf.assert_pose(found, xyz, tf.yaw(yaw_deg))
    assert (found.header.frame_id, found.child_frame_id) == (target, source)
    assert stamp_s(found) == 1.0


def test_optical_frame_looks_along_x(tf) -> None:
    buffer = filled(
        tf.transform("base", "optical", 1, (1.0, 0.0, 2.0), (-0.5, 0.5, -0.5, 0.5)),
        tf.transform("optical", "point", 1, (3.0, 4.0, 5.0)),
    )
    # optical z -> base x, optical x -> base -y, optical y -> base -z
    tf.assert_pose(
        buffer.lookup_transform("base", "point", at(1)), (6.0, -3.0, -2.0), (-0.5, 0.5, -0.5, 0.5)
    )


@pytest.mark.parametrize(
    ("time_s", "x", "yaw_deg"),
    [
        (1.0, 0.0, 0.0),
        (1.25, 1.0, 22.5),
        (1.5, 2.0, 45.0),
        (1.75, 3.0, 67.5),
        (2.0, 4.0, 90.0),
    ],
)
def test_between_stamps_position_is_linear_and_rotation_spherical(tf, time_s, x, yaw_deg) -> None:
    buffer = filled(
        tf.transform("odom", "base", 1),
        tf.transform("odom", "base", 2, (4.0, 0.0, 0.0), tf.yaw(90)),
    )
    found = buffer.lookup_transform("odom", "base", at(time_s))
    tf.assert_pose(found, (x, 0.0, 0.0), tf.yaw(yaw_deg))
    assert stamp_s(found) == time_s


@pytest.mark.parametrize(
    ("start", "end", "middle_deg"),
    [
        (170, -170, 180),
        (-100, 100, 180),
        (0, 1e-9, 5e-10),
        (30, 30, 30),
    ],
)
def test_rotation_takes_the_shorter_arc(tf, start, end, middle_deg) -> None:
    buffer = filled(
        tf.transform("odom", "base", 1, xyzw=tf.yaw(start)),
        tf.transform("odom", "base", 2, xyzw=tf.yaw(end)),
    )
    tf.assert_pose(
        buffer.lookup_transform("odom", "base", at(1.5)), (0.0, 0.0, 0.0), tf.yaw(middle_deg)
    )


def test_quaternions_of_opposite_sign_are_the_same_rotation(tf) -> None:
    negated = tuple(-x for x in tf.yaw(90))
    buffer = filled(tf.transform("odom", "base", 1), tf.transform("odom", "base", 2, xyzw=negated))
    tf.assert_pose(buffer.lookup_transform("odom", "base", at(1.5)), (0.0, 0.0, 0.0), tf.yaw(45))


def test_order_of_arrival_does_not_matter(tf) -> None:
    buffer = filled(*(tf.transform("odom", "base", s, (float(s), 0.0, 0.0)) for s in (3, 1, 4, 2)))
    for time_s in (1.0, 1.5, 2.5, 3.0, 3.75):
        tf.assert_pose(buffer.lookup_transform("odom", "base", at(time_s)), (time_s, 0.0, 0.0))


def test_a_frame_that_changes_its_parent_keeps_the_older_one_until_the_newer(tf) -> None:
    buffer = filled(
        tf.transform("odom", "map", 1),
        tf.transform("odom", "map", 3),
        tf.transform("odom", "base", 1, (1.0, 0.0, 0.0)),
        tf.transform("map", "base", 3, (5.0, 0.0, 0.0)),
    )
    tf.assert_pose(buffer.lookup_transform("odom", "base", at(2.9)), (1.0, 0.0, 0.0))
    tf.assert_pose(buffer.lookup_transform("odom", "base", at(3)), (5.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("time_s", "direction", "bound"),
    [
        (4, "future", "3.000000"),
        (1, "past", "2.000000"),
    ],
)
def test_extrapolation_names_direction_times_and_frames(tf, time_s, direction, bound) -> None:
    buffer = filled(tf.transform("odom", "base", 2), tf.transform("odom", "base", 3))
    with pytest.raises(tf2_ros.ExtrapolationException) as error:
        buffer.lookup_transform("odom", "base", at(time_s))
    for part in (f"into the {direction}", f"{time_s}.000000", bound, "[base]", "[odom]"):
        assert part in str(error.value)
    assert not buffer.can_transform("odom", "base", at(time_s))


def test_a_single_transform_holds_only_at_its_stamp(tf) -> None:
    buffer = filled(tf.transform("odom", "base", 2))
    buffer.lookup_transform("odom", "base", at(2))
    with pytest.raises(tf2_ros.ExtrapolationException, match=r"3\.000000.*2\.000000"):
        buffer.lookup_transform("base", "odom", at(3))


def test_missing_data_above_the_common_frame_does_not_matter(tf, vehicle) -> None:
    for child in ("camera", "lidar"):
        vehicle.set_transform(tf.transform("base", child, 2), "test")
    tf.assert_pose(vehicle.lookup_transform("lidar", "camera", at(2)), (0.0, 0.0, 0.0))
    with pytest.raises(tf2_ros.ExtrapolationException):
        vehicle.lookup_transform("map", "camera", at(2))


@pytest.mark.parametrize(
    ("target", "source", "error"),
    [
        ("map", "nowhere", tf2_ros.LookupException),
        ("nowhere", "map", tf2_ros.LookupException),
        ("map", "", tf2_ros.InvalidArgumentException),
        ("/map", "base", tf2_ros.InvalidArgumentException),
        ("map", "island", tf2_ros.ConnectivityException),
        ("island", "camera", tf2_ros.ConnectivityException),
    ],
)
@pytest.mark.parametrize("time", [LATEST, at(1)])
def test_frames_that_cannot_be_joined(vehicle, tf, target, source, error, time) -> None:
    vehicle.set_transform(tf.transform("sea", "island", 1), "test")
    with pytest.raises(error) as raised:
        vehicle.lookup_transform(target, source, time)
    assert isinstance(raised.value, tf2_ros.TransformException)
    assert all(name in str(raised.value) for name in {target, source} - {"map", "base", "camera"})


def test_a_loop_is_an_error(tf) -> None:
    buffer = filled(tf.transform("a", "b", 1), tf.transform("b", "a", 1), tf.transform("c", "d", 1))
    with pytest.raises(tf2_ros.LookupException, match="loop"):
        buffer.lookup_transform("d", "a", at(1))


@pytest.mark.parametrize(("cache_s", "kept_s", "dropped_s"), [(10.0, 21, 17), (2.0, 29, 25)])
def test_history_is_bounded(tf, cache_s, kept_s, dropped_s) -> None:
    buffer = filled(*(tf.transform("odom", "base", s) for s in range(1, 31)), cache_s=cache_s)
    assert buffer.can_transform("odom", "base", at(kept_s))
    assert not buffer.can_transform("odom", "base", at(dropped_s))
    buffer.set_transform(tf.transform("odom", "base", dropped_s), "late")
    assert not buffer.can_transform("odom", "base", at(dropped_s))


def test_history_is_ten_seconds_by_default(tf) -> None:
    buffer = Buffer()
    for time_s in range(1, 31):
        buffer.set_transform(tf.transform("odom", "base", time_s), "test")
    assert buffer.can_transform("odom", "base", at(20))
    assert not buffer.can_transform("odom", "base", at(18))


@pytest.mark.parametrize("time_s", [0.001, 1.0, 1e6])
def test_static_transform_holds_at_every_time(tf, time_s) -> None:
    buffer = Buffer()
    buffer.set_transform_static(tf.transform("base", "camera", 5, (1.0, 2.0, 3.0)), "test")
    found = buffer.lookup_transform("base", "camera", at(time_s))
    tf.assert_pose(found, (1.0, 2.0, 3.0))
    assert stamp_s(found) == pytest.approx(time_s)
    assert stamp_s(buffer.lookup_transform("base", "camera", LATEST)) == 0.0


def test_static_transform_may_come_before_the_dynamic_ones_it_hangs_on(tf) -> None:
    buffer = Buffer()
    buffer.set_transform_static(tf.transform("base", "camera", 9, (1.0, 0.0, 0.0)), "test")
    buffer.set_transform(tf.transform("odom", "base", 1, (0.0, 0.0, 0.0), tf.yaw(90)), "test")
    buffer.set_transform(tf.transform("odom", "base", 2, (2.0, 0.0, 0.0), tf.yaw(90)), "test")
    tf.assert_pose(buffer.lookup_transform("odom", "camera", at(1.5)), (1.0, 1.0, 0.0), tf.yaw(90))
    with pytest.raises(tf2_ros.ExtrapolationException):
        buffer.lookup_transform("odom", "camera", at(3))


def test_a_frame_may_turn_from_dynamic_to_static_and_back(tf) -> None:
    buffer = filled(tf.transform("base", "camera", 1, (1.0, 0.0, 0.0)))
    buffer.set_transform_static(tf.transform("base", "camera", 1, (2.0, 0.0, 0.0)), "test")
    tf.assert_pose(buffer.lookup_transform("base", "camera", at(9)), (2.0, 0.0, 0.0))
    buffer.set_transform(tf.transform("base", "camera", 5, (3.0, 0.0, 0.0)), "test")
    tf.assert_pose(buffer.lookup_transform("base", "camera", at(5)), (3.0, 0.0, 0.0))
    assert not buffer.can_transform("base", "camera", at(9))


def test_time_zero_is_the_latest_common_time(tf) -> None:
    buffer = filled(
        *(tf.transform("odom", "base", s, (float(s), 0.0, 0.0)) for s in (1, 3)),
        *(tf.transform("base", "arm", s, (0.0, float(s), 0.0)) for s in (1, 2)),
    )
    buffer.set_transform_static(tf.transform("arm", "camera", 99, (0.0, 0.0, 7.0)), "test")
    found = buffer.lookup_transform("odom", "camera", LATEST)
    tf.assert_pose(found, (2.0, 2.0, 7.0))
    assert stamp_s(found) == 2.0
    assert buffer.get_latest_common_time("camera", "odom").nanoseconds == 2_000_000_000


def test_times_may_be_messages(vehicle, tf) -> None:
    tf.assert_pose(
        vehicle.lookup_transform("odom", "base", at(1).to_msg()), (1.0, 2.0, 0.0), tf.yaw(90)
    )


def test_debug_tuple_says_why(vehicle) -> None:
    available, reason = vehicle.can_transform("map", "base", at(7), return_debug_tuple=True)
    assert not available
    assert "7.000000" in reason
    available, reason = vehicle.can_transform("map", "base", at(1), return_debug_tuple=True)
    assert available
    assert reason == ""


def test_waiting_ends_when_the_transform_arrives(tf) -> None:
    buffer, found = Buffer(), []
    waiter = threading.Thread(
        daemon=True,
        target=lambda: found.append(
            buffer.lookup_transform("odom", "base", at(1), timeout=Duration(seconds=1000))
        ),
    )
    waiter.start()
    waiter.join(timeout=0.05)
    assert waiter.is_alive()
    buffer.set_transform(tf.transform("odom", "base", 1, (3.0, 0.0, 0.0)), "test")
    waiter.join(timeout=20)
    tf.assert_pose(found[0], (3.0, 0.0, 0.0))


def test_waiting_in_vain_is_an_error(vehicle) -> None:
    assert not vehicle.can_transform("map", "base", at(9), Duration(seconds=0.05))
    with pytest.raises(tf2_ros.ExtrapolationException):
        vehicle.lookup_transform("map", "base", at(9), Duration(seconds=0.05))


def test_future_completes_when_the_transform_arrives(tf) -> None:
    buffer = Buffer()
    future = buffer.wait_for_transform_async("odom", "base", at(1))
    buffer.set_transform(tf.transform("odom", "other", 1), "test")
    assert not future.done()
    buffer.set_transform(tf.transform("odom", "base", 1, (3.0, 0.0, 0.0)), "test")
    assert future.done()
    tf.assert_pose(future.result(), (3.0, 0.0, 0.0))


def test_coroutine_returns_at_once_what_is_known(vehicle, tf) -> None:
    coroutine = vehicle.lookup_transform_async("odom", "base", at(1))
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    tf.assert_pose(done.value.value, (1.0, 2.0, 0.0), tf.yaw(90))


def test_clear_forgets_all_but_static_transforms(tf, vehicle) -> None:
    vehicle.set_transform_static(tf.transform("base", "gps", 1, (0.0, 0.0, 2.0)), "test")
    vehicle.clear()
    assert not vehicle.can_transform("map", "base", at(1))
    assert not vehicle.can_transform("map", "base", LATEST)
    tf.assert_pose(vehicle.lookup_transform("base", "gps", at(1)), (0.0, 0.0, 2.0))


@pytest.mark.parametrize(
    "broken",
    [
        {"parent": "odom", "child": "odom"},
        {"parent": "", "child": "base"},
        {"parent": "odom", "child": ""},
        {"parent": "odom", "child": "base", "xyz": (math.nan, 0.0, 0.0)},
        {"parent": "odom", "child": "base", "xyzw": (0.0, 0.0, math.nan, 1.0)},
        {"parent": "odom", "child": "base", "xyzw": (0.0, 0.0, 0.0, 0.0)},
    ],
)
def test_malformed_transforms_are_ignored(tf, broken) -> None:
    buffer = filled(tf.transform(time_s=1, **broken))
    assert not buffer.can_transform("odom", "base", at(1))


def test_quaternions_are_normalized(tf) -> None:
    buffer = filled(
        tf.transform("odom", "base", 1, (1.0, 0.0, 0.0), (0.0, 0.0, 2.0, 2.0)),
        tf.transform("base", "tip", 1, (1.0, 0.0, 0.0)),
    )
    tf.assert_pose(buffer.lookup_transform("odom", "tip", at(1)), (1.0, 1.0, 0.0), tf.yaw(90))


def test_a_leading_slash_is_dropped_from_what_is_stored(tf) -> None:
    buffer = filled(tf.transform("/odom", "/base", 1, (3.0, 0.0, 0.0)))
    tf.assert_pose(buffer.lookup_transform("odom", "base", at(1)), (3.0, 0.0, 0.0))


def test_frames_as_yaml(tf) -> None:
    buffer = filled(tf.transform("odom", "base", 1), tf.transform("odom", "base", 3))
    frames = yaml.safe_load(buffer.all_frames_as_yaml())
    assert frames["base"]["parent"] == "odom"
    assert frames["base"]["broadcaster"] == "test"
    assert frames["base"]["rate"] == 1.0
    assert frames["base"]["buffer_length"] == 2.0
    assert frames["base"]["most_recent_transform"] == 3.0


def test_a_chain_of_200_frames(tf) -> None:
    buffer = filled(
        *(tf.transform(f"f{k}", f"f{k + 1}", 1, (1.0, 0.0, 0.0), tf.yaw(90)) for k in range(200))
    )
    tf.assert_pose(buffer.lookup_transform("f0", "f200", at(1)), (0.0, 0.0, 0.0), tf.yaw(0))
    tf.assert_pose(buffer.lookup_transform("f0", "f3", at(1)), (0.0, 1.0, 0.0), tf.yaw(270))


def test_threads_may_write_and_read_at_once(tf) -> None:
    """Both links move at 1 m/s, so x is twice the stamp in whatever a reader catches."""
    links = (("odom", "base"), ("base", "arm"))
    buffer = filled(*(tf.transform(*link, 1e-3, (1e-3, 0.0, 0.0)) for link in links), cache_s=0.2)
    errors_m: list[float] = []

    def write() -> None:
        for k in range(2, 1000):
            for link in links:
                buffer.set_transform(tf.transform(*link, k * 1e-3, (k * 1e-3, 0.0, 0.0)), "test")

    def read() -> None:
        for _ in range(1000):
            found = buffer.lookup_transform("odom", "arm", LATEST)
            errors_m.append(abs(found.transform.translation.x - 2 * stamp_s(found)))

    threads = [threading.Thread(target=task) for task in (write, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors_m) == 2000
    assert max(errors_m) < 1e-9
