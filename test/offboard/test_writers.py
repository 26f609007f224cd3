"""What is refined comes back in the format it came in, whole or not at all."""

import errno
import os

import hand_made_bags as made
import labelled_drives
import numpy as np
import pytest
from hand_made_bags import hand_made, stamp, voxels, write_whole
from labelled_drives import truth, write_drive, write_kitti, write_kitti_predictions
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Writer

from occflow_ros import cli
from occflow_ros.errors import DataError, OutputError
from occflow_ros.offboard import bag_writer
from occflow_ros.offboard.bag_writer import write_bag
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.importer import import_recording
from occflow_ros.offboard.readers import open_recordings
from occflow_ros.offboard.recording import RecordedFrame
from occflow_ros.offboard.writers import write_like
from occflow_ros.viewer.recorded_run import read_run


def imported(path, folder, *data):
    (recording,) = open_recordings(path, data)
    return import_recording(recording, folder).store


def assert_equal(found, expected):
    """The same recording, velocities to half a unit of a message."""
    assert found.info.vocabulary == expected.info.vocabulary
    assert found.info.frame_names == expected.info.frame_names
    assert found.info.grid == expected.info.grid
    np.testing.assert_allclose(found.info.world_T_base, expected.info.world_T_base, atol=1e-9)
    assert [one.name for one in found.info.cameras] == [one.name for one in expected.info.cameras]
    places = range(len(expected.info))
    for one, other in zip(found.frames(places), expected.frames(places), strict=True):
        np.testing.assert_array_equal(one.class_id, other.class_id)
        assert (one.velocity_mps is None) == (other.velocity_mps is None)
        if one.velocity_mps is not None:
            np.testing.assert_allclose(one.velocity_mps, other.velocity_mps, atol=0.0051)


def messages(path, *topics):
    with AnyReader([path]) as reader:
        return [
            (connection.topic, received_ns, bytes(data))
            for connection, received_ns, data in reader.messages()
            if not topics or connection.topic in topics
        ]


def changed(store, folder):
    """The same recording with one voxel more in each frame."""
    other = FrameStore.create(folder, store.info)
    for place, frame in enumerate(store.frames(range(len(store.info)))):
        class_id = frame.class_id.copy()
        class_id[3, 0, 0] = 0
        other.write(place, RecordedFrame(class_id, frame.velocity_mps))
    return other


def test_a_bag_comes_back_with_refined_predictions_and_all_the_rest(tmp_path):
    source = write_whole(tmp_path / "source")
    refined = changed(imported(source, tmp_path / "store"), tmp_path / "refined")
    out = write_like(source, refined, tmp_path / "out")
    (found,) = open_recordings(out)
    assert_equal(found, refined)
    others = ("/chatter", "/tf", "/tf_static", "/cam_front/camera_info")
    assert messages(out, *others) == messages(source, *others)
    for (_, when, _), (_, before, _) in zip(
        messages(out, made.TOPIC), messages(source, made.TOPIC)
    ):
        assert when == before
    points, onboard = (messages(bag, "/node/occupancy/points") for bag in (out, source))
    assert [len(data) - len(before) for (*_, data), (*_, before) in zip(points, onboard)] == [
        28
    ] * 3
    with AnyReader([out]) as reader:
        topics = {one.topic for one in reader.connections}
        assert topics >= {"/node/occupancy/markers", "/node/flow/markers", "/node/classes"}


def test_the_viewer_opens_a_refined_bag(tmp_path):
    source = write_whole(tmp_path / "source")
    out = write_like(source, imported(source, tmp_path / "store"), tmp_path / "out")
    run = read_run(out)
    assert (run.class_names, run.fixed_frame) == (("road", "car", "free"), "odom")
    assert [one.index.tolist() for one in run.sets] == [[0, 21], [0, 22], [0, 23]]
    assert run.sets[0].class_id.tolist() == [0, 1]
    assert run.sets[0].velocity.tolist() == [[0, 0], [250, -100]]
    assert run.sets[0].probability.tolist() == [255, 255]
    assert cli.main(["view", "--bag", str(out), "--out", str(tmp_path / "page.html")]) in (0, None)
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_what_nobody_knows_stays_so(tmp_path):
    with hand_made(tmp_path / "source") as bag:
        bag.legend()
        for place in range(2):
            bag.pose(place)
            bag.prediction(voxels(stamp(place), class_id=(255, 1)))
    store = imported(tmp_path / "source", tmp_path / "store")
    write_like(tmp_path / "source", store, tmp_path / "out")
    assert read_run(tmp_path / "out").sets[0].class_id.tolist() == [255, 1]
    assert_equal(open_recordings(tmp_path / "out")[0], store)


def test_a_bag_without_classes_or_motion_stays_so(tmp_path):
    with hand_made(tmp_path / "source") as bag:
        for place in range(2):
            bag.pose(place)
            bag.prediction(voxels(stamp(place), class_id=None, velocity_mps=np.nan))
    store = imported(tmp_path / "source", tmp_path / "store")
    write_like(tmp_path / "source", store, tmp_path / "out")
    assert_equal(open_recordings(tmp_path / "out")[0], store)
    assert not messages(tmp_path / "out", "/node/classes")


