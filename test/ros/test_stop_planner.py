"""The example planner in the synthetic world: exact truth in, stop or go out."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import TwistStamped
from occflow_ros.msg import OccupancyFlow
from std_msgs.msg import String
from synthetic_scenes import box, straight_world

from occflow_ros.data.classes import FREE
from occflow_ros.data.synthetic import occupancy_truth
from occflow_ros.data.synthetic.street import Law
from occflow_ros.messages.voxel_arrays import VoxelArrays
from occflow_ros.planning import OccupancyFlowMap
from occflow_ros.ros.conversions import occupancy_flow_message
from occflow_ros.ros.stamps import header_message
from occflow_ros.ros.stop_planner import StopPlanner, StopPlannerParameters, decide, next_speed
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-10.0, -20.0, -1.0), (40.0, 20.0, 3.0), (125, 100, 10))
EDGE_M = 0.4
SETTINGS = StopPlannerParameters(
    speed_mps=8.0, length_m=4.0, width_m=2.0, center_x_m=1.0, margin_m=0.0
)
"""The front is 3 m ahead of the base."""


def true_message(*movers, time_s=0.0):
    """The true occupancy and velocity of a world, around an ego that drives at the set speed."""
    world = straight_world(*movers, ego=Law(0.0, 0.0, SETTINGS.speed_mps))
    truth = occupancy_truth(world, time_s, GRID, ())
    index = np.flatnonzero(truth.semantics != FREE)
    stamp_ns = round(time_s * 1e9)
    voxels = VoxelArrays(
        header=header_message(stamp_ns, "base_link"),
        grid=GRID,
        interval_s=0.5,
        index=index.astype(np.uint32),
        center_m=np.zeros((len(index), 3), np.float32),
        probability=np.ones(len(index), np.float32),
        velocity_mps=truth.velocity_mps.reshape(-1, 2)[index],
    )
    return occupancy_flow_message(voxels)


def seen_by_the_planner(*movers, time_s=0.0):
    """The same as the planner's map."""
    return OccupancyFlowMap.from_message(true_message(*movers, time_s=time_s))


def crossing_box(offset_m, lateral_mps):
    """A box of 1 m by 1 m, its middle 20 m ahead, that crosses the street."""
    return box(1.0, 1.0, 1.8), Law(20.0, offset_m, lateral_mps=lateral_mps)


# The front reaches the box's near side, 19.5 m, after (19.5 - 3) / 8 s = 2.06 s, and the rear its
# far side, 20.5 m, after (20.5 + 1) / 8 s = 2.69 s. Its sides are within the vehicle's width from
# (|offset| - 1.5) / speed to (|offset| + 1.5) / speed.
FRONT_S = (19.5 - 3.0) / 8.0


@pytest.mark.parametrize(
    ("offset_m", "lateral_mps", "time_s"),
    [
        pytest.param(-6.0, 3.0, FRONT_S, id="walks into the way"),
        pytest.param(6.0, -3.0, FRONT_S, id="from the left"),
        pytest.param(-6.0, 1.875, 4.5 / 1.875, id="walks into the side"),
        pytest.param(0.0, 0.0, FRONT_S, id="stands in the way"),
        pytest.param(-6.0, 6.0, None, id="has passed"),
        pytest.param(-6.0, 1.2, None, id="comes later"),
        pytest.param(-6.0, -3.0, None, id="walks away"),
        pytest.param(-6.0, 0.0, None, id="stands beside the way"),
    ],
)
def test_it_stops_for_what_will_be_in_its_way_and_for_nothing_else(offset_m, lateral_mps, time_s):
    flow_map = seen_by_the_planner(crossing_box(offset_m, lateral_mps))
    decision = decide(flow_map, 0.0, SETTINGS)
    assert decision.go == (time_s is None), decision.reason
    if time_s is not None:
        # A voxel counts by its centre, at most an edge inside or half an edge outside the box.
        closing_mps = SETTINGS.speed_mps if time_s == FRONT_S else abs(lateral_mps)
        assert decision.time_to_collision_s == pytest.approx(time_s, abs=EDGE_M / closing_mps)
        assert f"{decision.time_to_collision_s:.2f} s" in decision.reason


