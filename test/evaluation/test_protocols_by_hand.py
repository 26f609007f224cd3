"""Protocols on scenes whose numbers follow by hand."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from evaluation_drives import CAR, GRID, ROAD, empty, job, numbers_of, write_labels

from occflow_ros.cues import flow_cue
from occflow_ros.data.classes import FREE
from occflow_ros.data.drive import Box, Camera, Drive, OccupancyTruth
from occflow_ros.data.drive_writer import Capture, CapturedSet
from occflow_ros.data.recording import read_recording, recording_writer
from occflow_ros.data.scene import VoxelScene
from occflow_ros.data.truth import write_truth
from occflow_ros.engine.prediction import Prediction
from occflow_ros.engine.view import Seen
from occflow_ros.evaluation.protocols import PROTOCOLS
from occflow_ros.evaluation.subject import Subject
from occflow_ros.labels.store import label_path
from occflow_ros.metrics.lidar_accuracy import load_lidar

HEIGHT_PX, WIDTH_PX, FOCAL_PX = 18, 32, 16.0
K = np.array([[FOCAL_PX, 0.0, 16.0], [0.0, FOCAL_PX, 9.0], [0.0, 0.0, 1.0]])
OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
WALL_M, STEP_S, EGO_MPS = 6.0, 0.5, 2.0
PIXELS = np.stack(np.meshgrid(np.arange(2, 32, 4), (2, 6, 14)), axis=-1).reshape(-1, 2)
FROM_CENTRE = PIXELS - (16.0, 9.0)


def pose(x_m):
    odom_T_base = np.eye(4)
    odom_T_base[0, 3] = x_m
    return odom_T_base


def on_the_wall():
    """Points (P, 3) in base that lie 6 m ahead, seen at the pixels."""
    right_m, down_m = WALL_M / FOCAL_PX * FROM_CENTRE.T
    return np.stack((np.full_like(right_m, WALL_M), -right_m, 1.5 - down_m), -1).astype(np.float32)


def truth_of(*voxels):
    """A flat road and these voxels of a car that drives at 5 m/s."""
    semantics = np.full(GRID.shape, FREE, np.uint8)
    semantics[..., 2] = ROAD  # from z = 0 to 0.5 m
    velocity_mps = np.zeros((*GRID.shape, 2), np.float32)
    for voxel in voxels:
        semantics[voxel], velocity_mps[voxel] = CAR, (4.0, -3.0)
    return OccupancyTruth(
        semantics, velocity_mps, np.ones(GRID.shape, bool), GRID.lower_m, GRID.upper_m
    )


@pytest.fixture
def make_drive(tmp_path):
    """Two sets of an ego that drives 1 m between them, with the LiDAR 2 m up or in the base."""

    def make(truth=None, boxes=None, lidar_z_m=2.0):
        base_T_lidar = np.eye(4)
        base_T_lidar[2, 3] = lidar_z_m
        camera = Camera("cam", WIDTH_PX, HEIGHT_PX, K, OPTICAL)
        header = Drive("by hand", {"cam": camera}, (), base_T_lidar=base_T_lidar)
        with recording_writer(tmp_path / "drive", header) as writer:
            for number in range(2):
                stamp_ns, x_m = int((number + 1) * STEP_S * 1e9), number * STEP_S * EGO_MPS
                image = np.full((HEIGHT_PX, WIDTH_PX, 3), 90 + number, np.uint8)
                captured = CapturedSet(
                    stamp_ns=stamp_ns,
                    odom_T_base=pose(x_m),
                    images={"cam": Capture(image, stamp_ns, pose(x_m))},
                    lidar=Capture(on_the_wall(), stamp_ns, pose(x_m)),
                    boxes=boxes,
                    occupancy=truth,
                )
                writer.add_set(captured)
        return read_recording(tmp_path / "drive")

    return make


@pytest.fixture
def numbers(make_drive, tmp_path):
    def of(truth, change=lambda truth: truth):
        folder = write_labels(make_drive(truth), tmp_path / "predictions", change)
        asked = job("nuscenes", tmp_path / "drive", predictions=folder)
        return numbers_of(asked, tmp_path / "out")

    return of


def test_flat_ground_is_right_where_nothing_else_is(numbers):
    got = numbers(truth_of(), empty)
    assert got["flat_agnostic_ray_iou"] == got["flat_pooled_ray_iou"] == 1.0
    assert got["flat_camera_iou"] == 1.0
    assert got["agnostic_ray_iou"] == got["camera_iou"] == 0.0


def test_flat_ground_and_standing_still_beside_a_car(numbers):
    """32 × 24 voxels of road, 3 of a car on it, which moves at 5 m/s."""
    got = numbers(truth_of((22, 12, 3), (22, 12, 4), (23, 12, 3)))
    assert got["flat_camera_iou"] == pytest.approx(32 * 24 / (32 * 24 + 3))
    assert got["camera_iou"] == got["agnostic_ray_iou"] == 1.0
    assert 0.0 < got["flat_agnostic_ray_iou"] < got["flat_pooled_ray_iou"] < 1.0
    assert got["still_agnostic_mave_tp_mps"] == pytest.approx(5.0)
    assert got["agnostic_mave_tp_mps"] == got["agnostic_mave_mps"] == 0.0


def test_each_mask_counts_its_own_voxels(make_drive, tmp_path):
    """The prediction lacks the road behind the ego, where LiDAR knows nothing."""
    drive, truth = make_drive(truth_of()), truth_of()
    known = np.zeros(GRID.shape, bool)
    known[16:] = True
    for camera_set in drive.sets:
        path = label_path(tmp_path / "labels", drive, camera_set)
        path.parent.mkdir(parents=True)
        write_truth(path, truth, known)

    def ahead(truth):
        return replace(truth, semantics=np.where(known, truth.semantics, FREE).astype(np.uint8))

    folder = write_labels(drive, tmp_path / "predictions", ahead)
    asked = job("nuscenes", tmp_path / "drive", predictions=folder, labels=tmp_path / "labels")
    got = numbers_of(asked, tmp_path / "out")
    assert got["lidar_iou"] == got["lidar_miou"] == got["flat_lidar_iou"] == 1.0
    assert got["camera_iou"] == got["camera_recall"] == 0.5
    assert got["camera_precision"] == 1.0


def test_a_prediction_of_another_moment_is_held_against_the_truth_where_it_lies(
    make_drive, tmp_path
):
    """The ego is 1 m, which is two voxels, further on when the prediction is made."""
    truth = truth_of((22, 12, 3))
    subject = Subject(tmp_path, make_drive(truth), range(2))
    ahead = VoxelScene(GRID, np.roll(truth.semantics != FREE, -2, axis=0), truth.velocity_mps)
    scores = [
        PROTOCOLS["nuscenes"].score(subject, 0, Prediction.of_voxels(ahead, pose(x_m)))
        for x_m in (0.0, 1.0)
    ]
    ious = [one.camera.occupied.iou for one in scores]
    hits = [one.rays.agnostic.by_name()["car"] for one in scores]
    assert ious[1] == (32 * 24 - 2 * 24 + 1) / (32 * 24 + 1)  # the last 1 m behind is not predicted
    assert hits[1] == (1.0, 1.0, 1.0)
    assert hits[0][0] < 1.0


def wall_that_drives(scene, odom_T_base=None, off_m=0.0):
    """A view of nothing but the wall, which drives as the ego does."""

    def view(rays):
        range_m = (WALL_M + off_m - rays.origins_m[:, 0]) / rays.directions[:, 0]
        return Seen(range_m, torch.tensor((EGO_MPS, 0.0)).expand(len(range_m), 2))

    return Prediction(scene, np.eye(4) if odom_T_base is None else odom_T_base, view)


def nothing():
    return VoxelScene(GRID, np.zeros(GRID.shape, bool), np.zeros((*GRID.shape, 2), np.float32))


def cues_of_a_still_picture(movable):
    zero = np.zeros((HEIGHT_PX, WIDTH_PX, 2), np.float32)
    everywhere = np.ones((HEIGHT_PX, WIDTH_PX), bool)
    return SimpleNamespace(
        has_flow=True,
        has_movable=movable,
        flow=lambda image, following: flow_cue(zero, everywhere),
        movable=lambda image: everywhere,
    )


@pytest.mark.parametrize("movable", [True, False])
def test_scene_flow_of_a_wall_that_drives_as_the_ego_does(make_drive, tmp_path, movable):
    """A wall that stood would come nearer, from 6 m to 5 m, and grow by a fifth."""
    protocol = PROTOCOLS["kitti-flow"]
    drive = make_drive(lidar_z_m=0.0)
    subject = Subject(tmp_path, drive, range(2), cues=cues_of_a_still_picture(movable))
    assert protocol.compared(subject) == [0]  # from the last set no flow leads on
    got = protocol.numbers(protocol.score(subject, 0, wall_that_drives(nothing())))
    for name in ("de_px", "epe_px", "d1", "f1", "sf1", "kitti_sf1", "still_de_px"):
        assert got[name] == pytest.approx(0.0, abs=1e-5), name
    still_px = np.linalg.norm(0.2 * FROM_CENTRE, axis=-1)
    assert got["still_epe_px"] == pytest.approx(still_px.mean(), rel=1e-5)
    assert got["still_kitti_f1"] == pytest.approx((still_px > 3.0).mean())
    assert math.isnan(got["epe_fg_px"]) != movable


@pytest.mark.parametrize("off_m", [0.0, 0.6, -0.6])
def test_depth_of_a_wall(make_drive, tmp_path, off_m):
    protocol = PROTOCOLS["depth"]
    subject = Subject(tmp_path, make_drive(lidar_z_m=0.0), range(2))
    prediction = wall_that_drives(nothing(), off_m=off_m)
    got = protocol.numbers(protocol.score(subject, 0, prediction))
    assert got["abs_rel"] == got["pooled_abs_rel"] == pytest.approx(0.1 * (off_m != 0), abs=1e-6)
    assert got["rmse_m"] == pytest.approx(abs(off_m), abs=1e-5)
    assert got["delta1"] == 1.0
    below = FROM_CENTRE[:, 1] > 0
    far_m = 80.0 * FOCAL_PX / np.hypot(FOCAL_PX, np.linalg.norm(FROM_CENTRE, axis=-1))
    flat_m = np.where(below, 1.5 * FOCAL_PX / 5.0, far_m)  # the row 5 px below the horizon
    assert got["flat_abs_rel"] == pytest.approx((np.abs(flat_m - WALL_M) / WALL_M).mean())
    assert math.isnan(got["box_velocity_error_mps"])
    assert got["lidar_voxel_recall"] == 0.0


@pytest.mark.parametrize("moved_m", [0.0, 1.0])
def test_velocity_in_a_box_around_the_wall(make_drive, tmp_path, moved_m):
    """In the frame of the prediction, also where that is another moment's."""
    base_T_box = pose(WALL_M)
    box = Box("1", "vehicle.truck", base_T_box, (1.0, 30.0, 30.0), (EGO_MPS, 0.0))
    drive = make_drive(boxes=(box,), lidar_z_m=0.0)
    hit = load_lidar(drive, drive.sets[0], GRID, pose(moved_m))
    ahead = np.unique(np.nonzero(hit.occupied)[0])
    assert ahead.tolist() == [int((WALL_M - moved_m + 8.0) / 0.5)]
    protocol = PROTOCOLS["depth"]
    subject = Subject(tmp_path, drive, range(1))
    got = protocol.numbers(protocol.score(subject, 0, wall_that_drives(hit, pose(moved_m))))
    assert got["lidar_voxel_recall"] == 1.0
    assert got["box_velocity_error_mps"] == 0.0
    assert got["still_box_velocity_error_mps"] == pytest.approx(EGO_MPS)
