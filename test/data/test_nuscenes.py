"""nuScenes: scenes written here are read back, by our reader and by nuscenes-devkit."""

import dataclasses
import json

import numpy as np
import pytest

from occflow_ros.data.nuscenes import read_nuscenes
from occflow_ros.data.nuscenes_writer import TABLES, nuscenes_writer
from occflow_ros.data.sensors import load_frame, read_image, read_lidar
from occflow_ros.data.truth import read_truth
from occflow_ros.errors import DataError

VERSION = "v1.0-mini"


@pytest.fixture
def dataroot(tmp_path, made):
    """Keyframes at 0, 0.5 and 1.0 s; between them sweeps at 0.1 and 0.6 s, the latter of one
    camera."""
    with nuscenes_writer(tmp_path / "set", VERSION, made.header(), image_format="png") as writer:
        writer.add_set(made.keyframe(0))
        writer.add_set(made.sweep(made.START_NS + 100_000_000))
        writer.add_set(made.keyframe(1))
        writer.add_set(made.sweep(made.START_NS + 600_000_000, names=("cam_back",)))
        writer.add_set(made.keyframe(2))
    return tmp_path / "set"


def edit_table(dataroot, table, change):
    path = dataroot / VERSION / f"{table}.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def test_keyframes_come_back(dataroot, made):
    drive, header = read_nuscenes(dataroot, VERSION), made.header()
    assert (drive.name, drive.fixed_frame, drive.notes) == ("scene-0001", "map", "made by hand")
    assert list(drive.cameras) == ["cam_front", "cam_back"]
    for name, camera in drive.cameras.items():
        assert (camera.width_px, camera.height_px) == (made.WIDTH_PX, made.HEIGHT_PX)
        assert np.array_equal(camera.K, header.cameras[name].K)
        assert np.allclose(camera.base_T_camera, header.cameras[name].base_T_camera, atol=1e-12)
    assert np.allclose(drive.base_T_lidar, header.base_T_lidar)
    assert len(drive.sets) == 3
    for index, camera_set in enumerate(drive.sets):
        made_set = made.keyframe(index)
        assert camera_set.stamp_ns == made_set.stamp_ns
        assert np.allclose(camera_set.odom_T_base, made_set.odom_T_base, atol=1e-12)
        assert np.array_equal(read_lidar(camera_set.lidar.path), made_set.lidar.content)
        assert np.array_equal(
            read_truth(camera_set.occupancy).semantics, made_set.occupancy.semantics
        )
        for name, file in camera_set.images.items():
            assert file.stamp_ns == made_set.images[name].stamp_ns
            assert np.allclose(file.odom_T_base, made_set.images[name].odom_T_base, atol=1e-12)
            assert np.array_equal(read_image(file.path), made_set.images[name].content)


def test_boxes_lie_in_base_and_move_over_ground(dataroot, made):
    sets = read_nuscenes(dataroot, VERSION).sets
    assert len({camera_set.boxes[0].id for camera_set in sets}) == 1
    for index, camera_set in enumerate(sets):
        (box,) = camera_set.boxes
        assert box.category == "vehicle.car"
        assert box.size_lwh_m == (4.0, 2.0, 1.5)
        assert box.base_T_box[:3, 3] == pytest.approx([10.0 + index * 1.0, 0.0, 0.75], abs=1e-9)
        assert box.velocity_mps == pytest.approx((8.0, 0.0), abs=1e-9)


