"""Label files of any model become recordings; what they lack is named."""

import labelled_drives as made
import numpy as np
import pytest
from labelled_drives import CAR, truth, write_drive, write_kitti, write_kitti_predictions

from occflow_ros.data.classes import FREE
from occflow_ros.data.semantic_kitti import GRID
from occflow_ros.data.vocabulary import OCC3D, SEMANTIC_KITTI
from occflow_ros.errors import DataError
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.importer import import_recording
from occflow_ros.offboard.readers import open_recordings


@pytest.mark.parametrize("numbers", [(0, 5, 10), (0, 1, 2, 3)])
def test_semantic_kitti_has_poses_and_cameras_of_its_data_set(tmp_path, numbers):
    data = write_kitti(tmp_path / "data")
    predictions = write_kitti_predictions(tmp_path / "model", numbers)
    (recording,) = open_recordings(predictions, (data,))
    info = recording.info
    assert (info.name, info.grid, info.vocabulary) == ("08", GRID, SEMANTIC_KITTI)
    assert info.frame_names == tuple(f"{number:06d}" for number in numbers)
    assert info.stamps_ns == tuple(number * 100_000_000 for number in numbers)
    np.testing.assert_allclose(info.world_T_base[:, :3, 3], [(n, 0.0, 0.0) for n in numbers])
    assert [camera.name for camera in info.cameras] == ["cam2"]
    for number, frame in zip(numbers, recording.frames(range(len(numbers))), strict=True):
        assert frame.velocity_mps is None
        assert np.argwhere(frame.class_id).tolist() == [[number, 2, 1]]
        assert frame.class_id[number, 2, 1] == 1 + number


def test_predictions_in_the_data_set_need_no_other_folder_and_lidar_no_images(tmp_path):
    data = write_kitti(tmp_path / "data", images=False)
    write_kitti_predictions(data, (0, 5))
    (recording,) = open_recordings(data)
    assert recording.info.cameras == ()
    assert recording.info.world_T_base[1, 0, 3] == 5.0


def test_missing_poses_of_semantic_kitti_are_named(tmp_path):
    predictions = write_kitti_predictions(tmp_path / "model", (0,))
    with pytest.raises(DataError, match=r"calib\.txt.* by --data"):
        open_recordings(predictions)
    data = write_kitti(tmp_path / "data")
    (data / "poses" / "08.txt").unlink()
    with pytest.raises(DataError, match=r"poses.*08\.txt: file is missing.* by --data"):
        open_recordings(predictions, (data,))


def test_frames_that_the_data_set_does_not_have_are_named(tmp_path):
    data = write_kitti(tmp_path / "data", count=4, images=False)
    write_kitti_predictions(data, (0, 5))
    with pytest.raises(DataError, match=r"000005\.label: expected frames 0 to 3"):
        open_recordings(data)


def test_labels_have_poses_of_their_drive_and_velocities(tmp_path):
    data = write_drive(tmp_path / "data")
    still = truth(2, velocity_mps=(np.nan, np.nan))
    still.velocity_mps[:] = np.nan
    labels = made.write_labels(tmp_path / "labels", {0: truth(0), 2: still})
    (recording,) = open_recordings(labels, (data,))
    info = recording.info
    assert (info.name, info.vocabulary, info.grid) == ("street", OCC3D, truth(0).grid)
    assert info.frame_names == (str(made.stamp(0)), str(made.stamp(2)))
    assert info.world_T_base[:, 0, 3].tolist() == [0.0, 6.0]
    assert [camera.name for camera in info.cameras] == ["front"]
    first, last = recording.frames(range(2))
    assert np.argwhere(first.class_id != FREE).tolist() == [[0, 1, 0]]
    assert first.class_id[0, 1, 0] == CAR
    assert first.velocity_mps[0, 1, 0].tolist() == [2.0, 0.0], "unknown counts as standing"
    assert last.velocity_mps is None


def test_what_labels_lack_is_named(tmp_path):
    labels = made.write_labels(tmp_path / "labels", {0: truth(0)})
    with pytest.raises(DataError, match="as the files have no poses; give .* by --data"):
        open_recordings(labels)
    data = write_drive(tmp_path / "data", name="road")
    with pytest.raises(DataError, match="expected the drives street, .* found no street"):
        open_recordings(labels, (data,))


def test_drives_may_lie_in_several_folders(tmp_path):
    names = ("street", "road")
    data = [write_drive(tmp_path / name, name=name) for name in names]
    for name in names:
        made.write_labels(tmp_path / "labels", {0: truth(0)}, name)
    found = open_recordings(tmp_path / "labels", data)
    assert [one.info.name for one in found] == ["street", "road"]
    with pytest.raises(DataError, match="found no road"):
        open_recordings(tmp_path / "labels", data[:1])


def test_labels_of_no_set_are_left_out_and_counted(tmp_path):
    data = write_drive(tmp_path / "data", count=2)
    labels = made.write_labels(tmp_path / "labels", {0: truth(0), 3: truth(3)})
    (recording,) = open_recordings(labels, (data,))
    assert len(recording.info) == 1
    assert recording.notes == ("1 predictions of no set of the drive left out",)
    (labels / "street" / str(made.stamp(0)) / "labels.npz").unlink()
    with pytest.raises(DataError, match="found 1 of others"):
        open_recordings(labels, (data,))


def test_another_grid_amid_the_drive_is_named_and_what_was_read_is_kept(tmp_path):
    data = write_drive(tmp_path / "data")
    truths = {0: truth(0), 1: truth(1), 2: truth(2, shape=(4, 4, 4))}
    (recording,) = open_recordings(made.write_labels(tmp_path / "labels", truths), (data,))
    with pytest.raises(DataError, match=rf"{made.stamp(2)}/labels\.npz: expected .* as before"):
        import_recording(recording, tmp_path / "store")
    assert FrameStore(tmp_path / "store").missing == (2,)


def test_one_store_or_several_are_recordings(tmp_path):
    data = write_drive(tmp_path / "data")
    labels = made.write_labels(tmp_path / "labels", {0: truth(0)})
    (recording,) = open_recordings(labels, (data,))
    for name in "ab":
        import_recording(recording, tmp_path / "stores" / name)
    assert len(open_recordings(tmp_path / "stores")) == 2
    (found,) = open_recordings(tmp_path / "stores" / "a")
    assert found.info.frame_names == recording.info.frame_names


@pytest.mark.parametrize("content", [None, (), ("notes.txt",), ("a/b/other.npz",)])
def test_what_holds_no_predictions_is_named(tmp_path, content):
    path = tmp_path / "input"
    for name in () if content is None else (".", *content):
        (path / name).mkdir(parents=True, exist_ok=True)
    with pytest.raises(DataError, match=f"{path}: expected a rosbag2 folder"):
        open_recordings(path)
