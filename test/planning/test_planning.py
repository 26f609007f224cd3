"""Times to collision by hand; queries; what changes nothing; nothing but numpy is imported."""

import math
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from flow_maps import CAR, flow_map, index_at

from occflow_ros.planning import (
    PATH_TOLERANCE_M,
    Footprint,
    OccupancyFlowMap,
    OrientedBox,
    Trajectory,
    constant_curvature,
    first_collision,
)

NAN = math.nan
STRAIGHT = constant_curvature(speed_mps=10.0, curvature_per_m=0.0, duration_s=5.0, step_s=0.1)
WALL = [((20.2, y_m, 1.0), (0.0, 0.0)) for y_m in np.arange(-5.8, 6.0, 0.4)]


def message(voxels):
    """The fields of an OccupancyFlow that a map reads, with velocities in cm/s."""
    stamp = SimpleNamespace(sec=3, nanosec=7)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id="base_link"),
        origin=SimpleNamespace(x=-2.0, y=-4.0, z=0.0),
        voxel_size=SimpleNamespace(x=1.0, y=1.0, z=1.0),
        shape=np.array([4, 8, 3], np.uint32),
        index=np.array([index for index, *_ in voxels], np.uint32),
        probability=np.array([value for _, value, *_ in voxels], np.uint8),
        velocity_x=np.array([vx for *_, vx, _ in voxels], np.int16),
        velocity_y=np.array([vy for *_, vy in voxels], np.int16),
        interval=0.5,
        PROBABILITY_SCALE=1 / 255,
        VELOCITY_SCALE=0.01,
        VELOCITY_UNKNOWN=-32768,
    )


MESSAGE = message([(31, 255, 300, -100), (34, 51, -32768, -32768)])


def test_a_message_becomes_a_map():
    made = OccupancyFlowMap.from_message(MESSAGE)
    assert (made.stamp_ns, made.frame_id, made.shape) == (3_000_000_007, "base_link", (4, 8, 3))
    # 31 = (1·8 + 2)·3 + 1
    np.testing.assert_allclose(made.center_m, [[-0.5, -1.5, 1.5], [-0.5, -0.5, 1.5]])
    np.testing.assert_allclose(made.probability, [1.0, 0.2])
    np.testing.assert_allclose(made.velocity_mps, [[3.0, -1.0], [NAN, NAN]])
    np.testing.assert_allclose(made.centers_at(2.0)[:, :2], [[5.5, -3.5], [-0.5, -0.5]])


def test_points_say_what_is_known_there():
    made = OccupancyFlowMap.from_message(MESSAGE)
    points_m = [[-0.99, -1.01, 1.0], [-0.5, -0.5, 1.5], [1.5, 3.5, 2.5], [-2.01, 0, 0], [0, 4.0, 0]]
    found = made.sample(np.array(points_m))
    assert found.occupied.tolist() == [True, True, False, False, False]
    assert found.inside.tolist() == [True, True, True, False, False]
    np.testing.assert_allclose(found.probability, [1.0, 0.2, NAN, NAN, NAN])
    np.testing.assert_allclose(found.velocity_mps[:2], [[3.0, -1.0], [NAN, NAN]])
    assert np.isnan(found.velocity_mps[1:]).all()


