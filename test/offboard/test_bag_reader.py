"""What a bag says comes out; what is wrong is left out and counted, or named."""

import pickle

import hand_made_bags as made
import numpy as np
import pytest
from hand_made_bags import CAR, ROAD, hand_made, pose, stamp, voxels, write_whole
from labelled_drives import write_drive

from occflow_ros.data.vocabulary import OCCUPANCY
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3
from occflow_ros.offboard.bag_reader import open_bag_recording
from occflow_ros.offboard.importer import import_recording
from occflow_ros.offboard.readers import open_recordings

FREE = 2  # road, car, free


def test_frames_poses_cameras_and_classes_are_those_of_the_bag(tmp_path):
    (recording,) = open_recordings(write_whole(tmp_path / "drive.1"))
    info = recording.info
    assert (info.name, info.grid, recording.notes) == ("drive.1", made.GRID, ())
    assert info.stamps_ns == tuple(map(stamp, range(3)))
    assert info.vocabulary.names == ("road", "car", "free")
    assert (info.vocabulary.empty, info.vocabulary.movable) == (FREE, (1,))
    np.testing.assert_allclose(info.world_T_base, [pose(place) for place in range(3)])
    (camera,) = info.cameras
    assert (camera.name, camera.width_px, camera.height_px) == ("cam_front", 40, 20)
    np.testing.assert_allclose(camera.base_T_camera, made.CAMERA.base_T_camera, atol=1e-12)
    assert camera.distortion == made.CAMERA.distortion
    first, second, third = recording.frames(range(3))
    assert np.argwhere(first.class_id != FREE).tolist() == [[0, 0, 0], [2, 2, 1]]
    assert (first.class_id[0, 0, 0], first.class_id[2, 2, 1]) == (0, 1)
    np.testing.assert_allclose(first.velocity_mps[2, 2, 1], (2.5, -1.0))
    assert not first.velocity_mps[0, 0, 0].any(), "unknown counts as standing"
    assert second.class_id[2, 3, 0] == third.class_id[2, 3, 1] == 1


def test_any_part_of_the_frames_is_read_by_another_process(tmp_path):
    recording = open_bag_recording(write_whole(tmp_path / "bag", 6))
    recording = pickle.loads(pickle.dumps(recording))
    every = list(recording.frames(range(6)))
    for places in ((), (5,), (0, 3), (1, 2, 4)):
        for place, frame in zip(places, recording.frames(places), strict=True):
            np.testing.assert_array_equal(frame.class_id, every[place].class_id)


def test_frames_are_in_the_order_of_their_stamps(tmp_path):
    with hand_made(tmp_path / "bag") as bag:
        for place in (2, 0, 3, 1):
            bag.pose(place)
            bag.prediction(voxels(stamp(place), (CAR + place,), None))
    recording = open_bag_recording(tmp_path / "bag")
    assert recording.info.stamps_ns == tuple(map(stamp, range(4)))
    for places in (range(4), (0, 2), (3,)):
        found = [int(np.flatnonzero(frame.class_id == 0)[0]) for frame in recording.frames(places)]
        assert found == [CAR + place for place in places]


def test_several_predictions_received_at_one_time_are_told_apart(tmp_path):
    with hand_made(tmp_path / "bag") as bag:
        for place in range(3):
            bag.pose(place)
            bag._received_ns = made.RECEIVED_NS
            bag.prediction(voxels(stamp(place), (CAR + place,), None))
    (last,) = open_bag_recording(tmp_path / "bag").frames([2])
    assert np.flatnonzero(last.class_id == 0).tolist() == [CAR + 2]


def test_without_classes_voxels_are_occupied_or_free(tmp_path):
    with hand_made(tmp_path / "bag") as bag:
        bag.pose(0)
        bag.prediction(voxels(stamp(0), class_id=None, velocity_mps=np.nan))
    recording = open_bag_recording(tmp_path / "bag")
    (frame,) = recording.frames([0])
    assert recording.info.vocabulary == OCCUPANCY
    assert (frame.class_id == 0).sum() == 2
    assert frame.velocity_mps is None, "the node estimates no motion"


