"""Errors of the made-up onboard model: of the size asked for, or none."""

from dataclasses import replace

import numpy as np
import pytest

from occflow_ros.data.classes import FREE, MOVABLE, NAMES
from occflow_ros.data.drive import Camera, CameraSet, Drive, OccupancyTruth
from occflow_ros.data.truth import write_truth
from occflow_ros.errors import DataError
from occflow_ros.offboard.corrupt import (
    CONFUSIONS,
    CorruptionOptions,
    corrupt_drive,
    corrupt_frame,
    sensor_position,
)
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.truth import TrueFrame
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-20.0, -20.0, -1.0), (20.0, 20.0, 3.0), (80, 80, 8))
SENSOR_M = np.array([1.0, 0.0, 1.5])
CAR, TRUCK, ROAD = (NAMES.index(name) for name in ("car", "truck", "driveable_surface"))
PERFECT = CorruptionOptions(
    dropout=0.0,
    dropout_per_m=0.0,
    swap=0.0,
    range_noise_m=0.0,
    range_noise=0.0,
    depth_bias=0.0,
    velocity_noise_mps=0.0,
)


def truth_of(class_id, speed_mps=0.0, observed=None):
    velocity_mps = np.zeros((*class_id.shape, 2), np.float32)
    velocity_mps[np.isin(class_id, MOVABLE), 0] = speed_mps
    seen = np.ones(class_id.shape, bool) if observed is None else observed
    return TrueFrame(class_id, velocity_mps, seen)


def full(number=CAR):
    return np.full(GRID.shape, number, np.uint8)


def corrupted(truth, seed=0, **changes):
    options = replace(PERFECT, **changes)
    return corrupt_frame(truth, GRID, SENSOR_M, options, np.random.default_rng(seed))


def ranges_m():
    return np.linalg.norm(GRID.centers_m().double().numpy() - SENSOR_M, axis=-1)


def test_without_errors_the_truth_that_cameras_see_is_left():
    rng = np.random.default_rng(7)
    class_id = rng.integers(0, len(NAMES), GRID.shape).astype(np.uint8)
    truth = truth_of(class_id, speed_mps=3.0, observed=rng.random(GRID.shape) < 0.5)
    frame = corrupted(truth)
    np.testing.assert_array_equal(frame.class_id, np.where(truth.observed, class_id, FREE))
    expected = np.where(truth.observed[..., None], truth.velocity_mps, 0.0)
    np.testing.assert_array_equal(frame.velocity_mps, expected)


def test_dropout_is_as_asked_and_grows_with_range():
    kept = corrupted(truth_of(full()), dropout=0.1, dropout_per_m=0.02).class_id == CAR
    range_m = ranges_m()
    for nearest_m, farthest_m in ((0.0, 8.0), (8.0, 16.0), (16.0, 24.0)):
        here = (range_m >= nearest_m) & (range_m < farthest_m)
        share = 0.1 + 0.02 * range_m[here]
        five_sigma = 5.0 * np.sqrt((share * (1.0 - share)).sum())
        assert abs((~kept[here]).sum() - share.sum()) < five_sigma


def test_as_many_patches_are_swapped_as_asked():
    """With patches finer than voxels, each voxel is one."""
    swapped = corrupted(truth_of(full()), swap=0.3, patch_deg=0.25).class_id
    assert set(np.unique(swapped)) == {CAR, TRUCK}
    far = ranges_m() > 10.0  # near the sensor, several voxels share a direction
    assert (swapped[far] == TRUCK).mean() == pytest.approx(0.3, abs=0.03)


def test_all_voxels_of_a_patch_are_swapped_together():
    """Of the line ahead of the sensor, at its own height, all or none."""
    line = np.full(GRID.shape, FREE, np.uint8)
    line[44:, 40, 5] = CAR
    found = {
        tuple(
            np.unique(
                corrupted(truth_of(line), seed, swap=0.5, patch_deg=45.0).class_id[44:, 40, 5]
            )
        )
        for seed in range(20)
    }
    assert found == {(CAR,), (TRUCK,)}


@pytest.mark.parametrize("number", range(FREE))
def test_each_class_is_taken_for_those_of_the_list_alike(number):
    swapped = corrupted(truth_of(full(number)), swap=1.0, patch_deg=0.5).class_id
    others = [NAMES.index(name) for name in CONFUSIONS[NAMES[number]]]
    shares = np.bincount(swapped.ravel(), minlength=len(NAMES)) / swapped.size
    assert number not in others
    assert shares[others] == pytest.approx(1.0 / len(others), abs=0.05)


def test_a_bias_moves_voxels_along_the_ray():
    """What is 12.5 m ahead at the height of the sensor is seen at 13.75 m and nowhere else."""
    class_id = np.full(GRID.shape, FREE, np.uint8)
    sensor_m = np.array([0.25, 0.25, 1.25])  # a voxel's centre
    class_id[65, 40, 4] = CAR  # at (12.75, 0.25, 1.25), 12.5 m ahead
    options = replace(PERFECT, depth_bias=0.1)
    frame = corrupt_frame(truth_of(class_id), GRID, sensor_m, options, np.random.default_rng(0))
    assert np.argwhere(frame.class_id == CAR).tolist() == [[68, 40, 4]]  # around 14.0 m


