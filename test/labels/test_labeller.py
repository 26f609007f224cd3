"""Labels of scenes made by hand: exact voxels, classes, velocities and masks."""

import label_drives as made
import numpy as np
import pytest

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.errors import DataError
from occflow_ros.labels.categories import class_of
from occflow_ros.labels.labeller import Labeller
from occflow_ros.labels.objects import collect_objects
from occflow_ros.labels.options import LabelOptions
from occflow_ros.labels.sweeps import read_sweep, split, thin
from occflow_ros.labels.tracks import Knot, boxes_at, motion_of, read_tracks

OPTIONS = LabelOptions(grid=made.GRID)
CAR, GROUND, STANDING = (NAMES.index(n) for n in ("car", "driveable_surface", "manmade"))
WALL = made.points([6.25], made.steps(-1.9, 1.9), made.steps(0.15, 2.45))


def labels(drive, options=OPTIONS):
    tracks = read_tracks(drive)
    sweeps = [read_sweep(drive, one, tracks, options) for one in drive.sets if one.lidar]
    labeller = Labeller(drive, tracks, collect_objects(sweeps, options.cell_m), options)
    return [labeller.label(camera_set) for camera_set in drive.sets]


def voxels(mask):
    return {tuple(map(int, voxel)) for voxel in np.argwhere(mask)}


def block(x, y, z):
    return {(i, j, k) for i in x for j in y for k in z}


def wall_label(tmp_path, **kwargs):
    before_wall = made.ground()[made.ground()[:, 0] < 6.0]
    drive = made.make_drive(tmp_path, [np.concatenate((before_wall, WALL))], [()], **kwargs)
    return labels(drive)[0]


def test_a_wall_and_the_ground_before_it(tmp_path):
    label = wall_label(tmp_path)
    semantics = label.truth.semantics
    foot = block([12], range(4, 12), [2])  # no farther than 0.3 m above the ground
    assert voxels(semantics == STANDING) == block([12], range(4, 12), range(3, 7))
    assert voxels(semantics[6:] == GROUND) == {
        (x - 6, y, z) for x, y, z in block(range(6, 12), range(16), [2]) | foot
    }
    assert not (semantics[:3] != FREE).any()  # nearer, no ray comes near the ground
    assert not label.truth.velocity_mps.any()


def test_what_lies_before_a_wall_is_free_and_what_lies_behind_is_unknown(tmp_path):
    label = wall_label(tmp_path)
    assert label.known[2:12, 8, 4].all() and label.known[label.truth.semantics != FREE].all()
    assert not label.known[13:].any()
    assert not label.known[0:2, :, 7].any()  # above all rays


def test_the_camera_mask_is_what_lidar_knows_and_a_camera_sees(tmp_path):
    label = wall_label(tmp_path)
    observed = label.truth.observed
    assert not (observed & ~label.known).any()
    assert observed[2:13, 8, 4].all()
    assert observed[12, 4:12, 2:7].all()
    assert label.known[1, 10, 3] and not observed[1, 10, 3]  # to the side of the image


def test_a_camera_that_looks_away_sees_nothing(tmp_path):
    label = wall_label(tmp_path, optical=made.BACKWARD)
    assert label.known.any()
    assert not label.truth.observed[2:].any()


def test_the_ground_between_returns_is_filled_where_rays_pass(tmp_path):
    """Rays that end 9.1 m away are less than 0.5 m above the ground from 5.06 m on."""
    rings = made.ground()
    rings = rings[(rings[:, 0] < 4.0) | (rings[:, 0] > 9.0)]
    label = labels(made.make_drive(tmp_path, [rings], [()]))[0]
    assert (label.truth.semantics[10:18, 4:12, 2] == GROUND).all()
    assert not label.known[8:10, :, 2].any()
    assert (label.truth.semantics[10:18, 4:12, 3] == FREE).all()
    assert label.known[10:18, 4:12, 3].all()


REAR, SIDE, TOP = (
    made.points([-1.9], made.steps(-0.9, 0.9), made.steps(-0.5, 0.6)),
    made.points(made.steps(-1.9, 1.9), [-0.9], made.steps(-0.5, 0.6)),
    made.points(made.steps(-1.9, 1.9), made.steps(-0.9, 0.9), [0.7]),
)
CENTERS_M = (6.0, 7.0, 8.0)
CAR_VOXELS = (  # of the first set; the car spans x from 4 to 8 m, y from −1 to 1, z from 0.1 to 1.6
    block([8], range(6, 10), range(2, 5))
    | block(range(8, 16), [6], range(2, 5))
    | block(range(8, 16), range(6, 10), [5])
)


