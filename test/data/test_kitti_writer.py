"""Sequences as KITTI and SemanticKITTI have them, read back by the loaders."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from synthetic_scenes import box, straight_world

from occflow_ros.cli import main
from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import Drive, OccupancyTruth
from occflow_ros.data.drive_writer import Capture, CapturedSet
from occflow_ros.data.kitti_odometry import read_kitti_odometry, voxel_files
from occflow_ros.data.kitti_writer import kitti_odometry_writer, voxels_of
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.data.semantic_kitti import GRID
from occflow_ros.data.semantic_kitti_voxels import read_bits, read_labels, read_voxel_truth
from occflow_ros.data.sensors import read_image, read_lidar
from occflow_ros.data.synthetic import (
    SceneOptions,
    SyntheticSet,
    lidar_sweep,
    write,
    write_synthetic,
)
from occflow_ros.data.synthetic.lidar import LidarSweep
from occflow_ros.data.synthetic.rig import kitti_rig
from occflow_ros.data.synthetic.semantic_kitti import in_lidar_frame, in_line_of_sight, voxel_truth
from occflow_ros.data.synthetic.street import Law
from occflow_ros.geometry import se3
from occflow_ros.structures import VoxelGrid

HEIGHT_PX, WIDTH_PX = 12, 32
INTERVAL_NS = 100_000_000
START_NS = 1_600_000_000_000_000_000
ROAD, CAR = NAMES.index("driveable_surface"), NAMES.index("car")
POINTS = np.array([[10.05, 0.05, -1.75], [10.15, 0.15, -1.65], [-3.0, 0.0, 0.0]], np.float32)


def header():
    rig = kitti_rig(HEIGHT_PX, WIDTH_PX)
    cameras = {camera.name: camera for camera in rig.cameras}
    return in_lidar_frame(Drive("any", cameras, (), base_T_lidar=rig.base_T_lidar))


def pose_at(number):
    """The ego drives 1 m a frame towards 30° from (5, 6, 7) on, its LiDAR a little tilted."""
    yaw = np.pi / 6
    turn = se3.from_quaternion_translation((0, 0, np.sin(yaw / 2), np.cos(yaw / 2)), (5, 6, 7))
    tilt = se3.from_quaternion_translation((np.sin(0.01), 0, 0, np.cos(0.01)), (number, 0, 0))
    return turn @ tilt


def one_set(number, occupancy=None, lidar_mask=None):
    stamp_ns, pose = START_NS + number * INTERVAL_NS, pose_at(number)
    image = np.full((HEIGHT_PX, WIDTH_PX, 3), (number, 100, 200), np.uint8)
    return CapturedSet(
        stamp_ns=stamp_ns,
        odom_T_base=pose,
        images={name: Capture(image, stamp_ns, pose) for name in ("cam2", "cam3")},
        lidar=Capture(POINTS, stamp_ns, pose),
        occupancy=occupancy,
        lidar_mask=lidar_mask,
    )


def truth():
    semantics = np.full(GRID.shape, FREE, np.uint8)
    velocity_mps = np.zeros((*GRID.shape, 2), np.float32)
    semantics[..., 1] = ROAD
    semantics[50, 128, 1:3] = CAR
    semantics[60, 128, 1:3], velocity_mps[60, 128, 1:3] = CAR, (0.0, 5.0)
    observed = np.ones(GRID.shape, bool)
    return OccupancyTruth(semantics, velocity_mps, observed, GRID.lower_m, GRID.upper_m)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kitti") / "set"
    seen = np.ones(GRID.shape, bool)
    seen[..., 0] = False
    with kitti_odometry_writer(folder, header()) as writer:
        writer.add_set(one_set(0, truth(), seen))
        writer.add_set(one_set(1))
        writer.add_set(one_set(2))
    return folder


def test_the_loader_reads_it(written):
    drive = read_kitti_odometry(written, "08", stereo=True)
    expected = header()
    assert list(drive.cameras) == ["cam2", "cam3"]
    for name, camera in drive.cameras.items():
        assert (camera.height_px, camera.width_px) == (HEIGHT_PX, WIDTH_PX)
        np.testing.assert_allclose(camera.K, expected.cameras[name].K, atol=1e-9)
        np.testing.assert_allclose(
            camera.base_T_camera, expected.cameras[name].base_T_camera, atol=1e-9
        )
    assert [one.stamp_ns for one in drive.sets] == [0, INTERVAL_NS, 2 * INTERVAL_NS]
    for number, one in enumerate(drive.sets):
        pose = se3.inverse(pose_at(0)) @ pose_at(number)
        np.testing.assert_allclose(one.odom_T_base, pose, atol=1e-9)
        assert read_image(one.images["cam2"].path)[0, 0].tolist() == [number, 100, 200]
        np.testing.assert_array_equal(read_lidar(one.lidar.path), POINTS)


def test_it_is_found_as_the_validation_split(written):
    assert [drive.name for drive in open_drives(written, Selection(split="val"))] == ["08"]


def test_voxels_lie_in_the_frame_of_the_lidar(written):
    files = voxel_files(written, "08")
    assert list(files) == [0]
    assert np.argwhere(read_bits(files[0].occupied)).tolist() == [[50, 128, 1]]
    labels = read_labels(files[0].label)
    assert np.unique(labels).tolist() == [0, 10, 40, 252]
    assert np.argwhere(labels == 10).tolist() == [[50, 128, 1], [50, 128, 2]]
    assert np.argwhere(labels == 252).tolist() == [[60, 128, 1], [60, 128, 2]]
    invalid = read_voxel_truth(files[0]).invalid
    assert invalid[..., 0].all()
    assert not invalid[..., 1:].any()


def test_points_fall_into_the_voxels_that_hold_them():
    points_m = np.array([[0.1, -25.5, -1.9], [51.1, 25.5, 4.3], [51.3, 0.0, 0.0]], np.float32)
    assert np.argwhere(voxels_of(points_m)).tolist() == [[0, 0, 0], [255, 255, 31]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": {}}, "cam2: expected an image at .* ns, got none"),
        ({"stamp_ns": START_NS + 7}, f"expected an image at .*7 ns, got one at {START_NS} ns"),
        ({"occupancy": truth()}, "expected a sweep and a lidar_mask"),
        ({"occupancy": replace(truth(), lower_m=(0.0, 0.0, 0.0))}, "expected a truth on"),
        ({"point_labels": np.zeros(2, np.uint16)}, "one for each point, got 3 points and 2 labels"),
    ],
)
def test_sets_that_do_not_fit_are_refused(change, message, tmp_path):
    with (
        pytest.raises(ValueError, match=message),
        kitti_odometry_writer(tmp_path / "set", header()) as writer,
    ):
        writer.add_set(replace(one_set(0), **change))
    assert list(tmp_path.iterdir()) == []


def test_drives_that_do_not_fit_are_refused(tmp_path):
    good = header()
    left, right = good.cameras.values()
    turned = replace(right, base_T_camera=right.base_T_camera @ pose_at(0))
    for bad, message in (
        (replace(good, cameras={"cam_front": left}), "expected the cameras cam2 and cam3"),
        (replace(good, base_T_lidar=pose_at(0)), "the frame of the LiDAR"),
        (replace(good, cameras={"cam2": left, "cam3": turned}), "orientation of cam2"),
    ):
        with (
            pytest.raises(ValueError, match=message),
            kitti_odometry_writer(tmp_path / "set", bad),
        ):
            pass
    with (
        pytest.raises(ValueError, match="expected at least one set"),
        kitti_odometry_writer(tmp_path / "set", good),
    ):
        pass


def test_line_of_sight_ends_at_a_wall():
    """From the middle of the near face, a wall across the street hides all behind it."""
    grid = VoxelGrid((0.0, -4.0, -1.0), (8.0, 4.0, 1.0), (16, 16, 4))
    wall = np.zeros(grid.shape, bool)
    wall[8] = True
    seen = in_line_of_sight(wall, grid, np.array([[0.0, 0.0, 0.0]]))
    assert seen[:9].all()
    assert not seen[9:].any()
    both = in_line_of_sight(wall, grid, np.array([[0.0, 0.0, 0.0], [6.1, 0.0, 0.0]]))
    assert both.all()
    assert in_line_of_sight(np.zeros_like(wall), grid, np.array([[0.0, 0.0, 0.0]])).all()


def test_half_a_wall_hides_a_shadow():
    """Behind a wall that ends at y = 0, seen from (0, 0), lies the shadow of y > 0."""
    grid = VoxelGrid((0.0, -4.0, -1.0), (8.0, 4.0, 1.0), (16, 16, 4))
    wall = np.zeros(grid.shape, bool)
    wall[4, 8:] = True
    seen = in_line_of_sight(wall, grid, np.array([[0.0, 0.0, 0.0]]))
    assert not seen[5:, 9:].any()
    assert seen[:, :8].all()


@pytest.fixture(scope="module")
def street():
    """A car 12.1 m ahead of the LiDAR is faster than the ego; a parked one is 9 m ahead of it."""
    car = box(4.0, 1.8, 1.5)
    movers = (car, Law(12.86, 0.55, 9.0)), (car, Law(9.76, -4.0))
    world = straight_world(*movers, ego=Law(0.0, 0.0, 6.0))
    rig = kitti_rig(HEIGHT_PX, WIDTH_PX)
    return world, rig, *voxel_truth(world, 0.0, rig, [0.0, 30.0])


def test_voxels_of_a_street(street):
    _, _, made, _ = street
    assert made.grid == GRID
    road = np.argwhere(made.semantics == ROAD)
    assert np.unique(road[:, 2]).tolist() == [1]  # 1.73 m below the LiDAR
    moving = made.velocity_mps[..., 0] > 1.0
    x_m, y_m, z_m = (np.argwhere(moving) + 0.5).T * 0.2 + np.array(GRID.lower_m)[:, None]
    assert (x_m.min(), x_m.max()) == pytest.approx((10.1, 14.1))  # from 10.1 to 14.1 m
    assert (y_m.min(), y_m.max()) == pytest.approx((-0.3, 1.5))  # from -0.35 to 1.45 m
    assert z_m.max() == pytest.approx(-0.3)  # its roof is at -0.23 m
    assert made.velocity_mps[moving][0].tolist() == [9.0, 0.0]


def test_what_the_lidar_hits_is_true_and_seen(street):
    world, rig, made, seen = street
    hit = voxels_of(lidar_sweep(world, 0.0, rig).points_m)
    assert hit.sum() > 1000
    assert (hit & (made.semantics != FREE)).sum() > 0.97 * hit.sum()
    assert (hit & seen).sum() > 0.9 * hit.sum()  # voxels hide more than the things in them


def test_the_road_is_seen_at_grazing_angles(street):
    """40 m ahead a ray comes down 9 mm on its way through a voxel of the road."""
    _, _, made, seen = street
    road = made.semantics[200, :, 1] == ROAD
    assert road.sum() > 20
    assert seen[200, road, 1][:10].all()
    assert not seen[200, road, 1].all()  # in the shadow of the car


def test_what_lies_below_the_road_is_not_seen(street):
    _, _, made, seen = street
    paved = (made.semantics[..., 1] != FREE).all(axis=1)  # rows without a kerb of 2 layers
    assert not seen[paved, :, 0].any()
    assert seen[..., -1].mean() > 0.9


def test_command_line_writes_semantic_kitti(tmp_path, capsys):
    out = tmp_path / "scene"
    arguments = ["synth", "--out", str(out), "--format", "semantickitti", "--frames", "2"]
    arguments += ["--image-size", "12x32", "--rate-hz", "10", "--truth", "none"]
    assert main([*arguments, "--sweeps", "1"]) == 1
    assert "sweeps: expected 0 for semantickitti" in capsys.readouterr().err
    assert main(arguments) == 0
    drive = read_kitti_odometry(out, "08", stereo=True)
    assert [one.stamp_ns for one in drive.sets] == [0, INTERVAL_NS]
    assert drive.cameras["cam2"].base_T_camera[:3, 3].tolist() == pytest.approx([0.27, 0.06, -0.08])
    assert len(read_lidar(drive.sets[0].lidar.path)) > 10_000
    assert voxel_files(out, "08") == {}


def test_every_fifth_frame_has_voxels(tmp_path, monkeypatch):
    """What is rendered and true is made by hand, since a whole street takes seconds."""
    asked_s = []
    class_id, moving = np.full(len(POINTS), CAR, np.uint8), np.arange(len(POINTS)) == 0
    sweep = LidarSweep(POINTS, class_id, moving)

    def voxels(world, time_s, rig, view_times_s):
        asked_s.append((time_s, list(view_times_s)))
        return truth(), np.ones(GRID.shape, bool)

    def sets(world, rig, times_s, workers):
        for time_s in times_s:
            view = SimpleNamespace(image=torch.zeros(8, 16, 3, dtype=torch.uint8), time_s=time_s)
            pose, views = world.odom_T_base(time_s), {"cam2": view, "cam3": view}
            yield SyntheticSet(time_s, pose, views, sweep, ())

    monkeypatch.setattr(write, "voxel_truth", voxels)
    monkeypatch.setattr(write, "frames", sets)
    options = SceneOptions(keyframes=6, rate_hz=10.0, image_hw_px=(8, 16))
    write_synthetic(tmp_path / "scene", "semantickitti", options)
    assert list(voxel_files(tmp_path / "scene", "08")) == [0, 5]
    assert asked_s == [(0.0, [0.0, 0.5]), (0.5, [0.0, 0.5])]
    for one in read_kitti_odometry(tmp_path / "scene").sets:  # all frames have labels of points
        assert np.fromfile(one.point_labels, "<u4").tolist() == [252, 10, 10]


def test_what_the_sweep_hits_is_valid(tmp_path):
    """Even where line of sight says that something hides it."""
    with kitti_odometry_writer(tmp_path / "set", header()) as writer:
        writer.add_set(one_set(0, truth(), np.zeros(GRID.shape, bool)))
    files = voxel_files(tmp_path / "set", "08")[0]
    assert np.argwhere(~read_bits(files.invalid)).tolist() == [[50, 128, 1]]