def test_sweeps_stand_between_keyframes(dataroot, made):
    sets = read_nuscenes(dataroot, VERSION, keyframes_only=False).sets
    offsets_ms = [(s.stamp_ns - made.START_NS) // 1_000_000 for s in sets]
    assert offsets_ms == [0, 100, 500, 600, 1000]
    assert [sorted(s.images) for s in sets][1::2] == [["cam_back", "cam_front"], ["cam_back"]]
    assert [s.boxes is None for s in sets] == [False, True, False, True, False]
    assert sets[1].images["cam_front"].stamp_ns == made.START_NS + 80_000_000
    assert np.allclose(sets[1].odom_T_base, made.pose_at(made.START_NS + 100_000_000))


def test_images_between_keyframes_find_the_sweep_they_were_taken_with(tmp_path, made):
    """LiDAR at 20 Hz, cameras at 10 Hz: one fires 45 ms before, one 20 ms after its sweep."""
    offsets_ns = {"cam_front": -45_000_000, "cam_back": 20_000_000}
    with nuscenes_writer(tmp_path / "set", VERSION, made.header()) as writer:
        for index in range(11):
            stamp_ns = made.START_NS + index * 50_000_000
            captured = made.sweep(stamp_ns, names=())
            images = {
                name: made.capture(made.image(index), stamp_ns + offset_ns)
                for name, offset_ns in offsets_ns.items()
                if index % 2 == 0
            }
            changes = {"images": images, "keyframe": index % 10 == 0}
            writer.add_set(dataclasses.replace(captured, **changes))
    sets = read_nuscenes(tmp_path / "set", VERSION, keyframes_only=False).sets
    assert [(s.stamp_ns - made.START_NS) // 1_000_000 for s in sets] == [0, 100, 200, 300, 400, 500]
    for camera_set in sets:
        for name, offset_ns in offsets_ns.items():
            assert camera_set.images[name].stamp_ns == camera_set.stamp_ns + offset_ns


def test_a_track_of_one_keyframe_has_no_velocity(tmp_path, made):
    with nuscenes_writer(tmp_path / "set", VERSION, made.header()) as writer:
        writer.add_set(made.keyframe(0))
    (box,) = read_nuscenes(tmp_path / "set", VERSION).sets[0].boxes
    assert box.velocity_mps is None


def test_a_velocity_over_too_long_a_gap_is_unknown(tmp_path, made):
    with nuscenes_writer(tmp_path / "set", VERSION, made.header()) as writer:
        for index in (0, 4, 6):  # 0, 2.0 and 3.0 s
            writer.add_set(made.keyframe(index))
    sets = read_nuscenes(tmp_path / "set", VERSION).sets
    velocities = [camera_set.boxes[0].velocity_mps for camera_set in sets]
    assert velocities[0] is None
    assert velocities[1] == pytest.approx((8.0, 0.0), abs=1e-9)
    assert velocities[2] == pytest.approx((8.0, 0.0), abs=1e-9)


def test_without_lidar_the_front_camera_is_the_reference(tmp_path, made):
    header = made.header()
    header = dataclasses.replace(header, base_T_lidar=None)
    captured = dataclasses.replace(made.keyframe(0), lidar=None)
    with nuscenes_writer(tmp_path / "set", VERSION, header) as writer:
        writer.add_set(captured)
    (camera_set,) = read_nuscenes(tmp_path / "set", VERSION).sets
    assert camera_set.lidar is None
    assert camera_set.stamp_ns == captured.images["cam_front"].stamp_ns


def test_scenes_are_found_by_name_token_and_index(dataroot):
    token = json.loads((dataroot / VERSION / "scene.json").read_text())[0]["token"]
    for key in ("scene-0001", token, "0", None):
        assert read_nuscenes(dataroot, VERSION, key).name == "scene-0001"
    with pytest.raises(
        DataError, match=r"scene.json: expected a scene out of scene-0001, got scene-2"
    ):
        read_nuscenes(dataroot, VERSION, "scene-2")


def test_of_many_scenes_a_few_are_named(dataroot):
    def change(rows):
        rows.extend([rows[0] | {"token": str(number)} for number in range(12)])

    edit_table(dataroot, "scene", change)
    with pytest.raises(DataError, match=r"(scene-0001, ){9}scene-0001 and 3 more, got none"):
        read_nuscenes(dataroot, VERSION)


def test_frames_load(dataroot):
    drive = read_nuscenes(dataroot, VERSION)
    frame = load_frame(drive, drive.sets[0], (12, 16))
    assert frame.images.shape == (2, 3, 12, 16)
    assert frame.images[0, :, 5, 5].tolist() == [10, 20, 245]


def test_writing_twice_gives_the_same_tables(dataroot, tmp_path, made):
    with nuscenes_writer(tmp_path / "again", VERSION, made.header(), image_format="png") as writer:
        writer.add_set(made.keyframe(0))
    with nuscenes_writer(tmp_path / "twice", VERSION, made.header(), image_format="png") as writer:
        writer.add_set(made.keyframe(0))
    for table in TABLES:
        first, second = (tmp_path / name / VERSION / f"{table}.json" for name in ("again", "twice"))
        assert first.read_bytes() == second.read_bytes()


def test_a_drive_without_keyframes_does_not_appear(tmp_path, made):
    with (
        pytest.raises(ValueError, match="at least one keyframe"),
        nuscenes_writer(tmp_path / "set", VERSION, made.header()) as writer,
    ):
        writer.add_set(made.sweep(made.START_NS))
    assert list(tmp_path.iterdir()) == []


def test_a_distorted_camera_cannot_be_written(tmp_path, made):
    header = made.header()
    header.cameras["cam_front"] = dataclasses.replace(
        header.cameras["cam_front"], distortion=(0.1, 0.0, 0.0, 0.0)
    )
    with (
        pytest.raises(DataError, match="cam_front: nuScenes holds pinhole images"),
        nuscenes_writer(tmp_path / "set", VERSION, header),
    ):
        pass


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        (
            "ego_pose",
            lambda rows: rows.pop(0),
            r"ego_pose.json: expected a row with token '\w{32}', found none",
        ),
        (
            "ego_pose",
            lambda rows: rows[0].pop("rotation"),
            r"ego_pose.json: row '\w{32}': rotation: missing key",
        ),
        (
            "ego_pose",
            lambda rows: rows[0].update(rotation=[0, 0, 0, 0]),
            r"ego_pose.json: row '\w{32}': rotation: expected a unit quaternion",
        ),
        (
            "calibrated_sensor",
            lambda rows: rows[0].update(camera_intrinsic=[]),
            r"v1.0-mini: cam_front: K: expected 3x3",
        ),
        (
            "sample_data",
            lambda rows: rows[0].pop("sample_token"),
            r"sample_data.json: expected the column 'sample_token' in every row",
        ),
        (
            "sample_data",
            lambda rows: rows[0].update(timestamp="noon"),
            r"sample_data.json: row '\w{32}': timestamp: .*got 'noon'",
        ),
        (
            "sample_data",
            lambda rows: rows[0].update(filename="samples/none.jpg"),
            r"samples/none.jpg: file is missing, as 1 of 12 are",
        ),
        (
            "sample_data",
            lambda rows: rows.clear(),
            r"sample_data: expected data of a camera or of LIDAR_TOP, found none",
        ),
        (
            "instance",
            lambda rows: rows.clear(),
            r"instance.json: expected a row with token '\w{32}', found none",
        ),
    ],
)
def test_a_wrong_table_is_named(dataroot, table, change, message):
    edit_table(dataroot, table, change)
    with pytest.raises(DataError, match=message):
        read_nuscenes(dataroot, VERSION)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "sample_data.json: nuScenes table is missing"),
        ("[{", "sample_data.json: expected a JSON table"),
        ("7", "sample_data.json: expected a list of rows, got int"),
    ],
)
def test_a_corrupt_table_is_named(dataroot, content, message):
    path = dataroot / VERSION / "sample_data.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_nuscenes(dataroot, VERSION)


