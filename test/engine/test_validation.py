"""A stream on a hand-made drive: perfect, trivial and empty predictions, and depth by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_network import HW_PX, frame, tiny_config

from occflow_ros.cues.truth import TruthFiles
from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import Camera, Drive, OccupancyTruth
from occflow_ros.data.drive_writer import Capture, CapturedSet
from occflow_ros.data.recording import read_recording, recording_writer
from occflow_ros.engine.rendered_depth import _nearest_of_blocks, flat_ground_depth_m
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.engine.validation import Scores, validate
from occflow_ros.engine.view import FAR_M, rendered_view
from occflow_ros.errors import DataError
from occflow_ros.metrics.accuracy import flat_ground, sensor_positions
from occflow_ros.models.build import build_network
from occflow_ros.rendering.rays import camera_rays, clip_to_grid
from occflow_ros.structures import OccupancyFlow, VoxelGrid
from occflow_ros.table import as_text

SETS, STEP_NS = 4, 500_000_000
HEIGHT_PX, WIDTH_PX = 18, 32
LOWER, UPPER = (-8.0, -8.0, -1.0), (8.0, 8.0, 3.0)  # of the tiny network
FINE = VoxelGrid(LOWER, UPPER, (32, 24, 8))
COARSE = VoxelGrid(LOWER, UPPER, (16, 12, 4))
WALL_M, EGO_MPS, CAR_MPS = 6.0, 10.0, (4.0, -3.0)
OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
K = np.array([[16.0, 0.0, 16.0], [0.0, 16.0, 9.0], [0.0, 0.0, 1.0]])
RAISED = np.eye(4)
RAISED[2, 3] = 2.0


def pose(stamp_ns):
    odom_T_base = np.eye(4)
    odom_T_base[0, 3] = EGO_MPS * stamp_ns * 1e-9
    return odom_T_base


def truth():
    """A road, a wall ahead and a car that drives."""
    semantics = np.full(FINE.shape, FREE, np.uint8)
    semantics[:, :, 2:3] = NAMES.index("driveable_surface")  # from z = 0 to 0.5 m
    semantics[28:, :, 2:] = NAMES.index("manmade")  # from x = 6 m
    semantics[22:24, 12:14, 3:5] = NAMES.index("car")
    velocity_mps = np.zeros((*FINE.shape, 2), np.float32)
    velocity_mps[22:24, 12:14, 3:5] = CAR_MPS
    return OccupancyTruth(semantics, velocity_mps, np.ones(FINE.shape, bool), LOWER, UPPER)


def captured(number, with_lidar=True, with_truth=True):
    """The sweep ends 0.1 s, and the ego drives 1 m, after the image was taken."""
    stamp_ns = (number + 1) * STEP_NS
    taken_ns = stamp_ns - 100_000_000
    image = np.full((HEIGHT_PX, WIDTH_PX, 3), 90 + number, np.uint8)
    points_m = np.array([(3.0, 0.0, 0.0), (4.0, 1.0, -0.5), (-5.0, 0.0, 0.0)], np.float32)
    return CapturedSet(
        stamp_ns=stamp_ns,
        odom_T_base=pose(stamp_ns),
        images={"cam": Capture(image, taken_ns, pose(taken_ns))},
        lidar=Capture(points_m, stamp_ns, pose(stamp_ns)) if with_lidar else None,
        occupancy=truth() if with_truth else None,
    )


@pytest.fixture
def make_drive(tmp_path):
    def make(**kwargs):
        camera = Camera("cam", WIDTH_PX, HEIGHT_PX, K, OPTICAL)
        header = Drive("by hand", {"cam": camera}, (), base_T_lidar=RAISED)
        with recording_writer(tmp_path / "drive", header) as writer:
            for number in range(SETS):
                writer.add_set(captured(number, **kwargs))
        return read_recording(tmp_path / "drive")

    return make


class Known:
    """Stands for a stream: predicts the same volume at each step, and remembers what it saw."""

    def __init__(self, occupied, grid, velocity_mps=None, sdf_m=None):
        flow = np.zeros((*grid.shape, 2), np.float32) if velocity_mps is None else velocity_mps
        self.sdf_m = torch.from_numpy(np.where(occupied, -1.0, 1.0)) if sdf_m is None else sdf_m
        self.grid, self.flow_m, self.seen = grid, torch.from_numpy(0.5 * flow), []

    def reset(self, reason):
        self.seen = []

    def step(self, frame):
        self.seen.append(frame.stamp_ns)
        return OccupancyFlow(
            frame.stamp_ns, self.grid, self.sdf_m.float(), self.flow_m, 0.5, 10.0, 0.0
        )


def perfect():
    return Known(truth().semantics != FREE, FINE, truth().velocity_mps)


def scores(stream, drive, **kwargs):
    return validate(stream, drive, HW_PX, sharpness_per_m=10.0, **kwargs)


@pytest.mark.parametrize("with_lidar", [True, False])
def test_a_perfect_prediction_scores_the_maximum(make_drive, with_lidar):
    got = scores(perfect(), make_drive(with_lidar=with_lidar))
    rays = got.accuracy.rays
    assert got.sets == got.accuracy.sets == SETS
    assert got.accuracy.occupancy.iou == 1.0
    assert rays.all_rays.rays > rays.objects.rays > 1000
    assert rays.all_rays.ray_iou == rays.objects.ray_iou == 1.0
    assert rays.velocity.mean_mps == got.accuracy.velocity.mean_mps == 0.0
    assert rays.zero_velocity.mean_mps == got.accuracy.zero_velocity.mean_mps == 5.0
    assert rays.velocity.voxels == rays.zero_velocity.voxels > 0
    assert 0.0 < rays.all_rays_flat.ray_iou < 1.0


def test_rays_start_at_the_lidar_or_else_at_the_first_camera(make_drive):
    """The LiDAR is 2 m up at the stamps of the sets, the camera 1.5 m up and 1 m behind."""
    drive = make_drive()
    np.testing.assert_allclose(sensor_positions(drive), [(5.0 * n, 0, 2) for n in range(1, 5)])
    blind = replace(drive, sets=tuple(replace(one, lidar=None) for one in drive.sets))
    np.testing.assert_allclose(
        sensor_positions(blind), [(5.0 * n - 1, 0, 1.5) for n in range(1, 5)]
    )


@pytest.mark.parametrize("grid", [FINE, COARSE])
def test_flat_ground_scores_what_stands_beside_it(make_drive, grid):
    got = scores(Known(flat_ground(grid), grid), make_drive()).accuracy
    assert got.occupancy == got.flat_ground
    assert got.rays.all_rays == got.rays.all_rays_flat
    assert got.rays.objects == got.rays.objects_flat
    assert got.rays.velocity == got.rays.zero_velocity


def test_an_empty_prediction_finds_nothing(make_drive):
    rays = scores(Known(np.zeros(FINE.shape, bool), FINE), make_drive()).accuracy.rays
    assert rays.all_rays.ray_iou == rays.objects.ray_iou == 0.0
    assert math.isnan(rays.velocity.mean_mps)


def test_every_second_set_is_compared_and_all_are_seen(make_drive):
    drive, stream = make_drive(), perfect()
    stream.seen = ["an earlier drive"]
    assert scores(stream, drive, every=2).sets == 2
    assert stream.seen == [one.images["cam"].stamp_ns for one in drive.sets]
    assert scores(perfect(), drive, every=5).sets == 0
    with pytest.raises(ValueError, match="every: expected a positive number"):
        scores(stream, drive, every=0)


def test_some_sets_are_compared_and_those_before_them_are_history(make_drive):
    drive, stream = make_drive(), perfect()
    stamps = [one.images["cam"].stamp_ns for one in drive.sets]
    assert scores(stream, drive, sets=range(2, 3), lead_in=1).sets == 1
    assert stream.seen == stamps[1:3]
    assert scores(stream, drive, sets=range(1, 4), lead_in=5, every=2).sets == 1
    assert stream.seen == stamps
    assert scores(stream, drive, sets=range(2, 2), lead_in=1).sets == 0
    with pytest.raises(ValueError, match="sets: expected a part"):
        scores(stream, drive, sets=range(3, 5))


def test_without_truth_nothing_is_compared_but_depth(make_drive):
    got = scores(perfect(), make_drive(with_truth=False))
    assert (got.sets, got.accuracy.sets, got.depth.prediction.pixels) == (SETS, 0, 2 * SETS)
    assert math.isnan(got.numbers()["ray_iou"])
    assert "-" in as_text(got.table())
    assert (got + Scores(skipped=1)).skipped == 1


def wall_ahead():
    """Distance to the wall, which the field continues outside of the grid."""
    return WALL_M - COARSE.centers_m()[..., 0]


def wall_depths(drive):
    """Exact depth of the wall in each image, with a strip of sky; it drives as the ego does."""
    folder = drive.sets[0].images["cam"].path.parents[1] / "truth" / "cam"
    folder.mkdir(parents=True)
    for number in range(SETS):
        depth_m = np.full((HEIGHT_PX, WIDTH_PX), WALL_M, np.float32)
        depth_m[:4] = np.inf
        np.savez(
            folder / f"{number:06d}.npz",
            depth_m=depth_m,
            flow_forward_px=np.zeros((HEIGHT_PX, WIDTH_PX, 2), np.float32),
            visible_forward=np.ones((HEIGHT_PX, WIDTH_PX), bool),
            semantic=np.full((HEIGHT_PX, WIDTH_PX), NAMES.index("truck"), np.uint8),
        )
    return TruthFiles(folder.parents[1], drive)


def test_depth_of_a_wall_against_exact_depth(make_drive):
    drive = make_drive(with_truth=False)
    stream = Known(None, COARSE, sdf_m=wall_ahead())
    got = scores(stream, drive, truth_files=wall_depths(drive)).depth
    assert got.prediction.pixels == SETS * 3 * 8  # rows 6, 10 and 14, since 2 is sky
    assert got.prediction.abs_rel < 0.03
    assert got.prediction.delta == (1.0, 1.0, 1.0)
    assert got.flat_ground.abs_rel > 0.5


@pytest.mark.parametrize("speed_mps", [EGO_MPS, 0.0])
def test_optical_flow_of_a_wall_that_drives_ahead(make_drive, speed_mps):
    """Where it stands, pixels go away from the centre: 6 m become 1 m, since the ego drives 5 m."""
    drive = make_drive(with_truth=False)
    velocity_mps = np.zeros((*COARSE.shape, 2), np.float32)
    velocity_mps[..., 0] = speed_mps
    stream = Known(None, COARSE, velocity_mps, sdf_m=wall_ahead())
    got = scores(stream, drive, truth_files=wall_depths(drive)).scene_flow
    assert got.epe_px.images == SETS - 1  # the last set has no next one
    assert got.epe_px == got.epe_fg_px == got.epe_moving_px
    assert got.de_px.value < 0.2
    pixels = np.stack(np.meshgrid(np.arange(2, 32, 4), (6, 10, 14)), axis=-1) - (16.0, 9.0)
    far_px = 2.0 * 5.0 * np.linalg.norm(pixels, axis=-1).mean()  # the network's are twice as many
    still = 1.0 - speed_mps / EGO_MPS
    assert got.epe_px.value == pytest.approx(still * far_px, rel=0.2, abs=0.1)
    assert got.sf1.value == pytest.approx(still)


def test_missing_exact_depth_is_reported(make_drive):
    drive = make_drive()
    files = wall_depths(drive)
    next((drive.sets[0].images["cam"].path.parents[1] / "truth").rglob("*.npz")).unlink()
    with pytest.raises(DataError, match="missing"):
        scores(perfect(), drive, truth_files=files)


def slanted(ahead_m):
    """A wall through (ahead, 0) and (ahead + 1, 1), on which both points in view lie."""
    x, y, _ = COARSE.centers_m().unbind(-1)
    return Known(None, COARSE, sdf_m=(ahead_m + y - x) * math.sqrt(0.5))


def test_lidar_points_are_moved_to_where_the_camera_was(make_drive):
    drive = make_drive(with_truth=False)
    got = scores(slanted(3.0 + 1.0), drive).depth.prediction
    assert got.pixels == 2 * SETS
    assert got.abs_rel < 0.05
    assert scores(slanted(3.0), drive).depth.prediction.abs_rel > 0.15


def rays_of(*directions):
    return camera_rays(torch.tensor(directions), torch.from_numpy(OPTICAL), 0.5, FAR_M)


def test_what_a_ray_has_left_ends_where_it_leaves_the_grid():
    """Up to half of one of the 128 steps."""
    rays = rays_of((0.0, 0.0, 1.0), (1.0, 0.0, 1.0))
    free = Known(np.zeros(COARSE.shape, bool), COARSE).step(frame(0))
    expected = clip_to_grid(rays, COARSE).far_m * rays.axis_cosine
    assert (expected < FAR_M).all()
    depth_m = rays.axis_cosine * rendered_view(free, 10.0)(rays).range_m
    np.testing.assert_allclose(depth_m, expected, rtol=5e-3)


def test_flat_ground_by_hand():
    rays = rays_of((0.0, 1.0, 1.0), (0.0, 0.5, 1.0), (0.0, 0.0, 1.0), (0.0, -1.0, 1.0))
    expected = [1.5, 3.0, FAR_M, FAR_M * math.sqrt(0.5)]
    np.testing.assert_allclose(flat_ground_depth_m(rays), expected, rtol=1e-6)


def test_a_network_on_the_drive(make_drive):
    config = tiny_config()
    stream = OccupancyStream(build_network(config.model), config)
    got = scores(stream, make_drive(), every=2)
    assert got.sets == got.accuracy.sets == 2
    assert np.isfinite(got.numbers()["depth_abs_rel"])
    assert 0.0 <= got.accuracy.rays.all_rays.ray_iou <= 1.0
    assert "RayIoU" in as_text(got.table())
    assert Scores.from_dict(json.loads(json.dumps(got.to_dict()))) == got


def test_of_a_block_of_pixels_the_nearest_point_counts():
    pixels = torch.tensor([(0.0, 0.0), (1.0, 1.0), (2.0, 0.0), (1.4, 1.4)])
    depth_m = torch.tensor([9.0, 4.0, 7.0, 5.0])
    assert _nearest_of_blocks(pixels, depth_m, 2).tolist() == [1, 2]
    assert _nearest_of_blocks(pixels, depth_m, 1).tolist() == [0, 1, 2]
