"""Replay, node and recorder as processes over DDS, and how each ends."""

import json
import signal
import time

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy")

from executables import TIMEOUT_S, end, wait_for_text
from mcap.exceptions import EndOfFile
from mcap.reader import NonSeekingReader
from rosbags.highlevel import AnyReader

from occflow_ros import config
from occflow_ros.data.recording import write_recording
from occflow_ros.data.sensors import load_frame
from occflow_ros.engine.checkpoint import save
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.models.build import build_network


def read_bag(path):
    """Decoded messages by topic, from the bag alone."""
    messages = {}
    with AnyReader([path]) as reader:
        for connection, _, data in reader.messages():
            decoded = reader.deserialize(data, connection.msgtype)
            messages.setdefault(connection.topic, []).append(decoded)
    return messages


def outcomes_in(messages):
    """Values of the node's `frame` statuses."""
    statuses = [status for array in messages["/diagnostics"] for status in array.status]
    return [
        {item.key: item.value for item in status.values}
        for status in statuses
        if status.name.endswith(": frame")
    ]


def stamp_ns(message):
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def play(start, drive, tmp_path, transport="compressed", **node_parameters):
    """Sends the drive through node and recorder; the replay's summary and the bag's messages."""
    write_recording(tmp_path / "drive", drive)
    node = start(
        "node",
        node__cameras__names=["left", "right"],
        node__cameras__compressed=transport == "compressed",
        node__cameras__reliable=True,
        node__pose__wait_s=2.0,
        **node_parameters,
    )
    recorder = start("recorder", output=str(tmp_path / "bag"))
    wait_for_text(node, "waiting for images")
    wait_for_text(recorder, "recording /occflow/costmap")
    wait_for_text(recorder, "recording /occflow/occupancy_flow")
    replay = start(
        "replay",
        source=str(tmp_path / "drive"),
        transport=transport,
        wait_for_nodes=["occflow", "recorder"],
        summary=str(tmp_path / "sent.json"),
    )
    assert replay.wait(TIMEOUT_S) == 0, replay.text()
    time.sleep(1.0)  # the last step
    end(node, signal.SIGTERM)
    end(recorder)
    return json.loads((tmp_path / "sent.json").read_text()), read_bag(tmp_path / "bag")


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_every_set_that_is_sent_is_accounted_for(start, drive, tmp_path, tiny_preset, transport):
    sent, messages = play(start, drive, tmp_path, transport, preset=str(tiny_preset))
    assert sent["complete"]
    assert [(item["index"], item["images"]) for item in sent["sets"]] == [(i, 2) for i in range(4)]
    stamps = [item["stamp_ns"] for item in sent["sets"]]
    assert stamps == [1_000_000_000 + index * 400_000_000 for index in range(4)]

    outcomes = {int(values["stamp_ns"]): values["reason"] for values in outcomes_in(messages)}
    assert sorted(outcomes) == stamps
    assert set(outcomes.values()) <= {"", "overload"}, "a busy machine may be too slow"
    flows = messages["/occflow/occupancy_flow"]
    assert [stamp_ns(flow) for flow in flows] == [s for s in stamps if not outcomes[s]]
    assert flows
    assert all(len(flow.index) == len(flow.velocity_x) for flow in flows)
    poses = [transform for message in messages["/tf"] for transform in message.transforms]
    assert [pose.transform.translation.x for pose in poses] == pytest.approx(
        [(stamp_ns(pose) - 1_000_000_000) * 1e-9 for pose in poses]
    )
    assert len(messages["/tf_static"][0].transforms) == 2
    if transport == "compressed":
        image = messages["/left/image_raw/compressed"][0]
        assert image.data.tobytes() == drive.sets[0].images["left"].path.read_bytes()
    else:
        assert "/left/image_raw" not in messages, "raw images only where they are named"