def test_of_a_later_map_less_time_is_left():
    now, later = (
        decide(seen_by_the_planner(crossing_box(-6.0, 3.0), time_s=time_s), 0.0, SETTINGS)
        for time_s in (0.0, 1.0)
    )
    left_s = later.time_to_collision_s
    assert now.time_to_collision_s - left_s == pytest.approx(1.0, abs=2 * EDGE_M / 8.0)


def test_the_maps_age_counts():
    flow_map = seen_by_the_planner(crossing_box(-6.0, 3.0))
    fresh, aged = (decide(flow_map, age_s, SETTINGS) for age_s in (0.0, 0.4))
    assert aged.time_to_collision_s == pytest.approx(fresh.time_to_collision_s - 0.4)


def test_a_curve_leads_past_what_stands_ahead():
    flow_map = seen_by_the_planner((box(1.0, 1.0, 1.8), Law(20.0, 0.0)))
    assert not decide(flow_map, 0.0, SETTINGS).go
    assert decide(flow_map, 0.0, SETTINGS.model_copy(update={"curvature_per_m": 0.04})).go


def test_the_ground_does_not_stop_it_and_is_in_the_map():
    flow_map = seen_by_the_planner()
    assert len(flow_map.index) > 1000
    assert decide(flow_map, 0.0, SETTINGS).go


@pytest.mark.parametrize(("age_s", "go"), [(0.49, True), (0.51, False), (-0.51, False)])
def test_it_stops_where_the_map_is_old(age_s, go):
    flow_map = seen_by_the_planner()
    assert decide(flow_map, age_s, SETTINGS).go == go


def test_it_stops_without_a_map():
    assert decide(None, 0.0, SETTINGS).go is False


def test_speed_changes_at_the_set_rates():
    assert next_speed(0.0, True, 0.5, SETTINGS) == 0.5
    assert next_speed(7.9, True, 0.5, SETTINGS) == 8.0
    assert next_speed(8.0, False, 0.5, SETTINGS) == 6.5
    assert next_speed(0.3, False, 0.5, SETTINGS) == 0.0


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"speed_mps": 30.0}, "5.00 s or more"), ({"z_m": (2.0, 1.0)}, "lower height first")],
)
def test_settings_that_make_no_sense_are_named(changes, named):
    with pytest.raises(ValueError, match=named):
        StopPlannerParameters(**changes)


def test_over_dds_it_commands_to_go_and_to_stop():
    import rclpy

    arguments = [f"-p {name}:={getattr(SETTINGS, name)}" for name in ("speed_mps", "center_x_m")]
    rclpy.init(args=["test", "--ros-args", *" ".join(arguments).split()])
    planner, world = StopPlanner(), rclpy.create_node("world")
    executor = rclpy.executors.SingleThreadedExecutor()
    for node in (planner, world):
        executor.add_node(node)
    maps = world.create_publisher(OccupancyFlow, "occflow/occupancy_flow", 5)
    said, commanded_mps = [], []
    world.create_subscription(String, "stop_planner/decision", lambda m: said.append(m.data), 5)
    world.create_subscription(
        TwistStamped, "stop_planner/cmd_vel", lambda m: commanded_mps.append(m.twist.linear.x), 5
    )

    def send_until(condition, message):
        deadline_s = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < deadline_s, f"heard {said[-1:]} and {commanded_mps[-1:]}"
            message.header.stamp = world.get_clock().now().to_msg()
            maps.publish(message)
            executor.spin_once(timeout_sec=0.05)

    try:
        free, crossing = true_message(), true_message(crossing_box(-6.0, 3.0))
        send_until(lambda: commanded_mps and commanded_mps[-1] > 0.1, free)
        assert said[-1].startswith("go: nothing is met")
        send_until(lambda: said[-1].startswith("stop: in ") and commanded_mps[-1] == 0.0, crossing)
    finally:
        executor.shutdown()
        for node in (planner, world):
            node.destroy_node()
        rclpy.try_shutdown()
