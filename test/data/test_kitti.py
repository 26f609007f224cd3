"""KITTI raw, odometry and tracking: sets of the synthetic world are read back from each structure.

Bounds: with 12 decimals of a degree, as the official OXTS files have them, a position is known to
1e-7 m; the poses of the odometry benchmark have 7 digits, so 5e-6 m over the metre driven here.
"""

import kitti_sets
import numpy as np
import pytest

from occflow_ros.data import kitti_odometry, kitti_tracking
from occflow_ros.data.kitti_labels import read_boxes
from occflow_ros.data.kitti_oxts import OxtsPacket, base_poses
from occflow_ros.data.recording import read_recording
from occflow_ros.data.sensors import load_frame, read_image, read_lidar
from occflow_ros.data.source import open_drive
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3

WRITERS = {
    "raw": kitti_sets.write_raw,
    "odometry": kitti_sets.write_odometry,
    "tracking": kitti_sets.write_tracking,
}
NAMES = {"raw": "2011_09_26_drive_0001_sync", "odometry": "08", "tracking": "training-0004"}
POSE_BOUNDS_M = {"raw": 1e-6, "odometry": 5e-6, "tracking": 1e-6}
DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"


@pytest.fixture(scope="module")
def recorded():
    return kitti_sets.record()


@pytest.fixture(scope="module")
def roots(tmp_path_factory, recorded):
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in WRITERS}
    for kind, folder in folders.items():
        WRITERS[kind](folder, recorded)
    return folders


@pytest.fixture(params=list(WRITERS))
def kind(request):
    return request.param


def test_a_drive_comes_back(roots, recorded, kind):
    drive = open_drive(roots[kind])
    assert drive.name == NAMES[kind]
    assert (drive.fixed_frame, drive.base_frame) == ("odom", "base_link")
    assert np.array_equal(drive.base_T_lidar, np.eye(4))
    (camera,) = drive.cameras.values()
    assert (camera.name, camera.width_px, camera.height_px) == ("cam2", 160, 48)
    assert np.array_equal(camera.K, kitti_sets.K)
    np.testing.assert_allclose(camera.base_T_camera, kitti_sets.base_T_camera(2), atol=1e-9)
    for number, (one, pose) in enumerate(zip(drive.sets, recorded.odom_T_base, strict=True)):
        np.testing.assert_allclose(one.odom_T_base, pose, atol=POSE_BOUNDS_M[kind])
        assert np.array_equal(read_image(one.images["cam2"].path), recorded.images[2][number])
        assert np.array_equal(read_lidar(one.lidar.path), recorded.sets[number].lidar.points_m)
        assert one.images["cam2"].stamp_ns == one.lidar.stamp_ns == one.stamp_ns


def test_a_winding_way_comes_back(tmp_path, recorded, kind):
    way = [
        kitti_sets.rigid((0.02, -0.03, 2.5 + 0.4 * n), (5.0 + 1.5 * n, -3.0 + n * n, 0.2 * n))
        for n in range(kitti_sets.COUNT)
    ]
    winding = recorded.with_poses(way)
    WRITERS[kind](tmp_path, winding)
    for one, pose in zip(open_drive(tmp_path).sets, winding.odom_T_base, strict=True):
        np.testing.assert_allclose(one.odom_T_base, pose, atol=POSE_BOUNDS_M[kind])


def test_stamps_are_those_of_the_data_set(roots):
    stamps_ns = {kind: [one.stamp_ns for one in open_drive(roots[kind]).sets] for kind in WRITERS}
    assert stamps_ns["odometry"] == stamps_ns["tracking"] == [0, 100_000_000, 200_000_000]
    seconds = 1_317_042_145  # 2011-09-26 13:02:25 UTC
    assert stamps_ns["raw"][1] == seconds * 10**9 + 1_064_389_445


def test_camera_3_is_taken_on_demand(roots, recorded, kind):
    drive = open_drive(roots[kind], stereo=True)
    assert list(drive.cameras) == ["cam2", "cam3"]
    cam2_T_cam3 = se3.inverse(drive.cameras["cam2"].base_T_camera) @ (
        drive.cameras["cam3"].base_T_camera
    )
    np.testing.assert_allclose(cam2_T_cam3[:3, 3], (0.5328, -0.0028, 0.0), atol=1e-9)
    right = read_image(drive.sets[1].images["cam3"].path)
    assert np.array_equal(right, recorded.images[3][1])