@pytest.mark.parametrize(
    ("names", "class_id", "expected"),
    [
        (("road", "car"), (0, 255), ("road", "car", "free", "unknown")),
        (("road", "car"), (0, 1), ("road", "car", "free")),
        (("others", "road"), (0, 255), ("others", "road", "free")),
        (("empty", "car"), (1, 0), ("empty", "car", "unknown")),  # listed, and yet empty
    ],
)
def test_what_nobody_knows_is_others_or_gets_a_class(tmp_path, names, class_id, expected):
    with hand_made(tmp_path / "bag") as bag:
        bag.legend(names)
        bag.pose(0)
        bag.prediction(voxels(stamp(0), class_id=class_id))
    recording = open_bag_recording(tmp_path / "bag")
    (frame,) = recording.frames([0])
    assert recording.info.vocabulary.names == expected
    named = [expected[number] for number in frame.class_id.reshape(-1)[[ROAD, CAR]]]
    strange = "others" if "others" in names else "unknown"
    wanted = [names[n] if n < len(names) and names[n] != "empty" else strange for n in class_id]
    assert named == wanted


def test_what_cannot_be_used_is_left_out_and_counted(tmp_path):
    with hand_made(tmp_path / "bag") as bag:
        bag.pose(0)
        bag.prediction(voxels(stamp(0), class_id=None))
        bag.prediction(voxels(stamp(1), (), None))
        bag.prediction(voxels(stamp(2), (31, 32), None))  # of 32 voxels
        bag.prediction(voxels(stamp(9), class_id=None))  # long after the last pose
        bag.prediction(voxels(stamp(0), (CAR,), None))
        bag.pose(3)
        bag.prediction(voxels(stamp(3), class_id=None))
    recording = open_bag_recording(tmp_path / "bag")
    assert recording.info.stamps_ns == (stamp(0), stamp(3))
    assert sorted(recording.notes) == [
        "1 predictions that are damaged left out",
        "1 predictions that come again left out",
        "1 predictions that hold nothing left out",
        "1 predictions without a pose left out",
    ]
    first, _ = recording.frames(range(2))
    assert (first.class_id == 0).sum() == 1, "the later of two counts"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": made.OTHER_GRID}, f"the grid .* in the prediction of {stamp(2)} ns"),
        ({"base": "other"}, f"the ego frame base as before, got other .* of {stamp(2)} ns"),
        ({"class_id": None}, "classes True as before, got False"),
    ],
)
def test_a_change_amid_the_bag_is_named(tmp_path, changes, message):
    with hand_made(tmp_path / "bag") as bag:
        bag.legend()
        for place in range(4):
            bag.pose(place)
            bag.prediction(voxels(stamp(place), **(changes if place >= 2 else {})))
    with pytest.raises(DataError, match=message):
        open_bag_recording(tmp_path / "bag")


def test_a_camera_that_is_not_calibrated_is_left_out(tmp_path):
    with hand_made(tmp_path / "bag") as bag:
        bag.pose(0)
        bag.prediction(voxels(stamp(0), class_id=None))
        data = made.serialised.camera_info_message(made.CAMERA, stamp(0), "nowhere")
        bag.write("/cam_front/camera_info", made.serialised.CAMERA_INFO_TYPE, data)
    recording = open_bag_recording(tmp_path / "bag")
    assert recording.info.cameras == ()
    (note,) = recording.notes
    assert note == "camera of /cam_front/camera_info left out: no transform to base"


def test_a_bag_without_poses_says_how_to_give_them(tmp_path):
    with hand_made(tmp_path / "bag") as bag:
        bag.prediction(voxels(stamp(0), class_id=None))
    with pytest.raises(DataError, match="expected /tf with the pose of base .* by --data"):
        open_bag_recording(tmp_path / "bag")


