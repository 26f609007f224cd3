"""A drive as a bag: what a replay sends, each at its stamp; whole or absent."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import yaml
from two_cameras import CAMERAS

from occflow_ros import cli
from occflow_ros.data.drive import SensorFile
from occflow_ros.data.recording import write_recording
from occflow_ros.data.sensors import read_image, write_lidar

pytest.importorskip("rclpy")

from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader

from occflow_ros.ros.convert import convert
from occflow_ros.ros.drive_messages import DriveMessages
from occflow_ros.ros.stamps import stamp_ns
from occflow_ros.ros.timeline import Timeline

SHIFT_NS = 1_000_000_000
POINTS_M = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)


@pytest.fixture
def lidar_drive(drive, tmp_path):
    """The drive with one sweep, 10 ms after the left image of the second set."""
    path = tmp_path / "sweep.npy"
    write_lidar(path, POINTS_M)
    sets = list(drive.sets)
    sweep = SensorFile(path, sets[1].stamp_ns + 10_000_000, sets[1].odom_T_base)
    sets[1] = replace(sets[1], lidar=sweep)
    return replace(drive, sets=tuple(sets), base_T_lidar=np.eye(4))


def convert_quietly(drive, out, transport="compressed", lidar=True, overwrite=False):
    return convert(drive, out, transport, lidar, overwrite, lambda events, total: events)


def in_bag(folder):
    """Topic, time and bytes of each message, in the order of the file."""
    with Reader(folder) as reader:
        return [
            (connection.topic, time_ns, data) for connection, time_ns, data in reader.messages()
        ]


def decoded(folder):
    """Topic and message by time, decoded from the bag's own definitions."""
    with AnyReader([folder]) as reader:
        return [(c.topic, t, reader.deserialize(d, c.msgtype)) for c, t, d in reader.messages()]


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_the_bag_holds_what_a_replay_sends_each_at_its_stamp(lidar_drive, tmp_path, transport):
    made = convert_quietly(lidar_drive, tmp_path / "bag", transport)
    timeline = Timeline(lidar_drive, lidar=True)
    replay = DriveMessages(lidar_drive, transport, lidar=True)
    sent = [("/tf_static", SHIFT_NS, replay.static())]
    for event in timeline:
        time_ns = event.stamp_ns + SHIFT_NS
        sent += [(f"/{t.lstrip('/')}", time_ns, m) for t, m in replay.of(event, time_ns)]
    written = in_bag(tmp_path / "bag")
    assert [(topic, time_ns) for topic, time_ns, _ in written] == [item[:2] for item in sent]
    for (_, _, data), (_, _, message) in zip(written, sent):
        assert deserialize_message(bytes(data), type(message)) == message
    assert (made.messages, made.shift_ns) == (len(sent), SHIFT_NS)
    assert made.duration_s == pytest.approx(1.23)


def test_order_stamps_and_content_are_those_of_the_drive(lidar_drive, tmp_path):
    convert_quietly(lidar_drive, tmp_path / "bag")
    messages = decoded(tmp_path / "bag")
    assert all(earlier[1] <= later[1] for earlier, later in pairwise(messages))
    assert [topic for topic, time_ns, _ in messages if time_ns - SHIFT_NS == 400_000_000] == [
        "/tf",
        "/left/camera_info",
        "/left/image_raw/compressed",
    ]
    for _, time_ns, message in messages[1:]:
        header = message.transforms[0].header if hasattr(message, "transforms") else message.header
        assert stamp_ns(header) == time_ns
    images = [m for topic, _, m in messages if topic == "/right/image_raw/compressed"]
    files = [camera_set.images["right"] for camera_set in lidar_drive.sets]
    assert [m.data.tobytes() for m in images] == [file.path.read_bytes() for file in files]
    assert [stamp_ns(m.header) - SHIFT_NS for m in images] == [file.stamp_ns for file in files]
    poses = [m.transforms[0] for topic, _, m in messages if topic == "/tf"]
    assert [pose.transform.translation.x for pose in poses] == pytest.approx(
        [0, 0.03, 0.4, 0.4, 0.43, 0.8, 0.83, 1.2, 1.23]
    )
    ((time_ns, cloud),) = [(t, m) for topic, t, m in messages if topic == "/lidar/points"]
    assert time_ns == SHIFT_NS + 410_000_000
    np.testing.assert_array_equal(cloud.data.view("<f4").reshape(-1, 3), POINTS_M)
    mounts = [t.child_frame_id for t in messages[0][2].transforms]
    assert mounts == ["left_optical_frame", "right_optical_frame", "lidar"]