@pytest.mark.parametrize("number", [2, 3])
def test_lidar_lies_on_the_rendered_depth(roots, recorded, kind, number):
    drive = open_drive(roots[kind], stereo=True)
    camera = drive.cameras[f"cam{number}"]
    for index, one in enumerate(drive.sets):
        points_m = se3.transform_points(
            se3.inverse(camera.base_T_camera), read_lidar(one.lidar.path).astype(np.float64)
        )
        error = relative_depth_error(points_m, camera.K, recorded.depth_m[number][index])
        assert len(error) > 100
        assert np.median(error) < 1e-6
        assert np.mean(error < 1e-3) > 0.9  # the others lie at edges of cars and kerbs


def relative_depth_error(points_m, K, depth_m):
    """Of points (N, 3) in the camera; inverse depth is linear between the pixels of a plane."""
    points_m = points_m[points_m[:, 2] > 0.5]
    u, v, _ = (points_m / points_m[:, 2:] @ K.T).T
    column, row = np.floor(u).astype(int), np.floor(v).astype(int)
    height_px, width_px = depth_m.shape
    inside = (column >= 0) & (row >= 0) & (column < width_px - 1) & (row < height_px - 1)
    u, v, column, row = (values[inside] for values in (u - column, v - row, column, row))
    inverse_depth = 1.0 / depth_m.astype(np.float64)
    top = (1 - u) * inverse_depth[row, column] + u * inverse_depth[row, column + 1]
    bottom = (1 - u) * inverse_depth[row + 1, column] + u * inverse_depth[row + 1, column + 1]
    rendered = (1 - v) * top + v * bottom
    return np.abs(points_m[inside, 2] * rendered - 1.0)


def test_a_frame_for_the_network_can_be_loaded(roots, kind):
    drive = open_drive(roots[kind])
    assert load_frame(drive, drive.sets[0], (24, 80)).images.shape == (1, 3, 24, 80)


def test_labels_are_boxes_that_move_over_ground(roots, recorded):
    drive = open_drive(roots["tracking"])
    base_T_vehicle = se3.inverse(kitti_sets.VEHICLE_T_BASE)
    for one, truth in zip(drive.sets, recorded.sets, strict=True):
        assert len(one.boxes) == len(truth.boxes) == 2
        for found, expected in zip(one.boxes, truth.boxes, strict=True):
            assert found.category == "Car"
            assert found.size_lwh_m == pytest.approx(expected.size_lwh_m)
            pose = base_T_vehicle @ expected.base_T_box
            np.testing.assert_allclose(found.base_T_box, pose, atol=1e-6)
            velocity = base_T_vehicle[:3, :3] @ (*expected.velocity_mps, 0.0)
            assert found.velocity_mps == pytest.approx(velocity[:2], abs=1e-4)
    assert [box.id for box in drive.sets[0].boxes] == [box.id for box in drive.sets[2].boxes]


