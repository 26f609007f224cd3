"""The node with a semantic network: classes on every topic, and checkpoints it cannot take."""

import hashlib
import threading

import numpy as np
import pytest

pytest.importorskip("rclpy")

from occflow_ros.msg import ClassLegend, OccupancyFlow
from sensor_msgs.msg import PointCloud2
from sensor_msgs_py import point_cloud2
from tiny_mono import tiny_mono_config

from occflow_ros.config import load
from occflow_ros.engine import checkpoint
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.models.build import build_mono_network, build_network
from occflow_ros.mono_config import ClassesConfig, MonoConfig
from occflow_ros.ros import class_legend, process
from occflow_ros.ros.node import OccflowNode

STAMP_NS = 5_000_000_000
FOREIGN = ("lava", "nothing", "castle", "dragon")


@pytest.fixture
def semantics(tmp_path):
    """A checkpoint with classes that no data set has."""
    path = tmp_path / "fables.safetensors"
    model = tiny_mono_config(classes=ClassesConfig(names=FOREIGN, empty="nothing"))
    checkpoint.save(path, build_mono_network(model), MonoConfig(model=model))
    return path


@pytest.fixture
def node_with(ros_with):
    """A node with these parameters that has not been configured."""
    return lambda **parameters: (ros_with(**parameters), OccflowNode())[1]


def send_set(vehicle, stamp_ns):
    vehicle.send_mounts()
    vehicle.send_pose(stamp_ns)
    vehicle.send_infos(stamp_ns)
    vehicle.send_images(stamp_ns)


def test_the_classes_of_the_checkpoint_are_on_every_topic(node_with, vehicle_of, semantics):
    node = node_with(semantics="mono", semantics_weights=semantics)
    vehicle = vehicle_of()
    flows, clouds, legends = [], [], []
    for kind, topic, received, qos in (
        (OccupancyFlow, "/occflow/occupancy_flow", flows, 10),
        (PointCloud2, "/occflow/occupancy/points", clouds, 10),
        (ClassLegend, "/occflow/classes", legends, class_legend.QOS),
    ):
        vehicle.node.create_subscription(kind, topic, received.append, qos)
    node.start()
    with process.spinning(node, threading.Event()):
        vehicle.wait_for_node()
        publishers = [publisher for publisher, _ in node._outputs._topics.values()]
        vehicle.wait_until(
            lambda: sum(p.get_subscription_count() for p in publishers) == 2, "the subscribers"
        )
        send_set(vehicle, STAMP_NS)
        _, values = vehicle.outcome_of(STAMP_NS)
        vehicle.wait_until(lambda: flows and clouds and legends, "the results")
        vehicle.wait_until(lambda: vehicle.summary.get("processed") == "1", "the summary")
    assert {"lift_ms", "depth_ms", "semantics_ms", "total_ms"} <= values.keys()
    assert legends[0].name == list(FOREIGN)
    class_id = np.array(flows[0].class_id)
    assert len(class_id) == len(flows[0].index) > 0
    assert set(class_id.tolist()) <= {0, 2, 3}, "what is occupied is not of the empty class"
    points = point_cloud2.read_points(clouds[0])
    np.testing.assert_array_equal(points["class"], class_id)
    digest = hashlib.sha256(semantics.read_bytes()).hexdigest()
    assert vehicle.summary["semantics"] == "mono"
    assert vehicle.summary["semantics_weights"] == str(semantics)
    assert digest.startswith(vehicle.summary["semantics_weights_sha256"])
    assert len(vehicle.summary["semantics_weights_sha256"]) == 12


def test_without_semantics_there_is_no_legend(node_with):
    node = node_with()
    with process.spinning(node, threading.Event()):
        node.trigger_configure()
        topics = {publisher.topic_name for publisher in node.publishers}
    assert "/occflow/occupancy_flow" in topics
    assert "/occflow/classes" not in topics


def test_another_kind_of_semantics_is_refused(node_with):
    with pytest.raises(ConfigError, match="semantics: .*'none' or 'mono'.*got 'stereo'"):
        node_with(semantics="stereo")


@pytest.mark.parametrize(
    ("what", "mention"),
    [
        ("missing", "nowhere.safetensors: expected a safetensors checkpoint"),
        ("other", "expected weights of MonoOcc, got those of OccFlow"),
        ("none", r"semantics_weights: expected a checkpoint of MonoOcc, as none comes .* the grid"),
    ],
)
def test_a_checkpoint_that_it_cannot_take_fails_the_way_to_inactive(
    node_with, tiny_preset, tmp_path, what, mention
):
    paths = {"missing": tmp_path / "nowhere.safetensors", "other": tmp_path / "occflow.safetensors"}
    tiny = load(tiny_preset)
    checkpoint.save(paths["other"], build_network(tiny.model), tiny)
    given = {"semantics_weights": paths[what]} if what in paths else {}
    node = node_with(semantics="mono", **given)
    with process.spinning(node, threading.Event()), pytest.raises(DataError, match=mention):
        node.start()
    assert node.state == "unconfigured"
