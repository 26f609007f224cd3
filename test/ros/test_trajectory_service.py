"""What the service answers: contacts by hand, frames, clocks, and each refusal."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("rclpy")

from occflow_ros.srv import CheckTrajectory
from rclpy.time import Time
from std_msgs.msg import Header

from occflow_ros import config
from occflow_ros.node_config import NodeConfig
from occflow_ros.ros import trajectory_service
from occflow_ros.ros.outputs import Outputs, Result
from occflow_ros.ros.stamps import header_message, time_message
from occflow_ros.ros.trajectory_service import TrajectoryService
from occflow_ros.structures import CameraRig, Frame, OccupancyFlow, VoxelGrid

GRID = VoxelGrid((-10.0, -20.0, 0.0), (40.0, 20.0, 2.0), (50, 40, 2))
STAMP_NS = 100_000_000_000
Response = CheckTrajectory.Response


class Node:
    """The part of a node that the service uses; its clock is 0.25 s after the result."""

    def __init__(self):
        self.age_s = 0.25
        self.services = []

    def create_service(self, kind, name, callback):
        self.services.append(name)
        return name

    def destroy_service(self, service):
        self.services.remove(service)

    def get_clock(self):
        return SimpleNamespace(now=lambda: Time(nanoseconds=STAMP_NS + round(self.age_s * 1e9)))


def result(*things, pose_xy_yaw=(0.0, 0.0, 0.0)):
    """A result with voxels ((x, y, z), (vx, vy)), its base at a pose in odom."""
    sdf_m, flow_m = torch.ones(GRID.shape), torch.zeros(*GRID.shape, 2)
    for point, velocity_mps in things:
        index, _ = GRID.index_of(torch.tensor(point))
        sdf_m[tuple(index)] = -0.1
        flow_m[tuple(index)] = torch.tensor(velocity_mps) * 0.5
    x_m, y_m, yaw_rad = pose_xy_yaw
    odom_T_base = torch.eye(4, dtype=torch.float64)
    cosine, sine = math.cos(yaw_rad), math.sin(yaw_rad)
    odom_T_base[:2, :2] = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)
    odom_T_base[:3, 3] = torch.tensor([x_m, y_m, 7.0])
    rig = CameraRig(("a",), torch.eye(3)[None], torch.eye(4)[None], torch.tensor([True]))
    frame = Frame(STAMP_NS, torch.zeros(1, 3, 4, 4, dtype=torch.uint8), rig, odom_T_base)
    prediction = OccupancyFlow(STAMP_NS, GRID, sdf_m, flow_m, 0.5, 10.0, 0.1)
    return Result(prediction, frame, "base_link")


@pytest.fixture
def node():
    return Node()


@pytest.fixture
def service(node):
    return TrajectoryService(node, NodeConfig())


def request(frame_id="base_link", stamp_ns=0, **changes):
    """Straight along x at 10 m/s for 3 s; a car from 1 m behind to 3 m ahead of its frame."""
    fields = {
        "header": header_message(stamp_ns, frame_id),
        "time": [0.0, 3.0],
        "x": [0.0, 30.0],
        "y": [0.0, 0.0],
        "yaw": [0.0, 0.0],
        "length": 4.0,
        "width": 2.0,
        "center_x": 1.0,
        "z_min": 0.3,
        "z_max": 1.9,
        "margin": 0.0,
    }
    return CheckTrajectory.Request(**{**fields, **changes})


def ask(service, question):
    return service._answer(question, Response())


WALL = ((20.5, 0.5, 0.5), (0.0, 0.0))
CROSSING = ((20.5, -9.5, 0.5), (0.0, 5.0))


def test_a_free_way_is_clear(service):
    service.update(result())
    answer = ask(service, request())
    assert (answer.status, answer.clear) == (Response.STATUS_CLEAR, True)
    assert math.isnan(answer.time_to_collision) and math.isnan(answer.point.x)
    assert answer.map_stamp == time_message(STAMP_NS)
    assert answer.map_age == pytest.approx(0.25)
    assert "3.000 s" in answer.message


def test_a_contact_is_told_in_full(service):
    # The front is 3 m ahead at 10 m/s: at 17.5 m after 1.75 s, when y is -9.5 + 5·1.75 = -0.75 m.
    service.update(result(CROSSING))
    answer = ask(service, request())
    assert (answer.status, answer.clear) == (Response.STATUS_COLLISION, False)
    assert answer.time_to_collision == pytest.approx(1.75)
    assert (answer.point.x, answer.point.y, answer.point.z) == pytest.approx((20.5, -0.75, 0.5))
    assert (answer.velocity.x, answer.velocity.y, answer.velocity.z) == (0.0, 5.0, 0.0)
    assert answer.probability == pytest.approx(1 / (1 + math.exp(-1.0)))
    assert "1.750 s" in answer.message


def test_poses_in_the_fixed_frame_are_seen_from_the_base(service):
    # The base stands at (5, 1) in odom and looks along odom's y: the same scene, turned.
    service.update(result(CROSSING, pose_xy_yaw=(5.0, 1.0, math.pi / 2)))
    answer = ask(
        service, request("odom", x=[5.0, 5.0], y=[1.0, 31.0], yaw=[math.pi / 2, math.pi / 2])
    )
    assert answer.time_to_collision == pytest.approx(1.75)
    expected = (5.0 + 0.75, 1.0 + 20.5, 7.5)
    assert (answer.point.x, answer.point.y, answer.point.z) == pytest.approx(expected)
    assert (answer.velocity.x, answer.velocity.y) == pytest.approx((-5.0, 0.0))


@pytest.mark.parametrize(
    ("late_s", "time_s"),
    [
        pytest.param(0.2, 1.75, id="met by the front"),
        pytest.param(-0.3, 2.0, id="planned before the result, runs into the side"),
        pytest.param(0.5, None, id="has passed"),
    ],
)
def test_time_counts_from_the_requests_stamp(service, late_s, time_s):
    # What crosses is within 1 m of y 0 from 1.7 s to 2.1 s after the result, and the vehicle is at
    # x 20.5 m from 1.75 s to 2.15 s after the request.
    service.update(result(CROSSING))
    answer = ask(service, request("odom", STAMP_NS + round(late_s * 1e9)))
    assert answer.clear == (time_s is None)
    if time_s is not None:
        assert answer.time_to_collision == pytest.approx(time_s)


def test_nothing_is_checked_without_a_result(service):
    answer = ask(service, request())
    assert (answer.status, answer.clear) == (Response.STATUS_NO_MAP, False)
    assert math.isnan(answer.map_age)


@pytest.mark.parametrize("age_s", [1.5, -1.5])
def test_nothing_is_checked_by_an_old_result_or_one_from_before_a_jump(service, node, age_s):
    service.update(result())
    node.age_s = age_s
    answer = ask(service, request())
    assert (answer.status, answer.clear) == (Response.STATUS_MAP_TOO_OLD, False)
    assert f"{age_s:.3f} s old" in answer.message and "max_map_age_s = 1.0 s" in answer.message
    assert (answer.map_stamp, answer.map_age) == (time_message(STAMP_NS), pytest.approx(age_s))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (Header(frame_id="map"), "expected poses in odom or base_link, got 'map'"),
        (Header(), "got ''"),
        (header_message(STAMP_NS + 1, "base_link"), "base_link has moved"),
    ],
)
def test_a_frame_that_cannot_be_related_is_refused(service, header, said):
    service.update(result())
    answer = ask(service, request(header=header))
    assert (answer.status, answer.clear) == (Response.STATUS_WRONG_FRAME, False)
    assert said in answer.message


def test_the_base_frame_at_the_results_stamp_is_accepted(service):
    service.update(result(WALL))
    assert ask(service, request(stamp_ns=STAMP_NS)).time_to_collision == pytest.approx(1.75)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"yaw": [0.0]}, "as many of each"),
        ({"time": [0.0], "x": [0.0], "y": [0.0], "yaw": [0.0]}, "2 poses"),
        ({"time": [1.0, 0.0]}, "ascending"),
        ({"x": [0.0, math.nan]}, "finite"),
        ({"width": 0.0}, "sizes above 0 m"),
        ({"z_max": 0.1}, "lower height first"),
        ({"margin": -1.0}, "margin"),
        (
            {"header": header_message(STAMP_NS - 4_000_000_000, "odom")},
            "it ends at -1.0 s",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(service, changes, said):
    service.update(result())
    answer = ask(service, request(**changes))
    assert (answer.status, answer.clear) == (Response.STATUS_BAD_REQUEST, False)
    assert said in answer.message


def test_a_result_is_made_into_a_map_when_it_is_asked_about_and_once(service, monkeypatch):
    made = []
    map_of = trajectory_service.map_of
    monkeypatch.setattr(
        trajectory_service, "map_of", lambda voxels: made.append(1) or map_of(voxels)
    )
    first, second = result(WALL), result()
    service.update(first)
    service.update(second)
    assert "voxels" not in vars(first) and "voxels" not in vars(second)
    assert ask(service, request()).clear and ask(service, request()).clear
    assert len(made) == 1 and "voxels" not in vars(first)


def test_results_are_wanted_for_a_while_after_a_request(service, monkeypatch):
    assert not service.wanted
    now_s = 1000.0
    monkeypatch.setattr(trajectory_service.time, "monotonic", lambda: now_s)
    ask(service, request())
    assert service.wanted
    now_s += trajectory_service.WANTED_FOR_S + 0.1
    assert not service.wanted


def test_closing_ends_the_service(service, node):
    assert node.services == ["~/check_trajectory"]
    service.close()
    assert node.services == []


def test_over_dds_a_request_alone_keeps_results_coming(ros, tiny_preset):
    import rclpy

    node = rclpy.create_node("occflow")
    outputs = Outputs(node, config.load(tiny_preset).run)
    client = node.create_client(CheckTrajectory, "/occflow/check_trajectory")
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(node)

    def call():
        future = client.call_async(request())
        executor.spin_until_future_complete(future, timeout_sec=20.0)
        return future.result()

    assert client.wait_for_service(20.0) and not outputs.wanted
    assert call().status == Response.STATUS_NO_MAP
    assert outputs.wanted
    made = result(WALL)
    now_ns = node.get_clock().now().nanoseconds
    outputs.publish(replace(made.prediction, stamp_ns=now_ns), made.frame)
    answer = call()
    assert answer.status == Response.STATUS_COLLISION, answer.message
    assert answer.time_to_collision == pytest.approx(1.75)
    outputs.close()
    executor.shutdown()
    node.destroy_node()
