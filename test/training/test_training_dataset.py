"""Samples of drives in every structure, and what is said where something is missing."""

import shlex
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_drives import (
    INTERVAL_S,
    STRUCTURES,
    lidar_depth_errors,
    static_flow_errors_px,
    transform,
)

from occflow_ros.cli import _parser, main
from occflow_ros.cli.train_occflow import _drives
from occflow_ros.config import override, resolve
from occflow_ros.cues import CueFolder
from occflow_ros.cues.dis import DisFlow
from occflow_ros.cues.make import make_flow, make_movable
from occflow_ros.cues.truth import TruthFiles, TruthMask
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.data.sensors import load_frame
from occflow_ros.data.source import open_drive
from occflow_ros.errors import DataError
from occflow_ros.geometry.camera import project
from occflow_ros.training.dataset import ClipDataset, TrainingDrive, load_sample
from occflow_ros.training.draws import Draw


@pytest.fixture(params=list(STRUCTURES))
def kind(request):
    return request.param


def with_images(drive, index, change):
    """The drive with other images in one set: `change` takes and gives them by camera."""
    sets = list(drive.sets)
    sets[index] = replace(sets[index], images=change(dict(sets[index].images)))
    return replace(drive, sets=tuple(sets))


def without(drive, index, camera):
    def change(images):
        del images[camera]
        return images

    return with_images(drive, index, change)


def with_auxiliary(config, **values):
    settings = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
    return override(config, [f"train.auxiliary.{key}={v}" for key, v in settings.items()])


def test_poses_depth_and_flow_agree(written, kind):
    """What stands still moves in the images by the ego's motion alone."""
    one = written(kind)
    sample, depth_m = one.sample(), one.depth_m()
    for other in (sample.previous, sample.following):
        error_px = static_flow_errors_px(sample, other, depth_m)
        assert len(error_px) > 0.25 * depth_m.numel()
        assert error_px.max() < 1e-3
        assert other.flow_px[other.known].norm(dim=-1).mean() > 2.0


def test_lidar_returns_lie_on_what_the_cameras_see(written, kind):
    one = written(kind)
    error = lidar_depth_errors(one.sample(), one.depth_m())
    assert len(error) > 100
    assert error.median() < 0.002
    assert (error < 0.04).float().mean() > 0.7  # the others lie at edges


def test_a_sample_is_a_clip_and_the_images_around_it(written, kind):
    one = written(kind)
    sample, interval_s = one.sample(), INTERVAL_S.get(kind, 0.1)
    stamps_ns = [frame.stamp_ns for frame in sample.clip.frames]
    assert stamps_ns == [camera_set.stamp_ns for camera_set in one.drive.sets[:2]]
    following = load_frame(one.drive, one.drive.sets[2], one.config.model.image_hw_px)
    assert torch.equal(sample.images, sample.current.images)
    assert torch.equal(sample.previous.images, sample.clip.frames[0].images)
    assert torch.equal(sample.following.images, following.images)
    elapsed = torch.full((len(sample.images),), interval_s / one.config.model.interval_s)
    torch.testing.assert_close(sample.previous.elapsed, -elapsed)
    torch.testing.assert_close(sample.following.elapsed, elapsed)
    assert 0.0 < sample.movable.float().mean() < 0.6


def test_keyframes_have_keyframes_as_other_images(written):
    """With sweeps read, the next images are 0.1 s away; without them 0.2 s."""
    one = written("nuscenes_sweeps")
    (keyframes,) = open_drives(one.folder, Selection())
    assert len(one.drive.sets) == 5 and len(keyframes.sets) == 3
    drive = TrainingDrive(keyframes, CueFolder(one.cues, one.folder, None, None), range(3))
    sample = load_sample(drive, 1, one.config, torch.Generator())
    torch.testing.assert_close(sample.following.elapsed, torch.full((6,), 2.0))
    assert not sample.following.known.any() and sample.movable.all()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_camera_may_be_missing(written, index):
    one = written("recording")
    sample = one.sample(drive=without(one.drive, index, "cam_front"))
    present = {0: sample.previous, 1: sample.current.rig, 2: sample.following}[index].present
    assert present.tolist() == [False, True, True, True, True, True]
    for other, at in ((sample.previous, 0), (sample.following, 2)):
        missing = index in (at, 1)
        assert other.present[0].item() != missing and other.present[1:].all()
        assert other.known[0].any().item() != missing and other.known[1:].any()
        assert (other.elapsed[0] == 0.0).item() == missing