def moving_car_drive(tmp_path, velocity_mps=(2.0, 0.0)):
    """Each sweep meets another part of a car that drives at 2 m/s; the ego stands."""
    poses = [made.pose(x_m, 0.0, 0.85) for x_m in CENTERS_M]
    sweeps_m = [
        np.concatenate((made.ground(), part + pose[:3, 3]))
        for part, pose in zip((REAR, SIDE, TOP), poses)
    ]
    return made.make_drive(tmp_path, sweeps_m, [(made.car(p, velocity_mps),) for p in poses])


@pytest.mark.parametrize("velocity_mps", [(2.0, 0.0), None])
def test_a_moving_car_is_whole_and_sharp_in_every_set(tmp_path, velocity_mps):
    for number, label in enumerate(labels(moving_car_drive(tmp_path, velocity_mps))):
        is_car = label.truth.semantics == CAR
        body = {(x + 2 * number, y, z) for x, y, z in CAR_VOXELS}
        underside = block(range(8 + 2 * number, 16 + 2 * number), range(6, 10), [2])
        assert body <= voxels(is_car) <= body | underside
        np.testing.assert_allclose(
            label.truth.velocity_mps[is_car], np.tile((2.0, 0.0), (is_car.sum(), 1)), atol=1e-6
        )
        assert not label.truth.velocity_mps[~is_car].any()
        assert not (label.truth.semantics == STANDING).any()  # it leaves no trail
        assert not label.known[12 + 2 * number, 8, 4]  # in the car


def test_moving_the_ego_moves_the_labels(tmp_path):
    """The same world from 1 m farther back and 0.5 m to the right: 2 and 1 voxels."""
    drive = moving_car_drive(tmp_path)
    first = labels(drive)[0].truth.semantics
    shift_m = np.array([1.0, 0.5, 0.0])
    back = np.linalg.inv(made.pose(*shift_m))
    (tmp_path / "back").mkdir()
    moved = made.make_drive(
        tmp_path / "back",
        [np.load(one.lidar.path) + made.SENSOR_M + shift_m for one in drive.sets],
        [(made.car(made.pose(x + 1.0, 0.5, 0.85)),) for x in CENTERS_M],
        poses=[back] * 3,
    )
    second = labels(moved)[0].truth.semantics
    np.testing.assert_array_equal(second[8:, 1:], first[6:-2, :-1])  # but for what is near


def test_without_boxes_what_stands_has_no_velocity_and_what_moves_smears(tmp_path):
    poses = [made.pose(x_m, 0.0, 0.85) for x_m in CENTERS_M]
    sweeps_m = [np.concatenate((made.ground(), REAR + pose[:3, 3])) for pose in poses]
    truth = labels(made.make_drive(tmp_path, sweeps_m, [None] * 3))[0].truth
    stands = truth.semantics == STANDING
    assert {x for x, _, _ in voxels(stands)} == {8, 10, 12}
    assert np.isnan(truth.velocity_mps[stands]).all()
    assert not truth.velocity_mps[~stands].any()


def test_a_box_without_points_leaves_its_inside_unknown(tmp_path):
    far = made.car(made.pose(10.0, 0.0, 1.35))
    sweep_m = np.concatenate((made.ground(), made.points([15.75], [0.25], made.steps(0.5, 2.0))))
    label = labels(made.make_drive(tmp_path, [sweep_m], [(far,)]))[0]
    assert not (label.truth.semantics == CAR).any()
    assert not label.known[16:24, 6:10, 3].any()
    assert label.known[14, 8, 4]  # before the box


def test_a_turning_box_moves_as_a_rigid_body(tmp_path):
    """Quarter turns at π/4 rad/s: at (0, 1) m from the centre the velocity is v + ω(−1, 0)."""
    rate = np.pi / 4
    poses = [made.pose(6.0 + 2.0 * t, 0.0, 0.85, rate * t) for t in (0.0, 0.5, 1.0)]
    drive = made.make_drive(tmp_path, [made.ground()] * 3, [(made.car(p),) for p in poses])
    tracks = read_tracks(drive)
    middle = drive.sets[1]
    motion = motion_of(tracks, middle.boxes[0], middle.stamp_ns, middle.odom_T_base)
    assert motion.velocity_mps == (2.0, 0.0)
    assert motion.yaw_rate_rad_per_s == pytest.approx(rate)
    parked = made.car(poses[1], velocity_mps=(0.1, 0.0))
    assert motion_of(tracks, parked, middle.stamp_ns, np.eye(4)).yaw_rate_rad_per_s == 0.0