def test_labels_by_hand(tmp_path):
    """A box heads along the camera's z; its third label is 0.7 s from the second, too far."""
    lines = [
        f"{frame} 5 Car 0 0 0 1 2 3 4 1.5 2 4 {x_m} 1.75 10 {-np.pi / 2}"
        for frame, x_m in ((0, 0.0), (2, 1.0), (9, 9.0))
    ]
    (tmp_path / "labels.txt").write_text("\n".join(lines))
    stamps_ns = [100_000_000 * number for number in range(10)]
    boxes = read_boxes(tmp_path / "labels.txt", np.eye(4), stamps_ns, [np.eye(4)] * 10)
    assert [len(of_frame) for of_frame in boxes] == [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    (first,), (second,), (third,) = boxes[0], boxes[2], boxes[9]
    assert first.size_lwh_m == (4.0, 2.0, 1.5)
    expected = [[0, -1, 0, 0.0], [0, 0, -1, 1.0], [1, 0, 0, 10.0], [0, 0, 0, 1]]
    np.testing.assert_allclose(first.base_T_box, expected, atol=1e-12)
    assert first.velocity_mps == second.velocity_mps == pytest.approx((5.0, 0.0))
    assert third.velocity_mps is None


def test_testing_has_no_boxes(tmp_path, recorded):
    kitti_sets.write_tracking(tmp_path, recorded, "testing", "0014")
    drive = open_drive(tmp_path)
    assert drive.name == "testing-0014"
    assert all(one.boxes is None for one in drive.sets)
    kitti_sets.write_tracking(tmp_path, recorded)
    assert open_drive(tmp_path, version="training").name == "training-0004"
    with pytest.raises(DataError, match="expected a part out of testing, training, got none"):
        open_drive(tmp_path)


def test_a_sweep_may_be_missing(roots, tmp_path, recorded, kind):
    WRITERS[kind](tmp_path, recorded)
    next(tmp_path.rglob("*000001.bin")).unlink()
    drive = open_drive(tmp_path)
    assert [one.lidar is None for one in drive.sets] == [False, True, False]


def test_poses_of_semantickitti_serve_where_the_benchmark_has_none(tmp_path, recorded):
    kitti_sets.write_odometry(tmp_path, recorded, "11", digits=12)
    poses = tmp_path / "poses" / "11.txt"
    poses.rename(tmp_path / "sequences" / "11" / "poses.txt")
    pose = open_drive(tmp_path).sets[2].odom_T_base
    np.testing.assert_allclose(pose, recorded.odom_T_base[2], atol=1e-9)
    (tmp_path / "sequences" / "11" / "poses.txt").unlink()
    with pytest.raises(DataError, match=r"poses/11.txt: file is missing, and so is .*11/poses.txt"):
        open_drive(tmp_path)


def test_sequences_are_chosen_by_name(tmp_path, recorded):
    for sequence in ("00", "08"):
        kitti_sets.write_odometry(tmp_path, recorded, sequence)
    assert open_drive(tmp_path, scene="00").name == "00"
    with pytest.raises(DataError, match="sequences: expected a sequence out of 00, 08, got none"):
        open_drive(tmp_path)
    with pytest.raises(DataError, match="has no versions"):
        open_drive(tmp_path, scene="00", version="training")


def test_voxel_grids_are_found_by_frame(tmp_path):
    folder = tmp_path / "sequences" / "08" / "voxels"
    folder.mkdir(parents=True)
    for name in ("000000.bin", "000000.label", "000000.invalid", "000000.occluded", "000005.bin"):
        (folder / name).touch()
    grids = kitti_odometry.voxel_files(tmp_path, "08")
    assert list(grids) == [0, 5]
    assert grids[0].label == folder / "000000.label"
    assert grids[0].invalid == folder / "000000.invalid"
    assert grids[0].occluded == folder / "000000.occluded"
    assert (grids[5].occupied, grids[5].label) == (folder / "000005.bin", None)


def test_splits():
    official = kitti_odometry.TRAINING + kitti_odometry.VALIDATION + kitti_odometry.TEST
    assert sorted(official) == [f"{number:02d}" for number in range(22)]
    assert kitti_odometry.VALIDATION == ("08",)
    assert kitti_odometry.TEST[0] == "11"
    assert len(kitti_tracking.TRAINING) == 18
    assert not {"0012", "0013", "0017"} & set(kitti_tracking.TRAINING)
    assert kitti_tracking.VALIDATION[-1] == "0014"


@pytest.mark.parametrize(
    ("kind", "broken", "change", "message"),
    [
        ("raw", f"{DRIVE}/image_02/data/0000000001.png", None, "01.png: file is missing"),
        ("raw", f"{DRIVE}/oxts/data/0000000002.txt", None, "02.txt: file is missing"),
        ("raw", f"{DRIVE}/oxts/data/0000000002.txt", (" 0\n", "\n"), "30 finite .* got 29"),
        ("raw", f"{DRIVE}/oxts/data/0000000002.txt", (" 0\n", " x\n"), "could not convert"),
        ("raw", f"{DRIVE}/image_02/timestamps.txt", ("26 13", "26h13"), "txt:1: .* a time"),
        ("raw", f"{DRIVE}/image_02/timestamps.txt", ("2011", "\n2011"), "txt:1: .* got ''"),
        ("raw", f"{DRIVE}/image_02/timestamps.txt", ("26.164", "26.064"), "increasing time"),
        ("raw", "2011_09_26/calib_imu_to_velo.txt", None, "imu_to_velo.txt: file is missing"),
        ("raw", "2011_09_26/calib_velo_to_cam.txt", ("T:", "X:"), "line T, got calib_time, R, X"),
        ("raw", "2011_09_26/calib_cam_to_cam.txt", ("P_rect_02", "P"), "a line P_rect_02, got "),
        ("raw", "2011_09_26/calib_cam_to_cam.txt", ("R_rect_00 9", "R_rect_00 8"), "a rigid"),
        ("odometry", "sequences/08/calib.txt", ("Tr:", "T:"), "a line Tr, got P2, P3, T"),
        ("odometry", "sequences/08/calib.txt", ("P2: 1", "P2: -1"), "P2: .*positive focal"),
        ("odometry", "sequences/08/times.txt", ("2.000000e-01\n", ""), "got 2.* 000002.png"),
        ("odometry", "sequences/08/times.txt", ("2.000000e-01", "nan"), "txt:3: expected 1 "),
        ("odometry", "sequences/08/image_2/000000.png", None, "000000.png: image is missing"),
        ("odometry", "poses/08.txt", ("\n", " 0\n"), "08.txt:1: expected 12 .* got 13"),
        ("odometry", "poses/08.txt", ("1.000000e+00", "2.0"), "08.txt:1: expected a rigid"),
        ("tracking", "training/oxts/0004.txt", (" 0\n", "\n"), "0004.txt:1: expected 30"),
        ("tracking", "training/calib/0004.txt", ("R_rect", "R"), "line R_rect, got P2, P3, R"),
        ("tracking", "training/label_02/0004.txt", ("2 -1", "3 -1"), "from 0 to 2, got 3"),
        ("tracking", "training/label_02/0004.txt", (" -1 -1 -1\n", "\n"), "16 finite numbers"),
        ("tracking", "training/image_02/0004/000002.png", None, "02.png: file is missing"),
    ],
)
def test_what_is_broken_is_named(tmp_path, recorded, kind, broken, change, message):
    WRITERS[kind](tmp_path, recorded)
    path = tmp_path / broken
    if change is None:
        path.unlink()
    else:
        text = path.read_text()
        assert change[0] in text
        path.write_text(text.replace(*change))
    with pytest.raises(DataError, match=message):
        open_drive(tmp_path)


def test_a_packet_too_few_is_named(tmp_path, recorded):
    kitti_sets.write_tracking(tmp_path, recorded)
    oxts = tmp_path / "training" / "oxts" / "0004.txt"
    oxts.write_text("\n".join(oxts.read_text().splitlines()[:2]) + "\n")
    message = r"oxts/0004.txt: .*/image_02/0004 has images, got 2, and yet there is 000002.png"
    with pytest.raises(DataError, match=message):
        open_drive(tmp_path)


def test_a_sweep_cut_short_is_named(tmp_path, recorded):
    kitti_sets.write_odometry(tmp_path, recorded)
    path = tmp_path / "sequences" / "08" / "velodyne" / "000001.bin"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"000001.bin: expected rows of 4 float32 \(16 bytes\)"):
        read_lidar(open_drive(tmp_path).sets[1].lidar.path)