def test_first_and_last_sets_have_no_sample(written):
    one = written("recording")
    dataset = ClipDataset([one.training_drive(), one.training_drive()], one.config)
    assert len(dataset) == 2
    first, second = dataset[Draw(0, seed=5)].sample, dataset[Draw(1, seed=5)].sample
    assert first.current.stamp_ns == second.current.stamp_ns == one.drive.sets[1].stamp_ns
    assert torch.equal(first.current.images, second.current.images)


def test_sets_that_are_held_out_are_not_drawn(written):
    one = written("nuscenes_sweeps")
    dataset = ClipDataset([one.training_drive(range(2, 3))], one.config)
    assert len(dataset) == 1
    assert dataset[Draw(0, 1)].sample.current.stamp_ns == one.drive.sets[2].stamp_ns
    with pytest.raises(DataError, match="expected a set with one before and one after it"):
        ClipDataset([one.training_drive(range(4, 5))], one.config)


@pytest.fixture(scope="module")
def far_cues(written, tmp_path_factory):
    """Flow over three sets, which the exact flow does not cover."""
    folder = tmp_path_factory.mktemp("far")
    make_flow(written("nuscenes_sweeps").drive, DisFlow(), folder, span=3)
    return folder


def auxiliary_elapsed(written, far_cues, seed=0, **settings):
    one = written("nuscenes_sweeps")
    config = with_auxiliary(one.config, **{"span": 3, **settings})
    drive = TrainingDrive(one.drive, CueFolder(far_cues, one.folder, "dis", None), range(4))
    generator = torch.Generator().manual_seed(seed)
    previous = load_sample(drive, 3, config, generator).previous
    assert previous.known.any()
    return round(previous.elapsed[0].item())


@pytest.mark.parametrize("back", [1, 2, 3])
def test_the_auxiliary_frame_is_the_one_at_the_wanted_way(written, far_cues, back):
    sets = written("nuscenes_sweeps").drive.sets
    way_m = np.linalg.norm((sets[3].odom_T_base - sets[3 - back].odom_T_base)[:3, 3])
    wanted = {"mean_m": way_m, "std_m": 0.01, "range_m": (0.0, 50.0)}
    assert auxiliary_elapsed(written, far_cues, **wanted) == -back


def test_without_a_set_in_range_the_auxiliary_frame_is_the_one_before(written, far_cues):
    assert auxiliary_elapsed(written, far_cues, range_m=(90.0, 99.0)) == -1


def test_the_seed_draws_the_auxiliary_frame(written, far_cues):
    wide = {"std_m": 50.0, "range_m": (0.0, 50.0)}
    drawn = [auxiliary_elapsed(written, far_cues, seed % 10, **wide) for seed in range(20)]
    assert set(drawn) == {-1, -2, -3} and drawn[:10] == drawn[10:]


def made(problem):
    """Whether the command that an error names makes what was missing."""
    _, found, command = problem.partition("make it with: ")
    program, *arguments = shlex.split(command)
    return bool(found) and program == "occflow" and main(arguments) == 0


def training_drive_with(one, cues, movable=None):
    source = shlex.join((str(one.folder), *Selection(keyframes_only=False).arguments))
    return TrainingDrive(one.drive, CueFolder(cues, source, "dis", movable), range(5))


def test_cues_that_end_early_are_missed_before_the_first_step(written, tmp_path):
    one = written("nuscenes_sweeps")
    cues = tmp_path / "other cues"
    make_flow(replace(one.drive, sets=one.drive.sets[:4]), DisFlow(), cues)
    with pytest.raises(DataError, match="no optical flow to") as error:
        ClipDataset([training_drive_with(one, cues)], one.config)
    assert made(str(error.value))
    assert ClipDataset([training_drive_with(one, cues)], one.config)[Draw(2, 0)].sample is not None


def test_masks_that_end_early_are_missed_before_the_first_step(written, tmp_path):
    one = written("nuscenes_sweeps")
    make_flow(one.drive, DisFlow(), tmp_path)
    masks = TruthMask(TruthFiles(one.folder, one.drive))
    make_movable(replace(one.drive, sets=one.drive.sets[:3]), masks, tmp_path)
    with pytest.raises(DataError, match="no movable mask in .* --movable truth"):
        ClipDataset([training_drive_with(one, tmp_path, "truth")], one.config)


