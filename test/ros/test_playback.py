"""The node gives the same results from a replay, from its recording, and from a converted bag."""

import json
import threading
import time
from contextlib import contextmanager
from itertools import count

import pytest
import torch

pytest.importorskip("rclpy")

import rclpy
from bag_player import BagPlayer
from diagnostic_msgs.msg import DiagnosticArray
from occflow_ros.msg import OccupancyFlow
from rclpy.signals import SignalHandlerOptions

from occflow_ros import config
from occflow_ros.data.recording import write_recording
from occflow_ros.engine.checkpoint import save
from occflow_ros.models.build import build_network
from occflow_ros.ros import process
from occflow_ros.ros.convert import convert
from occflow_ros.ros.node import OccflowNode
from occflow_ros.ros.recorder import Recorder
from occflow_ros.ros.replay import Replay
from occflow_ros.ros.stamps import stamp_ns

TIMEOUT_S = 30.0
RATE = 4.0
STAMPS_NS = [1_000_000_000 + index * 400_000_000 for index in range(4)]


@pytest.fixture
def weights(tiny_preset, tmp_path):
    """Of fields that depend on the input, as after training."""
    resolved = config.load(tiny_preset)
    network = build_network(resolved.model)
    with torch.no_grad():
        for last in (network.heads.sdf[-1], network.heads.flow[-1]):
            last.weight.mul_(1e3)
    save(tmp_path / "weights.safetensors", network, resolved)
    return tmp_path / "weights.safetensors"


@pytest.fixture
def ros(tiny_preset, weights, drive, tmp_path):
    """rclpy with the parameters of node, replay and recorder."""
    write_recording(tmp_path / "drive", drive)
    parameters = {
        "occflow:use_sim_time": True,
        "occflow:preset": str(tiny_preset),
        "occflow:weights": str(weights),
        "occflow:node.cameras.names": ["left", "right"],
        "occflow:node.cameras.compressed": True,
        "occflow:node.cameras.reliable": True,
        "occflow:node.pose.wait_s": 5.0,
        "replay:source": str(tmp_path / "drive"),
        "replay:transport": "compressed",
        "replay:rate": RATE,
        "replay:wait_for_nodes": ["occflow", "recorder"],
        "recorder:output": str(tmp_path / "recorded"),
    }
    arguments = [f"{name}:={json.dumps(value)}" for name, value in parameters.items()]
    rclpy.init(
        args=["test", "--ros-args", *(part for item in arguments for part in ("-p", item))],
        signal_handler_options=SignalHandlerOptions.NO,
    )
    yield
    rclpy.try_shutdown()


class Listener:
    """Collects results, and what became of each set."""

    def __init__(self):
        self.node = rclpy.create_node("listener")
        self.flows, self.outcomes = {}, {}
        self.node.create_subscription(OccupancyFlow, "/occflow/occupancy_flow", self._on_flow, 10)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)

    def _on_flow(self, message):
        self.flows[stamp_ns(message.header)] = message

    def _on_diagnostics(self, message):
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            if status.name.endswith(": frame"):
                self.outcomes[int(values["stamp_ns"])] = values["reason"]

    def wait_for_outcomes(self, number):
        self.wait_for(lambda: len(self.outcomes) >= number, f"{number} outcomes")

    def wait_for(self, condition, what):
        deadline_s = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline_s, f"waited for {what}; outcomes {self.outcomes}"
            time.sleep(0.02)


@contextmanager
def spinning(node):
    with process.spinning(node, threading.Event()):
        yield


def flows_from(play):
    """What a fresh node publishes while `play` runs."""
    node, listener = OccflowNode(), Listener()
    node.start()
    with spinning(node), spinning(listener.node):
        topic = "/occflow/occupancy_flow"
        listener.wait_for(lambda: node.count_subscribers(topic), "the node to see its listener")
        listener.wait_for(lambda: listener.node.count_publishers(topic), topic)
        play(listener)
        listener.wait_for_outcomes(len(STAMPS_NS))
        assert listener.outcomes == dict.fromkeys(STAMPS_NS, "")
        listener.wait_for(lambda: len(listener.flows) == len(STAMPS_NS), "the results")
    return [listener.flows[stamp] for stamp in STAMPS_NS]


class PausingReplay(Replay):
    """Waits with the next set until the node is done, so that a busy machine drops none."""

    def __init__(self, listener):
        super().__init__()
        self._listener = listener

    def _send(self, event, stamp_ns):
        if event.camera == "left":
            self._listener.wait_for_outcomes(event.set_index)
        super()._send(event, stamp_ns)


def replay_and_record(listener):
    recorder = Recorder()
    try:
        with spinning(recorder):
            replay = PausingReplay(listener)
            with spinning(replay):
                replay.play(threading.Event())
                time.sleep(0.2)  # the last messages are still on their way to the recorder
    finally:
        recorder.close()


def play_bag(listener, folder, clock):
    sets = count()

    def pause(topic):
        if topic == "/left/image_raw/compressed":
            listener.wait_for_outcomes(next(sets))

    player = BagPlayer(folder, clock)
    player.play(RATE, pause)
    player.close()


def test_replay_recording_and_converted_bag_drive_the_node_alike(ros, drive, tmp_path):
    convert(drive, tmp_path / "made", "compressed", True, False, lambda events, total: events)
    replayed = flows_from(replay_and_record)
    recorded = flows_from(lambda listener: play_bag(listener, tmp_path / "recorded", clock=False))
    converted = flows_from(lambda listener: play_bag(listener, tmp_path / "made", clock=True))
    assert recorded == replayed
    assert converted == replayed
    assert len({contents(flow) for flow in replayed}) == len(replayed), "the images have a say"


def contents(flow):
    arrays = (flow.index, flow.probability, flow.velocity_x, flow.velocity_y)
    return b"".join(array.tobytes() for array in arrays)