def test_boxes_turn_and_time_moves_what_is_in_them():
    made = OccupancyFlowMap.from_message(MESSAGE)
    box = OrientedBox(center_m=(0.5, -0.5, 1.5), size_lwh_m=(3.0, 0.5, 1.0), yaw_rad=0.0)
    assert made.rows_in_box(box, 0.0).tolist() == [1]
    assert made.rows_in_box(replace(box, yaw_rad=math.pi / 4), 0.0).tolist() == [0]
    moved = replace(box, center_m=(5.5, -3.5, 1.5))
    assert made.rows_in_box(moved, 0.0).tolist() == []
    assert made.rows_in_box(moved, 2.0).tolist() == [0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"index": np.array([34, 31])}, "index"),
        ({"index": np.array([31, 4 * 8 * 3])}, "index"),
        ({"probability": np.array([0.5])}, "probability"),
        ({"velocity_mps": np.zeros((2, 3))}, "velocity_mps"),
        ({"voxel_size_m": (1.0, 0.0, 1.0)}, "voxel_size_m"),
    ],
)
def test_arrays_that_do_not_fit_are_named(change, named):
    made = OccupancyFlowMap.from_message(MESSAGE)
    fields = {name: getattr(made, name) for name in OccupancyFlowMap.__match_args__}
    fields.pop("center_m", None)
    with pytest.raises(ValueError, match=named):
        OccupancyFlowMap(**{**fields, **change})


def test_a_wall_ahead():
    # The wall's centres are at 20.2 m, the front 3 m ahead of the base, at 10 m/s.
    collision = first_collision(flow_map(*WALL), STRAIGHT, CAR)
    assert collision.time_s == pytest.approx(1.72, abs=1e-9)
    assert collision.position_m[0] == pytest.approx(20.2)
    assert (collision.velocity_mps, collision.probability) == ((0.0, 0.0), 0.8)
    margin = replace(CAR, margin_m=0.3)
    assert first_collision(flow_map(*WALL), STRAIGHT, margin).time_s == pytest.approx(1.69)


@pytest.mark.parametrize(
    ("start_y_m", "velocity_mps", "time_s"),
    [
        # At x 20.2 the vehicle is from 1.72 s (front) to 2.12 s (rear), at y from -1 to 1 m.
        pytest.param(-8.6, (0.0, 5.0), 1.72, id="hit by the front"),
        pytest.param(-11.0, (0.0, 5.0), 2.0, id="runs into the side"),
        pytest.param(-8.6, (0.0, 6.0), None, id="passes before"),
        pytest.param(-8.6, (0.0, 3.5), None, id="passes behind"),
        pytest.param(-8.6, (NAN, NAN), None, id="unknown velocity stands, beside the way"),
        pytest.param(0.2, (NAN, NAN), 1.72, id="unknown velocity stands, in the way"),
        pytest.param(0.2, (6.0, 0.0), 17.2 / 4.0, id="slower vehicle ahead"),
        pytest.param(0.2, (10.0, 0.0), None, id="as fast a vehicle ahead"),
        pytest.param(0.2, (12.0, 0.0), None, id="faster vehicle ahead"),
        pytest.param(0.2, (-10.0, 0.0), 0.86, id="oncoming"),
        pytest.param(0.2, (6.5, 0.0), 17.2 / 3.5, id="just within the trajectory's time"),
        pytest.param(0.2, (6.6, 0.0), None, id="met after the trajectory's end"),
    ],
)
def test_things_that_move(start_y_m, velocity_mps, time_s):
    collision = first_collision(flow_map(((20.2, start_y_m, 1.0), velocity_mps)), STRAIGHT, CAR)
    assert (collision and collision.time_s) == (time_s and pytest.approx(time_s, abs=1e-9))


def test_what_collides_is_told_where_it_will_be():
    collision = first_collision(flow_map(((20.2, -11.0, 1.0), (0.0, 5.0))), STRAIGHT, CAR)
    assert collision.position_m == pytest.approx((20.2, -1.0, 1.0))
    assert collision.velocity_mps == (0.0, 5.0)


def test_contact_at_the_start_is_at_once_and_the_first_is_told():
    things = [((2.2, 0.2, 1.0), (0.0, 0.0)), *WALL]
    assert first_collision(flow_map(*things), STRAIGHT, CAR).time_s == 0.0


def test_a_map_without_voxels_or_in_other_heights_is_free():
    assert first_collision(flow_map(), STRAIGHT, CAR) is None
    below = [((20.2, 0.2, 0.2), (0.0, 0.0)), ((20.2, 0.2, 3.0), (0.0, 0.0))]
    assert first_collision(flow_map(*below), STRAIGHT, CAR) is None