def test_range_noise_has_the_size_asked_for():
    """Of single voxels 12.5 m ahead; one step of the grid is 0.5 m."""
    class_id = np.full(GRID.shape, FREE, np.uint8)
    class_id[65, 40, 4] = CAR
    sensor_m = np.array([0.25, 0.25, 1.25])
    options = replace(PERFECT, range_noise_m=0.25, range_noise=0.06)  # 1 m at 12.5 m
    moved_m = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        frame = corrupt_frame(truth_of(class_id), GRID, sensor_m, options, rng)
        ((x, y, z),) = np.argwhere(frame.class_id == CAR)
        assert (y, z) == (40, 4)
        moved_m.append(0.5 * (x - 65))
    assert np.mean(moved_m) == pytest.approx(0.0, abs=0.25)
    assert np.std(moved_m) == pytest.approx(1.0, rel=0.15)  # 1.01 with the rounding to voxels


def test_of_two_points_in_a_voxel_the_nearer_one_stays():
    class_id = np.full(GRID.shape, FREE, np.uint8)
    class_id[60, 40, 4], class_id[61, 40, 4] = CAR, ROAD
    options, sensor_m = replace(PERFECT, depth_bias=-0.9), np.array([0.25, 0.25, 1.25])
    frame = corrupt_frame(truth_of(class_id), GRID, sensor_m, options, np.random.default_rng(0))
    assert np.argwhere(frame.class_id != FREE).tolist() == [[42, 40, 4]]
    assert frame.class_id[42, 40, 4] == CAR


def test_velocity_noise_is_for_movers_only():
    noisy = corrupted(truth_of(full(), speed_mps=4.0), velocity_noise_mps=0.5).velocity_mps
    np.testing.assert_allclose(noisy.reshape(-1, 2).mean(axis=0), (4.0, 0.0), atol=0.05)
    np.testing.assert_allclose(noisy.reshape(-1, 2).std(axis=0), 0.5, rtol=0.1)
    standing = corrupted(truth_of(full(), speed_mps=0.4), velocity_noise_mps=0.5).velocity_mps
    assert set(np.unique(standing)) == {0.0, np.float32(0.4)}


def test_unknown_velocity_is_none():
    truth = truth_of(full())
    unknown = replace(truth, velocity_mps=np.full_like(truth.velocity_mps, np.nan))
    assert not corrupted(unknown, velocity_noise_mps=1.0).velocity_mps.any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"dropout": 1.5},
        {"swap": -0.1},
        {"range_noise": float("nan")},
        {"depth_bias": -1.0},
        {"patch_deg": 0.0},
        {"seed": -1},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        replace(PERFECT, **wrong)


def drive_with_truth(folder, count=3, name="street"):
    """Random voxels on a grid of 16×16×4 over the box of Occ3D, seen by one camera."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, sets = np.random.default_rng(3), []
    for index in range(count):
        class_id = np.where(rng.random((16, 16, 4)) < 0.3, ROAD, FREE).astype(np.uint8)
        truth = OccupancyTruth(
            class_id, np.zeros((16, 16, 4, 2), np.float32), np.ones((16, 16, 4), bool)
        )
        write_truth(folder / f"{index}.npz", truth)
        sets.append(CameraSet(index * 10**9, np.eye(4), {}, occupancy=folder / f"{index}.npz"))
    K = np.array([[50.0, 0, 20], [0, 50, 10], [0, 0, 1]])
    mount = np.eye(4)
    mount[:3, 3] = SENSOR_M
    return Drive(name, {"front": Camera("front", 40, 20, K, mount)}, tuple(sets))


def test_a_frame_is_the_same_in_whatever_order_frames_are_made(tmp_path):
    drive, grid = (
        drive_with_truth(tmp_path / "truth"),
        VoxelGrid((-40, -40, -1), (40, 40, 5.4), (16, 16, 4)),
    )
    np.testing.assert_array_equal(sensor_position(drive), SENSOR_M)

    def made(folder, order, **changes):
        options = replace(CorruptionOptions(), **changes)
        store = corrupt_drive(
            drive, tmp_path / folder, grid, options, lambda places, _: order(places)
        )
        return [store.load(place).class_id for place in range(3)]

    forward, backward = made("a", iter), made("b", reversed)
    np.testing.assert_array_equal(forward, backward)
    assert not np.array_equal(forward[0], made("c", iter, seed=1)[0])


def test_frames_that_are_there_are_kept(tmp_path):
    drive, grid = (
        drive_with_truth(tmp_path / "truth"),
        VoxelGrid((-40, -40, -1), (40, 40, 5.4), (8, 8, 2)),
    )
    totals = []

    def run():
        corrupt_drive(
            drive,
            tmp_path / "out",
            grid,
            CorruptionOptions(),
            lambda places, total: totals.append(total) or places,
        )

    run()
    (tmp_path / "out" / "frames" / "000001.npz").unlink()
    run()
    assert totals == [3, 1]
    assert FrameStore(tmp_path / "out").missing == ()


def test_a_drive_without_truth_is_refused(tmp_path):
    drive = drive_with_truth(tmp_path)
    bare = replace(drive, sets=tuple(replace(one, occupancy=None) for one in drive.sets))
    with pytest.raises(DataError, match="expected exact occupancy"):
        corrupt_drive(bare, tmp_path / "out", GRID, CorruptionOptions(), lambda places, _: places)
