"""The recording folder: what is written is read back, and what is wrong is named."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from occflow_ros.data.recording import read_recording, recording_writer, write_recording
from occflow_ros.data.sensors import load_frame, read_image, read_lidar
from occflow_ros.data.truth import read_truth
from occflow_ros.errors import DataError, OutputError
from occflow_ros.geometry import se3
from occflow_ros.geometry.camera import project


@pytest.fixture
def folder(tmp_path, made):
    with recording_writer(tmp_path / "drive", made.header(), image_format="png") as writer:
        for index in range(3):
            writer.add_set(made.keyframe(index))
    return tmp_path / "drive"


def edit_lines(folder, number, change):
    """Apply `change` to the object of one line of frames.jsonl, counted from 1."""
    path = folder / "frames.jsonl"
    lines = path.read_text().splitlines()
    record = json.loads(lines[number - 1])
    change(record)
    lines[number - 1] = json.dumps(record)
    path.write_text("\n".join(lines))


def edit_header(folder, change):
    path = folder / "recording.yaml"
    values = yaml.safe_load(path.read_text())
    change(values)
    path.write_text(yaml.safe_dump(values))


def test_everything_comes_back_to_the_last_bit(folder, made):
    drive, header = read_recording(folder), made.header()
    for field in ("name", "licence", "notes", "fixed_frame", "base_frame"):
        assert getattr(drive, field) == getattr(header, field)
    assert list(drive.cameras) == ["cam_front", "cam_back"]
    assert np.array_equal(drive.cameras["cam_back"].K, header.cameras["cam_back"].K)
    assert np.array_equal(drive.base_T_lidar, header.base_T_lidar)
    for index, camera_set in enumerate(drive.sets):
        made_set = made.keyframe(index)
        assert camera_set.stamp_ns == made_set.stamp_ns
        assert np.array_equal(camera_set.odom_T_base, made_set.odom_T_base)
        for name, file in camera_set.images.items():
            assert file.stamp_ns == made_set.images[name].stamp_ns
            assert np.array_equal(file.odom_T_base, made_set.images[name].odom_T_base)
            assert np.array_equal(read_image(file.path), made_set.images[name].content)
        assert np.array_equal(read_lidar(camera_set.lidar.path), made_set.lidar.content)
        assert np.array_equal(
            read_truth(camera_set.occupancy).semantics, made.truth(index).semantics
        )
        (box,) = camera_set.boxes
        assert (box.id, box.category, box.velocity_mps) == ("7", "vehicle.car", (8.0, 0.0))
        assert np.array_equal(box.base_T_box, made.car(made_set.stamp_ns).base_T_box)


def test_a_copy_reads_the_same(folder, tmp_path):
    drive = read_recording(folder)
    write_recording(tmp_path / "copy", drive)
    copy = read_recording(tmp_path / "copy")
    assert (tmp_path / "copy/frames.jsonl").read_text() == (folder / "frames.jsonl").read_text()
    for before, after in zip(drive.sets, copy.sets):
        for name, file in before.images.items():
            assert file.path.read_bytes() == after.images[name].path.read_bytes()


def test_distortion_and_its_model_survive(tmp_path, made):
    header = made.header()
    header.cameras["cam_front"] = dataclasses.replace(
        header.cameras["cam_front"],
        distortion=(0.1, 0.2, 0.3, 0.4),
        distortion_model="equidistant",
    )
    with recording_writer(tmp_path / "drive", header) as writer:
        writer.add_set(made.keyframe(0))
    camera = read_recording(tmp_path / "drive").cameras["cam_front"]
    assert camera.distortion == (0.1, 0.2, 0.3, 0.4)
    assert camera.distortion_model == "equidistant"


def test_an_absent_pose_is_that_of_the_set_and_a_camera_may_be_missing(folder):
    def change(record):
        del record["images"]["cam_front"]["odom_T_base"]
        del record["images"]["cam_back"]

    edit_lines(folder, 2, change)
    second = read_recording(folder).sets[1]
    assert list(second.images) == ["cam_front"]
    assert np.array_equal(second.images["cam_front"].odom_T_base, second.odom_T_base)


def test_an_interrupted_recording_does_not_appear(tmp_path, made):
    with (
        pytest.raises(KeyboardInterrupt),
        recording_writer(tmp_path / "drive", made.header()) as writer,
    ):
        writer.add_set(made.keyframe(0))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_folder_is_left_alone(folder, made):
    with (
        pytest.raises(OutputError, match="not empty; give --overwrite"),
        recording_writer(folder, made.header()),
    ):
        pass
    assert len(read_recording(folder).sets) == 3


def test_an_image_without_calibration_cannot_be_added(tmp_path, made):
    captured = made.keyframe(0)
    captured.images["cam_left"] = captured.images.pop("cam_back")
    with (
        pytest.raises(ValueError, match=r"expected images of .*got \['cam_left'\]"),
        recording_writer(tmp_path / "drive", made.header()) as writer,
    ):
        writer.add_set(captured)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(lidra=1), r"frames.jsonl:2: lidra: unknown key"),
        (lambda r: r.pop("stamp_ns"), r"frames.jsonl:2: stamp_ns: missing key"),
        (lambda r: r.update(stamp_ns=2**31 * 10**9), r"expected stamps from 0 to .*got 2147483648"),
        (lambda r: r.update(stamp_ns="soon"), r"frames.jsonl:2: stamp_ns: .*got 'soon'"),
        (
            lambda r: r["images"]["cam_back"].update(stamp="x"),
            r"frames.jsonl:2: images.cam_back.stamp: unknown key",
        ),
        (
            lambda r: r["odom_T_base"].pop(),
            r"frames.jsonl:2: odom_T_base: expected 12 numbers .*got shape \(11,\)",
        ),
        (
            lambda r: r.update(odom_T_base={"x": 1}),
            r"frames.jsonl:2: odom_T_base: expected 12 numbers .*got \{'x': 1\}",
        ),
        (
            lambda r: r["images"]["cam_front"].update(odom_T_base=[2.0] * 12),
            r"frames.jsonl:2: images.cam_front.odom_T_base: expected a rigid transform",
        ),
        (
            lambda r: r["images"].update(cam_left=r["images"]["cam_front"]),
            r"frames.jsonl:2: images: expected \['cam_front', 'cam_back'\], got \['cam_left'\]",
        ),
        (
            lambda r: r["images"]["cam_back"].update(file="images/none.png"),
            r"images/none.png: file is missing, as 1 of 12 are",
        ),
        (lambda r: r.update(boxes="none.json"), r"none.json: file is missing"),
        (lambda r: r.update(stamp_ns=5), r"increasing time order, got 5 ns after 16"),
    ],
)
def test_a_wrong_line_is_named(folder, change, message):
    edit_lines(folder, 2, change)
    with pytest.raises(DataError, match=message):
        read_recording(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(version=2), r"recording.yaml: version: .*1.*got 2"),
        (lambda h: h.pop("licence"), r"recording.yaml: licence: missing key"),
        (lambda h: h.update(camera={}), r"recording.yaml: camera: unknown key"),
        (
            lambda h: h["cameras"].update({"cam back": h["cameras"]["cam_back"]}),
            r"'cam back': expected a camera's name of letters",
        ),
        (lambda h: h.update(cameras={}), r"recording.yaml: cameras: .*at least 1"),
        (
            lambda h: h["cameras"]["cam_back"].update(K=[[1, 0, 0], [0, 1, 0]]),
            r"cameras.cam_back.K: expected 3 rows of 3 numbers, got shape \(2, 3\)",
        ),
        (
            lambda h: h["cameras"]["cam_back"].update(K=[[1, 0, 0], [0, -1, 0], [0, 0, 1]]),
            r"recording.yaml: cameras: cam_back: K: expected positive focal lengths",
        ),
        (
            lambda h: h["cameras"]["cam_back"].update(D=[0.1, 0.2]),
            r"recording.yaml: cameras: cam_back: distortion: expected none or .*got \[0.1, 0.2\]",
        ),
        (
            lambda h: h.pop("lidar"),
            r"frames.jsonl:1: lidar: expected lidar.base_T_lidar in recording.yaml",
        ),
    ],
)
def test_a_wrong_header_is_named(folder, change, message):
    edit_header(folder, change)
    with pytest.raises(DataError, match=message):
        read_recording(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("recording.yaml", b"name: [", r"recording.yaml: expected YAML"),
        ("recording.yaml", b"\xff\xfe\x00", r"recording.yaml: expected a text file"),
        ("recording.yaml", b"- 1", r"recording.yaml: .*got \[1\]"),
        ("frames.jsonl", b'{"stamp_ns": 1', r"frames.jsonl:1: expected JSON"),
        ("frames.jsonl", b"[]", r"frames.jsonl:1: .*got \[\]"),
        ("frames.jsonl", b"", r"expected at least one camera set, got none"),
        ("boxes/000001.json", b"{}", r"boxes/000001.json: .*got \{\}"),
        ("boxes/000001.json", b'[{"id": 1}]', r"boxes/000001.json: 0.category: missing key"),
    ],
)
def test_a_corrupt_file_is_named(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_recording(folder)


def test_a_missing_file_is_named_with_how_many_are(folder):
    shutil.rmtree(folder / "images/cam_back")
    with pytest.raises(DataError, match=r"cam_back/000000.png: file is missing, as 3 of 12 are"):
        read_recording(folder)
    (folder / "frames.jsonl").unlink()
    with pytest.raises(DataError, match=r"frames.jsonl: file is missing"):
        read_recording(folder)


REAL = ("front3_standing", "kitti_suburb", "nuscenes_keyframe", "surround_moving")


@pytest.mark.parametrize("name", REAL)
def test_lidar_of_real_recordings_projects_into_their_images(shared_data, name):
    drive = read_recording(shared_data / name)
    camera_set = drive.sets[-1]
    frame = load_frame(drive, camera_set, (256, 704))
    points_base_m = lidar_in_base(drive, camera_set)
    assert frame.rig.present.all()
    for index in range(len(frame.rig.names)):
        pixels, in_front = seen_from(frame.rig, index, points_base_m)
        inside = in_front & (pixels >= 0).all(1) & (pixels[:, 0] < 704) & (pixels[:, 1] < 256)
        assert inside.sum() > 500, frame.rig.names[index]


@pytest.mark.parametrize("name", REAL)
def test_boxes_of_real_recordings_hold_lidar_points(shared_data, name):
    drive = read_recording(shared_data / name)
    camera_set = drive.sets[0]
    points_base_m = lidar_in_base(drive, camera_set).astype(np.float64)
    near = [box for box in camera_set.boxes if np.linalg.norm(box.base_T_box[:2, 3]) < 25]
    filled = sum(box.contains(points_base_m).sum() >= 5 for box in near)
    assert len(near) >= 1
    assert filled >= 0.6 * len(near)


def lidar_in_base(drive, camera_set):
    """The sweep in base at the reference time of the set."""
    points_m = read_lidar(camera_set.lidar.path).astype(np.float64)
    base_T_odom = se3.inverse(camera_set.odom_T_base)
    base_T_lidar = base_T_odom @ camera_set.lidar.odom_T_base @ drive.base_T_lidar
    return se3.transform_points(base_T_lidar, points_m).astype(np.float32)


def seen_from(rig, index, points_base_m):
    camera_T_base = torch.linalg.inv(rig.base_T_camera[index].double()).float()
    points_camera_m = torch.from_numpy(points_base_m) @ camera_T_base[:3, :3].T
    return project(rig.K[index], points_camera_m + camera_T_base[:3, 3])