def test_the_node_gives_the_voxels_of_the_offline_stream(start, drive, tmp_path, tiny_preset):
    resolved = config.load(tiny_preset)
    network = build_network(resolved.model)
    with torch.no_grad():  # fields that depend on the input, as after training
        for last in (network.heads.sdf[-1], network.heads.flow[-1]):
            last.weight.mul_(1e3)
    save(tmp_path / "weights.safetensors", network, resolved)
    sent, messages = play(
        start,
        drive,
        tmp_path,
        preset=str(tiny_preset),
        weights=str(tmp_path / "weights.safetensors"),
    )
    flows = {
        stamp_ns(flow) - sent["shift_ns"]: flow for flow in messages["/occflow/occupancy_flow"]
    }
    stream = OccupancyStream(network, resolved)
    processed = [camera_set for camera_set in drive.sets if camera_set.stamp_ns in flows]
    assert len(processed) >= 2, "a busy machine may be too slow for some, not for most"
    for camera_set in processed:
        frame = load_frame(drive, camera_set, resolved.model.image_hw_px, "left")
        voxels, flow = stream.step(frame).sparse(), flows[camera_set.stamp_ns]
        assert 0 < len(voxels.index) < resolved.model.grid.voxels.num_voxels
        assert np.array_equal(flow.index, voxels.index)
        velocity_mps = np.stack((flow.velocity_x, flow.velocity_y), axis=-1) * 0.01
        assert velocity_mps == pytest.approx(voxels.velocity_mps.numpy(), abs=0.0051)
        assert flow.probability / 255 == pytest.approx(voxels.probability.numpy(), abs=0.002)
        assert np.ptp(velocity_mps) > 1.0


def test_a_loop_goes_on_with_later_stamps_until_ctrl_c(start, drive, tmp_path):
    write_recording(tmp_path / "drive", drive)
    replay = start(
        "replay",
        source=str(tmp_path / "drive"),
        loop=True,
        rate=20.0,
        wait_for_subscribers_s=0.0,
        summary=str(tmp_path / "sent.json"),
    )
    wait_for_text(replay, "playing")
    time.sleep(0.6)
    end(replay)
    sent = json.loads((tmp_path / "sent.json").read_text())
    stamps = [item["stamp_ns"] for item in sent["sets"]]
    assert sent["complete"] is False
    assert max(item["round"] for item in sent["sets"]) >= 1
    assert stamps == sorted(set(stamps))


def test_ctrl_c_leaves_a_readable_bag(start, drive, tmp_path):
    write_recording(tmp_path / "drive", drive)
    recorder = start("recorder", output=str(tmp_path / "bag"), topics=["/clock", "/left/*"])
    replay = start("replay", source=str(tmp_path / "drive"), loop=True, wait_for_subscribers_s=0.0)
    wait_for_text(recorder, "recording /left/camera_info")
    time.sleep(0.5)
    end(recorder)
    end(replay)
    messages = read_bag(tmp_path / "bag")
    assert set(messages) == {"/clock", "/left/camera_info"}
    np.testing.assert_allclose(messages["/left/camera_info"][0].k[[0, 2]], [60.0, 59.5])


def test_what_was_written_before_a_kill_can_be_recovered(start, drive, tmp_path):
    write_recording(tmp_path / "drive", drive)
    recorder = start("recorder", output=str(tmp_path / "bag"), topics=["*", "/left/image_raw"])
    start("replay", source=str(tmp_path / "drive"), loop=True, rate=40.0, wait_for_subscribers_s=0)
    wait_for_text(recorder, "recording /left/image_raw")
    path = tmp_path / "bag" / "bag.mcap"
    deadline_s = time.monotonic() + TIMEOUT_S
    while path.stat().st_size < 3_000_000:
        assert time.monotonic() < deadline_s, "the bag does not grow"
        time.sleep(0.05)
    recorder.kill()
    recorder.wait()
    topics = set()
    with path.open("rb") as stream, pytest.raises(EndOfFile):
        for _, channel, _ in NonSeekingReader(stream).iter_messages(log_time_order=False):
            topics.add(channel.topic)
    assert "/left/image_raw" in topics


def test_a_bag_without_any_message_is_readable(start, tmp_path):
    recorder = start("recorder", output=str(tmp_path / "bag"), topics=["/nothing"])
    wait_for_text(recorder, "recording /nothing into")
    end(recorder)
    assert read_bag(tmp_path / "bag") == {}