@pytest.fixture
def devkit(dataroot):
    nuscenes = pytest.importorskip("nuscenes", reason="needs the extra nuscenes-devkit")
    return nuscenes.NuScenes(VERSION, str(dataroot), verbose=False)


def test_the_devkit_sees_the_same_poses_and_boxes(devkit, dataroot, made):
    sample = devkit.sample[1]
    devkit.list_sample(sample["token"])
    path, boxes, K = devkit.get_sample_data(sample["data"]["CAM_FRONT"])
    drive = read_nuscenes(dataroot, VERSION)
    assert path == str(drive.sets[1].images["cam_front"].path)
    assert np.array_equal(K, drive.cameras["cam_front"].K)
    image, (box,) = drive.sets[1].images["cam_front"], drive.sets[1].boxes
    map_T_camera = image.odom_T_base @ drive.cameras["cam_front"].base_T_camera
    map_T_box = drive.sets[1].odom_T_base @ box.base_T_box
    camera_T_box = np.linalg.inv(map_T_camera) @ map_T_box
    assert boxes[0].name == "vehicle.car"
    assert boxes[0].center == pytest.approx(camera_T_box[:3, 3], abs=1e-6)


def test_the_devkit_computes_the_same_velocity(devkit, dataroot):
    camera_sets = read_nuscenes(dataroot, VERSION).sets
    for annotation, camera_set in zip(devkit.sample_annotation, camera_sets):
        velocity_map_mps = devkit.box_velocity(annotation["token"])
        base_T_map = np.linalg.inv(camera_set.odom_T_base)
        expected = (base_T_map[:3, :3] @ velocity_map_mps)[:2]
        assert camera_set.boxes[0].velocity_mps == pytest.approx(expected, abs=1e-6)


def test_the_devkit_walks_the_chains(devkit, made):
    token, stamps_us = devkit.sample[0]["data"]["CAM_BACK"], []
    while token:
        record = devkit.get("sample_data", token)
        stamps_us.append(record["timestamp"])
        token = record["next"]
    start_us = made.START_NS // 1000
    assert [stamp - start_us for stamp in stamps_us] == [-10e3, 80e3, 490e3, 580e3, 990e3]
    assert devkit.sample_annotation[0]["num_lidar_pts"] == 1
    assert devkit.scene[0]["nbr_samples"] == 3
    assert devkit.map[0]["mask"].mask().shape == (16, 16)