def test_the_velocity_of_a_turning_car_at_its_voxels(tmp_path):
    rate = 0.5
    poses = [made.pose(7.0, 0.0, 0.85, rate * t) for t in (-0.5, 0.0, 0.5)]
    sweeps_m = [
        made.ground(),
        np.concatenate((made.ground(), TOP + poses[1][:3, 3])),
        made.ground(),
    ]
    drive = made.make_drive(tmp_path, sweeps_m, [(made.car(p),) for p in poses])
    truth = labels(drive)[1].truth
    assert truth.semantics[10, 6, 5] == CAR  # its centre (5.25, −0.75) lies at (−1.75, −0.75)
    assert truth.velocity_mps[10, 6, 5] == pytest.approx((2.0 + 0.5 * 0.75, -0.5 * 1.75), abs=1e-6)


def test_boxes_between_annotations_are_interpolated():
    def knot(stamp_s, x_m):
        return Knot(round(stamp_s * made.SECOND_NS), made.pose(x_m), (1.0, 1.0, 1.0))

    tracks = {"a": [knot(0.0, 0.0), knot(1.0, 4.0), knot(5.0, 9.0)]}
    at = {
        stamp_s: [
            float(k.odom_T_box[0, 3]) for k in boxes_at(tracks, round(stamp_s * 1e9)).values()
        ]
        for stamp_s in (-0.5, -0.05, 0.0, 0.25, 1.0, 3.0, 4.95, 5.0, 6.0)
    }
    assert at == {
        -0.5: [], -0.05: [0.0], 0.0: [0.0], 0.25: [1.0], 1.0: [4.0],
        3.0: [], 4.95: [9.0], 5.0: [9.0], 6.0: [],
    }  # fmt: skip


def test_points_are_told_apart_by_boxes():
    box = {"a": Knot(0, made.pose(5.0, 0.0, 1.0), (4.0, 2.0, 2.0))}
    points_m = np.array(
        [
            (5.0, 0.0, 1.5),  # inside
            (7.05, 0.0, 1.0),  # within the margin
            (7.15, 0.0, 1.0),  # outside of it
            (5.0, 0.0, 0.05),  # so low that it may be ground
            (5.0, 0.0, -0.2),  # below
        ]
    )
    sweep = split(np.zeros(3), points_m, box, margin_m=0.1)
    assert sweep.objects["a"][1].tolist() == [True, True, False, False, False]
    assert sweep.is_static.tolist() == [False, False, True, False, True]


def test_thinning_keeps_the_first_point_of_each_cell():
    points_m = np.array([(0.1, 0, 0), (-0.1, 0, 0), (0.2, 0.1, 0), (0.6, 0, 0), (0.1, 0, 900.0)])
    assert thin(points_m, 0.5).tolist() == points_m[[0, 1, 3, 4]].tolist()


@pytest.mark.parametrize(
    ("category", "name"),
    [
        ("vehicle.car", "car"),
        ("vehicle.bus.bendy", "bus"),
        ("human.pedestrian.adult", "pedestrian"),
        ("human.pedestrian.stroller", "others"),
        ("movable_object.trafficcone", "traffic_cone"),
        ("movable_object.debris", "others"),
        ("Van", "car"),
        ("Person_sitting", "pedestrian"),
        ("Cyclist", "bicycle"),
        ("Tram", "others"),
        ("construction_vehicle", "construction_vehicle"),
        ("free", "others"),
        ("driveable_surface", "others"),
    ],
)
def test_categories(category, name):
    assert class_of(category) == NAMES.index(name)


def test_sweeps_that_count_are_near_in_time_and_place(tmp_path):
    poses = [made.pose(10.0 * number) for number in range(20)]  # at 2 Hz
    drive = made.make_drive(tmp_path, [made.ground()] * 20, [()] * 20, poses=poses)

    def around(number, **settings):
        labeller = Labeller(drive, {}, {}, LabelOptions(grid=made.GRID, **settings))
        return labeller.sweeps_around(drive.sets[number])

    assert around(10, reach_m=25.0) == [8, 9, 10, 11, 12]
    assert around(10, window_s=1.5) == [7, 8, 9, 10, 11, 12, 13]
    assert around(9, max_sweeps=4) == [4, 8, 9, 12]  # 3 … 15 are within 60 m; each fourth, and 9


def test_two_boxes_of_one_id_are_refused(tmp_path):
    boxes = (made.car(made.pose(6.0)), made.car(made.pose(9.0)))
    drive = made.make_drive(tmp_path, [made.ground()], [boxes])
    with pytest.raises(DataError, match="own id, got two of '7'"):
        read_tracks(drive)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="finite numbers from 0"):
        LabelOptions(window_s=-1.0)
    with pytest.raises(ValueError, match="one sweep or more"):
        LabelOptions(max_sweeps=0)