def test_oxts_by_hand():
    """A degree of longitude at 60° north is half of one at the equator; 90° of yaw is north."""
    packets = [
        OxtsPacket(60.0, 8.0, 100.0, 0.0, 0.0, np.pi / 2),
        OxtsPacket(60.0, 8.001, 101.0, 0.0, 0.0, np.pi),
        OxtsPacket(60.0001, 8.0, 100.0, 0.0, -0.1, np.pi / 2),
    ]
    start, east, north = base_poses(packets, np.eye(4))
    assert np.array_equal(start, np.eye(4))
    degree_m = np.pi * 6378137.0 / 180.0
    np.testing.assert_allclose(east[:3, 3], (0.0, -0.0005 * degree_m, 1.0), atol=1e-6)
    np.testing.assert_allclose(east[:3, 0], (0.0, 1.0, 0.0), atol=1e-12)
    np.testing.assert_allclose(north[:3, 3], (0.0001 * degree_m, 0.0, 0.0), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(north[:3, 0], (np.cos(0.1), 0.0, np.sin(0.1)), atol=1e-12)


def test_the_way_of_a_real_drive_survives_oxts(tmp_path, shared_data, recorded):
    """110 poses that KITTI's OXTS packets gave; odom is the base at the first, as here."""
    real = read_recording(shared_data / "kitti_suburb")
    odom_T_base = [one.odom_T_base for one in real.sets]
    recording = recorded.with_poses(odom_T_base)
    packets = [
        OxtsPacket(*map(float, line.split()[:6])) for line in kitti_sets.oxts_lines(recording)
    ]
    poses = base_poses(packets, se3.inverse(kitti_sets.BASE_T_IMU))
    np.testing.assert_allclose(poses, odom_T_base, atol=1e-6)