def test_raw_images_are_the_pixels_of_the_files(drive, tmp_path):
    convert_quietly(drive, tmp_path / "bag", "raw")
    images = [m for topic, _, m in decoded(tmp_path / "bag") if topic == "/left/image_raw"]
    for image, camera_set in zip(images, drive.sets, strict=True):
        pixels = read_image(camera_set.images["left"].path)
        assert (image.encoding, image.step) == ("rgb8", 360)
        np.testing.assert_array_equal(image.data.reshape(80, 120, 3), pixels)


def test_metadata_says_what_a_player_needs(lidar_drive, tmp_path):
    convert_quietly(lidar_drive, tmp_path / "drive_1")
    text = (tmp_path / "drive_1" / "metadata.yaml").read_text()
    metadata = yaml.safe_load(text)["rosbag2_bagfile_information"]
    assert metadata["storage_identifier"] == "mcap"
    assert metadata["relative_file_paths"] == ["drive_1.mcap"]
    assert {path.name for path in (tmp_path / "drive_1").iterdir()} == {
        "drive_1.mcap",
        "metadata.yaml",
    }
    assert metadata["starting_time"]["nanoseconds_since_epoch"] == SHIFT_NS
    assert metadata["duration"]["nanoseconds"] == 1_230_000_000
    counts = {
        item["topic_metadata"]["name"]: item["message_count"]
        for item in metadata["topics_with_message_count"]
    }
    assert counts == {
        "/tf_static": 1,
        "/tf": 9,
        "/lidar/points": 1,
        **{f"/{name}/camera_info": 4 for name in CAMERAS},
        **{f"/{name}/image_raw/compressed": 4 for name in CAMERAS},
    }
    with Reader(tmp_path / "drive_1") as reader:
        offered = {c.topic: c.ext.offered_qos_profiles for c in reader.connections}
    assert all(len(profiles) == 1 for profiles in offered.values())
    latched = [
        t for t, (qos,) in offered.items() if qos.durability == QosDurability.TRANSIENT_LOCAL
    ]
    assert latched == ["/tf_static"]
    assert {qos.reliability for (qos,) in offered.values()} == {QosReliability.RELIABLE}


def test_a_drive_with_stamps_of_its_own_keeps_them(drive, tmp_path):
    def late(item):
        return replace(item, stamp_ns=item.stamp_ns + 10**18)

    sets = [
        replace(late(one), images={name: late(image) for name, image in one.images.items()})
        for one in drive.sets
    ]
    made = convert_quietly(replace(drive, sets=tuple(sets)), tmp_path / "bag")
    assert made.shift_ns == 0
    assert in_bag(tmp_path / "bag")[0][1] == 10**18


def test_sweeps_can_be_left_out(lidar_drive, tmp_path):
    convert_quietly(lidar_drive, tmp_path / "bag", lidar=False)
    topics = {topic for topic, _, _ in in_bag(tmp_path / "bag")}
    assert "/lidar/points" not in topics
    assert "/tf" in topics


def test_a_bag_that_fails_on_the_way_leaves_nothing(drive, tmp_path, capsys):
    write_recording(tmp_path / "drive", drive)
    arguments = ["convert", "--source", str(tmp_path / "drive"), "--transport", "raw"]
    (*_, last) = sorted((tmp_path / "drive").rglob("*.jpg"))
    last.write_bytes(last.read_bytes()[:100])
    out = tmp_path / "out" / "bag"
    assert cli.main([*arguments, "--out", str(out)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert last.name in error
    assert list(out.parent.iterdir()) == []


def test_ctrl_c_leaves_the_bag_that_was_there(drive, tmp_path):
    def interrupt(events, total):
        yield next(iter(events))
        raise KeyboardInterrupt

    out = tmp_path / "out" / "bag"
    convert_quietly(drive, out)
    before = in_bag(out)
    with pytest.raises(KeyboardInterrupt):
        convert(drive, out, "compressed", True, True, interrupt)
    assert in_bag(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["bag"]


def test_the_command_converts_any_drive_and_says_so(drive, tmp_path, capsys):
    write_recording(tmp_path / "drive", drive)
    arguments = ["convert", "--source", str(tmp_path / "drive"), "--out", str(tmp_path / "bag")]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert "stamps are shifted by 1000000000 ns" in said
    assert "25 messages of 1.2 s" in said
    assert cli.main(arguments) == 1
    assert "folder is not empty; give --overwrite" in capsys.readouterr().err
    assert cli.main([*arguments, "--overwrite"]) == 0
    assert len(in_bag(tmp_path / "bag")) == 25
