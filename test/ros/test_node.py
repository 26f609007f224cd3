"""The node over DDS: what it publishes, and that every set that cannot be used says why."""

import array
import threading

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from occflow_ros.msg import OccupancyFlow
from tiny_network import HW_PX
from two_cameras import CAMERAS

from occflow_ros.ros import conversions, process
from occflow_ros.ros.node import OccflowNode
from occflow_ros.ros.stamps import header_message

STAMP_NS = 5_000_000_000


@pytest.fixture
def node(ros):
    """A node that runs in threads of this process."""
    made = OccflowNode()
    made.start()
    with process.spinning(made, threading.Event()):
        yield made


@pytest.fixture
def results(vehicle):
    """What arrives on ~/occupancy_flow."""
    received = []
    vehicle.node.create_subscription(OccupancyFlow, "/occflow/occupancy_flow", received.append, 10)
    return received


@pytest.fixture
def ready(node, results, vehicle):
    """A vehicle whose node has what it needs but images."""
    vehicle.wait_for_node()
    topic = "/occflow/occupancy_flow"
    vehicle.wait_until(lambda: vehicle.node.count_publishers(topic), topic)
    vehicle.wait_until(lambda: node._outputs.wanted, "the node to see its subscriber")
    vehicle.send_mounts()
    vehicle.send_pose(STAMP_NS)
    vehicle.send_infos(STAMP_NS)
    vehicle.wait_until(lambda: all(infos_of(node)), "the CameraInfo")
    return vehicle


def infos_of(node):
    return [node._session.cameras.infos.get(name, deadline_s=0.0) for name in CAMERAS]


def assert_dropped(outcome, reason, *mentions):
    status, values = outcome
    assert status.level == DiagnosticStatus.WARN
    assert (values["outcome"], values["reason"]) == ("dropped", reason)
    for mention in mentions:
        assert mention in status.message


def test_a_set_becomes_a_message_with_its_stamp_and_frame(ready, results):
    ready.send_images(STAMP_NS)
    status, values = ready.outcome_of(STAMP_NS)
    assert (values["outcome"], values["cameras"]) == ("processed", "2")
    assert status.name == "/occflow: frame"
    stages = {"receive", "wait", "tf", "decode", "assemble", "lift", "publish", "total"}
    assert {f"{stage}_ms" for stage in stages} <= set(values)
    ready.wait_until(lambda: results, "the result")
    (message,) = results
    assert (message.header.stamp.sec, message.header.frame_id) == (5, "base_link")
    assert message.shape.tolist() == [16, 12, 4]


def test_only_what_has_a_subscriber_is_built(ready, results, monkeypatch):
    built = []
    monkeypatch.setattr(conversions, "points_message", built.append)
    ready.send_images(STAMP_NS)
    ready.wait_until(lambda: results, "the result")
    assert not built


def test_without_any_subscriber_nothing_is_computed(node, vehicle):
    vehicle.wait_for_node()
    vehicle.send_images(STAMP_NS)
    status, values = vehicle.outcome_of(STAMP_NS)
    assert (values["outcome"], values["reason"]) == ("dropped", "no_subscribers")
    assert status.level == DiagnosticStatus.OK


def test_a_pose_that_does_not_come_is_named(ready):
    ready.send_images(STAMP_NS + 900_000_000)
    outcome = ready.outcome_of(STAMP_NS + 900_000_000)
    assert_dropped(
        outcome, "pose_late", "odom <- base_link at 5.900000000 s", "newest is at 5.000000000 s"
    )


def test_a_pose_that_comes_within_the_wait_is_used(ready):
    late_ns = STAMP_NS + 900_000_000
    ready.send_images(late_ns)
    ready.send_pose(late_ns)
    assert ready.outcome_of(late_ns)[1]["outcome"] == "processed"


def test_a_pose_that_is_not_a_number_is_never_used(ready):
    ready.send_pose(STAMP_NS + 1, x_m=float("nan"))
    ready.send_images(STAMP_NS + 1)
    assert_dropped(ready.outcome_of(STAMP_NS + 1), "invalid_pose", "odom <- base_link", "finite")


def test_a_camera_that_is_not_mounted_is_named(ready):
    ready.send_images(STAMP_NS, header=header_message(STAMP_NS, "attic_optical_frame"))
    outcome = ready.outcome_of(STAMP_NS)
    assert_dropped(outcome, "no_transform", "base_link <- attic_optical_frame")


def test_no_camera_info_is_named(node, results, vehicle):
    vehicle.wait_for_node()
    vehicle.wait_until(lambda: node._outputs.wanted, "the node to see its subscriber")
    vehicle.send_mounts()
    vehicle.send_pose(STAMP_NS)
    vehicle.send_images(STAMP_NS)
    assert_dropped(vehicle.outcome_of(STAMP_NS), "no_camera_info", "/left/camera_info")