def test_the_start_may_lie_after_the_stamp_and_not_before():
    crossing = flow_map(((20.2, -8.6, 1.0), (0.0, 5.0)))
    assert first_collision(crossing, STRAIGHT.shifted(1.0), CAR) is None
    with pytest.raises(ValueError, match="stamp"):
        first_collision(crossing, STRAIGHT.shifted(-0.1), CAR)


def test_a_circle_meets_a_point_beside_it():
    # A circle of 10 m to the left around (0, 10), one radian a second. A point at radius r is met
    # by the front edge, 3 m ahead of the base, which is asin(3 / r) farther round than the base.
    quarter = constant_curvature(10.0, 0.1, 3.0, 0.1)
    things = flow_map(((9.9, 10.2, 1.0), (0.0, 0.0)))
    x_m, y_m, _ = things.center_m[0]
    radius_m = math.hypot(x_m, y_m - 10.0)
    angle = math.atan2(x_m, 10.0 - y_m) - math.asin(3.0 / radius_m)
    collision = first_collision(things, quarter, CAR)
    # Poses 0.1 s apart cut the circle by r·(1 − cos 0.05) = 1.2 cm; 10 m/s makes that ≤ 4 ms here.
    assert collision.time_s == pytest.approx(angle, abs=0.004)


def by_fine_steps(made, trajectory, footprint):
    """Earliest of 20,001 times at which a centre is in the footprint, inf where at none."""
    time_s = np.linspace(trajectory.time_s[0], trajectory.time_s[-1], 20_001)
    x_m, y_m, yaw_rad = (
        np.interp(time_s, trajectory.time_s, values)[:, None]
        for values in (*trajectory.xy_m.T, trajectory.yaw_rad)
    )
    motion_mps = made.velocity_mps
    dx_m = made.center_m[:, 0] + time_s[:, None] * motion_mps[:, 0] - x_m
    dy_m = made.center_m[:, 1] + time_s[:, None] * motion_mps[:, 1] - y_m
    ahead_m = np.cos(yaw_rad) * dx_m + np.sin(yaw_rad) * dy_m - footprint.center_x_m
    left_m = np.cos(yaw_rad) * dy_m - np.sin(yaw_rad) * dx_m
    half_length_m, half_width_m = footprint.half_m
    inside = (np.abs(ahead_m) <= half_length_m) & (np.abs(left_m) <= half_width_m)
    inside &= (made.center_m[:, 2] >= footprint.z_m[0]) & (made.center_m[:, 2] <= footprint.z_m[1])
    met = inside.any(axis=1)
    return time_s[met.argmax()] if met.any() else math.inf


def random_scene(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform((-30, -30, 0.4), (30, 30, 2.4), (12, 3))
    made = flow_map(*zip(points, rng.uniform(-8, 8, (12, 2)))) if seed % 4 else flow_map(*WALL)
    time_s = np.cumsum(rng.uniform(0.2, 0.6, 8))
    yaw_rad = np.cumsum(rng.uniform(-0.6, 0.6, 8))
    way_m = np.diff(time_s, prepend=0.0) * rng.uniform(4, 12)
    xy_m = np.cumsum(way_m[:, None] * np.stack((np.cos(yaw_rad), np.sin(yaw_rad)), 1), axis=0)
    return made, Trajectory(time_s, xy_m, yaw_rad)


@pytest.mark.parametrize("seed", range(12))
def test_turning_ways_agree_with_fine_steps_within_the_tolerance(seed):
    made, trajectory = random_scene(seed)
    larger = replace(CAR, margin_m=2 * PATH_TOLERANCE_M)
    found = first_collision(made, trajectory, replace(CAR, margin_m=PATH_TOLERANCE_M))
    inner, outer = (by_fine_steps(made, trajectory, size) for size in (CAR, larger))
    step_s = (trajectory.time_s[-1] - trajectory.time_s[0]) / 20_000
    time_s = math.inf if found is None else found.time_s
    assert outer - step_s <= time_s <= inner


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("seed", [1, 2, 3, 5, 6])
def test_a_turned_scene_has_the_same_answer(seed, turns):
    made, trajectory = random_scene(seed)
    quarter = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turns)
    points_m = made.center_m.copy()
    points_m[:, :2] = points_m[:, :2] @ quarter.T
    turned = flow_map(*zip(points_m, made.velocity_mps @ quarter.T))
    yaw_rad = trajectory.yaw_rad + turns * math.pi / 2
    again = Trajectory(trajectory.time_s, trajectory.xy_m @ quarter.T, yaw_rad)
    first, second = (
        first_collision(*scene, CAR) for scene in ((made, trajectory), (turned, again))
    )
    assert (first and first.time_s) == (second and pytest.approx(second.time_s, abs=1e-6))