def test_flow_that_leads_too_near_is_missed_where_it_is_needed(written, tmp_path):
    one = written("nuscenes_sweeps")
    make_flow(one.drive, DisFlow(), tmp_path)
    far = with_auxiliary(one.config, span=2, mean_m=50.0, range_m=(0.0, 50.0))
    dataset = ClipDataset([training_drive_with(one, tmp_path)], far)
    problem = dataset[Draw(2, 0)].problem
    assert "--span 2" in problem and made(problem)
    assert dataset[Draw(2, 0)].sample is not None


def test_cues_that_were_never_made_name_the_command(written, tmp_path):
    folder = written("recording").folder
    with pytest.raises(DataError, match=f"occflow cues --source {folder} .* --flow dis"):
        CueFolder(tmp_path, folder, "dis", None)


def train_drives(one, out, *options):
    """Drives as `occflow train` opens them."""
    where = ["--data", str(one.folder), "--cues", str(one.cues), "--out", str(out)]
    args = _parser("train").parse_args(["train", *where, *options])
    return list(_drives(args, one.folder))


def test_the_command_takes_what_its_options_select(written, tmp_path):
    one = written("nuscenes_sweeps")
    (keyframes,) = train_drives(one, tmp_path, "--flow", "truth")
    (every,) = train_drives(one, tmp_path, "--flow", "truth", "--sweeps", "--sets", "1:4")
    assert (len(keyframes.drive.sets), keyframes.indices) == (3, range(3))
    assert (len(every.drive.sets), every.indices) == (5, range(1, 4))
    with pytest.raises(DataError, match=r"--scene synthetic-0001 --sweeps --out .* --flow dis"):
        train_drives(one, tmp_path, "--sweeps", "--scene", "synthetic-0001")


def test_settings_ask_for_what_a_drive_must_have(written):
    one = written("recording")
    with pytest.raises(DataError, match=r"expected optical flow for losses.optical_flow, got no"):
        ClipDataset([one.training_drive(flow=None)], one.config)
    blind = replace(one.drive, base_T_lidar=None)
    with pytest.raises(DataError, match=r"expected a LiDAR for rendering.lidar_rays, found none"):
        ClipDataset([one.training_drive(drive=blind)], one.config)


def test_a_broken_image_is_told_and_not_raised(written, tmp_path):
    one = written("nuscenes_sweeps")
    broken = tmp_path / "broken.jpg"
    camera, file = next(iter(one.drive.sets[0].images.items()))
    broken.write_bytes(file.path.read_bytes()[:-100])

    def change(images):
        return images | {camera: replace(file, path=broken)}

    drive = with_images(one.drive, 0, change)
    drawn = ClipDataset([one.training_drive(drive=drive)], one.config)[Draw(0, 3)]
    assert drawn.sample is None and drawn.draw == Draw(0, 3)
    assert "broken.jpg" in drawn.problem


def test_a_real_drive_with_flow_that_is_searched(shared_data, tmp_path):
    """LiDAR returns, moved by the ego's motion, move in the images as the search has found."""
    drive = open_drive(shared_data / "kitti_suburb")
    drive = replace(drive, sets=drive.sets[:3])
    make_flow(drive, DisFlow(), tmp_path)
    config = override(resolve("nano"), ["train.rendering.lidar_rays=8"])
    cues = CueFolder(tmp_path, shared_data / "kitti_suburb", "dis", None)
    sample = load_sample(TrainingDrive(drive, cues, range(3)), 1, config, torch.Generator())
    rig = sample.current.rig
    points_m = sample.lidar.points_m.expand(len(rig.names), -1, 3)
    here_px, in_front = project(rig.K, transform(torch.linalg.inv(rig.base_T_camera), points_m))
    height, width = sample.images.shape[-2:]
    size_px = here_px.new_tensor((width - 1, height - 1))
    inside = in_front & ((here_px >= 0) & (here_px <= size_px)).all(dim=-1)
    camera, point = inside.nonzero(as_tuple=True)
    u, v = here_px[camera, point].round().long().unbind(dim=-1)
    for other in (sample.previous, sample.following):
        there_m = transform(torch.linalg.inv(other.base_T_camera), points_m)
        moved_px = (project(other.K, there_m)[0] - here_px)[camera, point]
        known = other.known[camera, v, u]
        error_px = (moved_px - other.flow_px[camera, v, u])[known].norm(dim=-1)
        assert len(error_px) > 500
        assert moved_px[known].norm(dim=-1).median() > 3.0
        assert error_px.median() < 0.3