@pytest.mark.parametrize(
    ("changes", "mention"),
    [
        ({"k": np.zeros(9)}, "calibrated"),
        ({"distortion_model": "thin_prism"}, "thin_prism"),
        ({"d": array.array("d", [0.1, 0.2])}, "coefficients"),
        ({"binning_x": 2}, "binning"),
    ],
)
def test_a_calibration_that_cannot_be_used_is_named(ready, node, changes, mention):
    ready.send_infos(STAMP_NS + 1, **changes)
    ready.wait_until(
        lambda: all(info.header.stamp.nanosec == 1 for info in infos_of(node)),
        "CameraInfo",
    )
    ready.send_images(STAMP_NS)
    assert_dropped(ready.outcome_of(STAMP_NS), "bad_camera_info", "/left/camera_info", mention)


@pytest.mark.parametrize(
    ("changes", "mention"),
    [
        ({"encoding": "hologram8"}, "hologram8"),
        ({"encoding": "32FC1"}, "32FC1"),
        ({"height": 100}, "120x100"),
        ({"height": 40}, "expected 120x80 px"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(ready, changes, mention):
    ready.send_images(STAMP_NS, **changes)
    assert_dropped(ready.outcome_of(STAMP_NS), "bad_image", "/right/image_raw", mention)


def test_a_camera_info_that_comes_just_after_the_images_is_used(node, results, vehicle):
    vehicle.wait_for_node()
    vehicle.wait_until(lambda: node._outputs.wanted, "the node to see its subscriber")
    vehicle.send_mounts()
    vehicle.send_pose(STAMP_NS)
    vehicle.send_images(STAMP_NS)
    vehicle.send_infos(STAMP_NS)
    assert vehicle.outcome_of(STAMP_NS)[1]["outcome"] == "processed"


def test_an_image_without_a_stamp_is_refused(ready):
    ready.send_images(0)
    assert_dropped(ready.outcome_of(0), "bad_image", "expected a stamp")


def test_the_node_recovers_and_counts_every_set(ready):
    ready.send_images(STAMP_NS, encoding="hologram8")
    ready.outcome_of(STAMP_NS)
    ready.send_pose(STAMP_NS + 10)
    ready.send_images(STAMP_NS + 10)
    assert ready.outcome_of(STAMP_NS + 10)[1]["outcome"] == "processed"
    ready.wait_until(lambda: ready.summary.get("processed") == "1", "the summary")
    assert (ready.summary["dropped"], ready.summary["dropped.bad_image"]) == ("1", "1")
    assert ready.summary["images.left.received"] == ready.summary["images.left.used"] == "2"
    assert ready.summary["sets.too_few_cameras"] == ready.summary["time_jumps"] == "0"
    assert ready.summary["weights"].startswith("untrained")


def test_time_that_goes_back_does_not_stall_the_node(ready):
    lonely = 10  # as many as the synchroniser keeps of a camera whose partner is silent
    for number in range(lonely):
        ready.send_images(STAMP_NS + 10**9 * (1 + number), names=("left",))
    ready.wait_until(
        lambda: ready.summary.get("images.left.received") == str(lonely), "the lonely images"
    )
    ready.send_images(STAMP_NS)
    assert ready.outcome_of(STAMP_NS)[1]["outcome"] == "processed"


def resets_of(ready, *stamps_ns_and_places_m):
    """What the outcomes say of the history, set by set."""
    for stamp_ns, x_m in stamps_ns_and_places_m:
        ready.outcomes.pop(stamp_ns, None)
        ready.send_pose(stamp_ns, x_m)
        ready.send_images(stamp_ns)
        assert ready.outcome_of(stamp_ns)[1]["outcome"] == "processed"
        yield ready.outcomes[stamp_ns][1]["reset"]


def test_time_that_goes_back_is_one_visible_reset(ready):
    times_ns = [STAMP_NS + second * 10**9 for second in (7, 8, 0, 1)]
    first, second, back, after = resets_of(ready, *[(stamp_ns, 0.0) for stamp_ns in times_ns])
    assert not (first or second or after)
    assert back == "time went back by 8.000 s"


def test_a_jump_of_the_pose_is_one_visible_reset(ready):
    places_m = (0.0, 1.0, 500.0, 501.0)
    times_ns = [STAMP_NS + index * 10**9 for index in range(4)]
    first, second, jump, after = resets_of(ready, *zip(times_ns, places_m))
    assert not (first or second or after)
    assert jump == "jump of 499.00 m, longer than 25 m"


def test_a_gap_is_a_visible_reset(ready):
    later_ns = STAMP_NS + 60_000_000_000
    for stamp_ns in (STAMP_NS, later_ns):
        ready.send_pose(stamp_ns)
        ready.send_images(stamp_ns)
        ready.outcome_of(stamp_ns)
    assert "60" in ready.outcomes[later_ns][1]["reset"]


def test_the_images_reach_the_network_as_they_were_sent(ready, node, monkeypatch):
    frames = []
    step = node._stream.step
    monkeypatch.setattr(node._stream, "step", lambda f: frames.append(f) or step(f))
    ready.send_images(STAMP_NS)
    ready.outcome_of(STAMP_NS)
    assert frames[0].rig.names == ("left", "right")
    assert torch.equal(frames[0].images, torch.full((2, 3, *HW_PX), 90, dtype=torch.uint8))
    assert frames[0].rig.base_T_camera[:, 1, 3].tolist() == [0.5, -0.5]