def test_poses_and_cameras_may_come_from_the_drive_that_was_replayed(tmp_path):
    data = write_drive(tmp_path / "data")  # 3 m in each of two intervals of 0.5 s
    with hand_made(tmp_path / "bag") as bag:
        for stamp_ns in (stamp(0), stamp(1) - 100_000_000, stamp(2), stamp(3)):
            bag.prediction(voxels(stamp_ns, class_id=None))
    (recording,) = open_recordings(tmp_path / "bag", (data,))
    np.testing.assert_allclose(recording.info.world_T_base[:, 0, 3], (0.0, 2.4, 6.0))
    assert [camera.name for camera in recording.info.cameras] == ["front"]
    assert recording.notes == ("1 predictions without a pose left out",)


def test_bags_without_predictions_or_with_several_topics_are_named(tmp_path):
    with hand_made(tmp_path / "none") as bag:
        bag.pose(0)
    with pytest.raises(DataError, match="expected one topic of .*OccupancyFlow, got none"):
        open_bag_recording(tmp_path / "none")
    with hand_made(tmp_path / "empty") as bag:
        bag.prediction(voxels(stamp(0), (), None))
    with pytest.raises(DataError, match="got 1 that hold nothing"):
        open_bag_recording(tmp_path / "empty")
    with hand_made(tmp_path / "two") as bag:
        for topic in ("/a/flow", "/b/flow"):
            bag.prediction(voxels(stamp(0)), topic)
    with pytest.raises(DataError, match="got /a/flow, /b/flow"):
        open_bag_recording(tmp_path / "two")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.9, 0.999])
def test_a_bag_that_was_cut_off_is_named(tmp_path, share):
    path = write_whole(tmp_path / "bag")
    (file,) = path.glob("*.mcap")
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=str(path)):
        open_recordings(path)


@pytest.mark.parametrize("at", [0.2, 0.4, 0.6])
def test_a_bag_that_is_damaged_amid_is_named_or_its_rest_is_right(tmp_path, at):
    path = write_whole(tmp_path / "bag")
    (file,) = path.glob("*.mcap")
    whole = bytearray(file.read_bytes())
    start = int(at * len(whole))
    whole[start : start + 64] = b"\xff" * 64
    file.write_bytes(whole)
    try:
        (recording,) = open_recordings(path)
        assert len(list(recording.frames(range(len(recording.info))))) == len(recording.info)
    except DataError as error:
        assert str(path) in str(error)


def test_an_import_goes_on_where_it_was_stopped(tmp_path):
    recording = open_bag_recording(write_whole(tmp_path / "bag", 4))

    def two(frames, total):
        assert total == 4
        yield from (frame for frame, _ in zip(frames, range(2)))

    assert import_recording(recording, tmp_path / "store", two).store.missing == (2, 3)
    imported = import_recording(recording, tmp_path / "store")
    assert (imported.made, imported.kept, imported.store.missing) == (2, 2, ())
    for found, frame in zip(imported.store.frames(range(4)), recording.frames(range(4))):
        np.testing.assert_array_equal(found.class_id, frame.class_id)


def test_a_pose_that_is_no_number_is_none(tmp_path):
    with hand_made(tmp_path / "bag") as bag:
        for place in range(3):
            nowhere = se3.from_rotation_translation(np.eye(3), (np.nan, 0.0, 0.0))
            bag.pose(place, nowhere if place == 2 else None)
            bag.prediction(voxels(stamp(place), class_id=None))
    recording = open_bag_recording(tmp_path / "bag")
    assert recording.info.stamps_ns == (stamp(0), stamp(1))
    assert recording.notes == ("1 predictions without a pose left out",)


def test_a_jump_of_the_pose_is_read_as_it_is(tmp_path):
    with hand_made(tmp_path / "bag") as bag:
        for place in range(4):
            far = se3.from_rotation_translation(np.eye(3), (5000.0 * (place >= 2), 0.0, 0.0))
            bag.pose(place, far)
            bag.prediction(voxels(stamp(place), class_id=None))
    info = open_bag_recording(tmp_path / "bag").info
    assert info.world_T_base[:, 0, 3].tolist() == [0.0, 0.0, 5000.0, 5000.0]