def test_a_bag_of_other_times_is_refused(tmp_path):
    store = imported(write_whole(tmp_path / "long", 3), tmp_path / "store")
    with pytest.raises(DataError, match=f"got none of 1 of them, such as {stamp(2)} ns"):
        write_like(write_whole(tmp_path / "short", 2), store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_label_files_come_back(tmp_path):
    data = write_drive(tmp_path / "data")
    labels = labelled_drives.write_labels(tmp_path / "labels", {n: truth(n) for n in range(3)})
    store = imported(labels, tmp_path / "store", data)
    write_like(labels, store, tmp_path / "out")
    assert_equal(open_recordings(tmp_path / "out", (data,))[0], store)


def test_files_of_semantic_kitti_come_back(tmp_path):
    data = write_kitti(tmp_path / "data", images=False)
    predictions = write_kitti_predictions(tmp_path / "model", (0, 5))
    store = imported(predictions, tmp_path / "store", data)
    folder = write_like(predictions, store, tmp_path / "out")
    assert folder == tmp_path / "out/sequences/08/predictions"
    for name in ("000000", "000005"):
        source = tmp_path / f"model/sequences/08/predictions/{name}.label"
        assert (folder / f"{name}.label").read_bytes() == source.read_bytes()


def test_stores_come_back(tmp_path):
    source = write_whole(tmp_path / "source")
    store = imported(source, tmp_path / "stores/source")
    write_like(tmp_path / "stores", store, tmp_path / "out")
    assert_equal(open_recordings(tmp_path / "out")[0], store)


def test_other_classes_and_grids_are_refused(tmp_path):
    store = imported(write_whole(tmp_path / "bag"), tmp_path / "store")
    kitti = write_kitti_predictions(tmp_path / "kitti", (0,))
    with pytest.raises(DataError, match="expected the classes empty, car, .* got road, car, free"):
        write_like(kitti, store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_any_recording_becomes_a_bag(tmp_path):
    data = write_drive(tmp_path / "data")
    labels = labelled_drives.write_labels(tmp_path / "labels", {n: truth(n) for n in range(3)})
    store = imported(labels, tmp_path / "store", data)
    write_bag(store, tmp_path / "out")
    assert_equal(open_recordings(tmp_path / "out")[0], store)
    run = read_run(tmp_path / "out")
    assert (run.base_frame, run.fixed_frame) == ("base_link", "odom")
    assert [one.fixed_T_base[0, 3] for one in run.sets] == [0.0, 3.0, 6.0]


def test_a_recording_that_begins_at_zero_is_shifted(tmp_path):
    data = write_kitti(tmp_path / "data", images=False)
    predictions = write_kitti_predictions(tmp_path / "model", (0, 5))
    write_bag(imported(predictions, tmp_path / "store", data), tmp_path / "out")
    assert [one.stamp_ns for one in read_run(tmp_path / "out").sets] == [10**9, 1_500_000_000]


@pytest.mark.parametrize("at", [0, 5, 12])
def test_a_full_disk_leaves_nothing_behind_and_is_named(tmp_path, monkeypatch, at):
    source = write_whole(tmp_path / "source")
    store = imported(source, tmp_path / "store")
    (tmp_path / "out").mkdir()
    count, write = iter(range(1000)), Writer.write

    def full(self, *arguments):
        if next(count) >= at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, *arguments)

    monkeypatch.setattr(Writer, "write", full)
    for job in (
        lambda: write_like(source, store, tmp_path / "out/bag"),
        lambda: bag_writer.write_bag(store, tmp_path / "out/bag"),
    ):
        with pytest.raises(OutputError, match="out/bag: cannot be written: No space left"):
            job()
        assert not list((tmp_path / "out").iterdir())


def test_a_full_disk_while_a_bag_is_finished_is_named(tmp_path, monkeypatch):
    store = imported(write_whole(tmp_path / "source"), tmp_path / "store")

    def full(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Writer, "close", full)
    with pytest.raises(OutputError, match="out: cannot be written: No space left"):
        write_bag(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_no_label_files(tmp_path, monkeypatch):
    data = write_drive(tmp_path / "data")
    labels = labelled_drives.write_labels(tmp_path / "labels", {n: truth(n) for n in range(3)})
    store = imported(labels, tmp_path / "store", data)
    count = iter(range(1000))
    write_bytes = type(tmp_path).write_bytes

    def full(self, content):
        if next(count) >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(self, content)

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(type(tmp_path), "write_bytes", full)
    with pytest.raises(OutputError, match="street.*cannot be written: No space left"):
        write_like(labels, store, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_what_is_there_is_replaced_only_when_asked_for(tmp_path):
    source = write_whole(tmp_path / "source")
    store = imported(source, tmp_path / "store")
    write_like(source, store, tmp_path / "out")
    with pytest.raises(OutputError, match="not empty"):
        write_like(source, store, tmp_path / "out")
    write_like(source, store, tmp_path / "out", overwrite=True)