def test_a_trajectory_seen_from_another_frame():
    there = Trajectory([0.0, 1.0], [[5.0, 3.0], [5.0, 4.0]], [math.pi / 2] * 2)
    seen = there.in_frame_at(5.0, 1.0, math.pi / 2)
    np.testing.assert_allclose(seen.xy_m, [[2.0, 0.0], [3.0, 0.0]], atol=1e-12)
    np.testing.assert_allclose(seen.yaw_rad, 0.0, atol=1e-12)


def test_what_lies_after_a_time():
    later = STRAIGHT.starting_at(0.25)
    assert (later.time_s[0], later.xy_m[0, 0]) == pytest.approx((0.25, 2.5))
    assert (len(later.time_s), later.time_s[-1]) == (1 + 48, 5.0)
    with pytest.raises(ValueError, match="before 6"):
        STRAIGHT.starting_at(6.0)


def test_a_half_circle_ends_at_its_diameter():
    way = constant_curvature(math.pi * 10.0, 0.1, 1.0, 0.1)
    assert way.xy_m[-1] == pytest.approx((0.0, 20.0), abs=1e-9)
    assert way.yaw_rad[-1] == pytest.approx(math.pi)
    left, right = (constant_curvature(5.0, sign * 0.1, 1.0, 0.1).xy_m[-1] for sign in (1, -1))
    assert left == pytest.approx(right * (1, -1))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Trajectory([0.0], [[0.0, 0.0]], [0.0]), "2 poses"),
        (lambda: Trajectory([0.0, 0.0], np.zeros((2, 2)), [0.0, 0.0]), "time_s"),
        (lambda: Trajectory([0.0, 1.0], np.zeros((3, 2)), [0.0, 0.0]), "xy_m"),
        (lambda: Trajectory([0.0, 1.0], np.zeros((2, 2)), [0.0, NAN]), "yaw_rad"),
        (lambda: Footprint(0.0, 2.0, (0.3, 2.0), 0.0, 0.0), "sizes"),
        (lambda: Footprint(4.0, 2.0, (2.0, 0.3), 0.0, 0.0), "lower height"),
        (lambda: Footprint(4.0, 2.0, (0.3, 2.0), 0.0, -0.1), "margin"),
        (lambda: Footprint(4.0, 2.0, (0.3, 2.0), NAN, 0.0), "finite"),
        (lambda: OrientedBox((0.0, 0.0, 0.0), (1.0, 1.0, 0.0), 0.0), "size_lwh_m"),
        (lambda: constant_curvature(1.0, 0.0, 0.0, 0.1), "0 s"),
    ],
)
def test_what_makes_no_sense_is_named(make, named):
    with pytest.raises(ValueError, match=named):
        make()


def test_index_and_centre_agree():
    made = flow_map(((12.3, -7.7, 1.1), (0, 0)))
    assert index_at(made.center_m).tolist() == made.index.tolist()


def test_a_planner_needs_numpy_alone():
    heavy = ("torch", "scipy", "pydantic", "rclpy", "cv2")
    code = f"import sys, occflow_ros.planning; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
