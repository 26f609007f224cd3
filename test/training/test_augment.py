"""Samples changed by chance: mirrored ones are of a mirrored world, colours change for the input
alone."""

from dataclasses import fields, is_dataclass, replace

import pytest
import torch
from training_drives import lidar_depth_errors, static_flow_errors_px, transform

from occflow_ros.geometry.camera import project
from occflow_ros.training.augment import ColorChange, augment, jitter_colors, mirror
from occflow_ros.training_config import AugmentationConfig

MIRROR = torch.tensor([1.0, -1.0, 1.0])
NEVER = AugmentationConfig(flip=0.0, jitter=0.0)
COLORS = AugmentationConfig(flip=0.0, jitter=1.0)
FLIP = AugmentationConfig(flip=1.0, jitter=0.0)


@pytest.fixture(params=["recording", "kitti_raw"])
def one(written, request):
    """Six cameras around the ego, or one whose principal point is not in the middle."""
    return written(request.param)


@pytest.fixture
def sample(one):
    return one.sample()


def leaves(value):
    """All tensors and numbers in nested dataclasses, in order."""
    if is_dataclass(value):
        return [leaf for field in fields(value) for leaf in leaves(getattr(value, field.name))]
    if isinstance(value, tuple):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def same(got, expected):
    pairs = zip(leaves(got), leaves(expected), strict=True)
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


def augmented(sample, config, seed=0):
    return augment(sample, config, torch.Generator().manual_seed(seed))


def points(count=500):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, generator=generator) * torch.tensor([20.0, 20.0, 2.0])


def skewed(K):
    changed = K.clone()
    changed[..., 0, 1] = 3.0
    return changed


def test_mirroring_twice_is_the_identity(sample):
    twice = mirror(mirror(sample))
    assert not same(mirror(sample), sample)
    for got, expected in zip(leaves(twice), leaves(sample), strict=True):
        if isinstance(got, torch.Tensor):
            torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
        else:
            assert got == expected


@pytest.mark.parametrize("of", ["current", "previous", "following"])
def test_mirrored_points_project_onto_mirrored_pixels(sample, of):
    def cameras(of_sample):
        holder = of_sample.current.rig if of == "current" else getattr(of_sample, of)
        return holder.K.double(), holder.base_T_camera.double()

    if of == "current":
        frames = sample.clip.frames
        rig = replace(frames[-1].rig, K=skewed(frames[-1].rig.K))
        clip = replace(sample.clip, frames=(*frames[:-1], replace(frames[-1], rig=rig)))
        sample = replace(sample, clip=clip)
    width = sample.images.shape[-1]
    (K, pose), (mirrored_K, mirrored_pose) = cameras(sample), cameras(mirror(sample))
    assert (torch.linalg.det(mirrored_pose[:, :3, :3]) - 1.0).abs().max() < 1e-5  # no reflection
    points_m = points().double().expand(len(K), -1, 3)
    pixels, in_front = project(K, transform(torch.linalg.inv(pose), points_m))
    there_m = transform(torch.linalg.inv(mirrored_pose), points_m * MIRROR)
    mirrored_px, mirrored_in_front = project(mirrored_K, there_m)
    near = in_front & (pixels.abs() < 500.0).all(dim=-1)
    assert near.sum() > 50
    assert torch.equal(in_front, mirrored_in_front)
    expected = torch.stack((width - 1 - pixels[..., 0], pixels[..., 1]), dim=-1)
    torch.testing.assert_close(mirrored_px[near], expected[near], atol=1e-4, rtol=0)


def test_mirrored_history_follows_the_mirrored_way(sample):
    def past_T_base(of_sample):
        past, current = (frame.odom_T_base for frame in of_sample.clip.frames)
        return (torch.linalg.inv(past) @ current).float()[None]

    moved_m = transform(past_T_base(sample), points()[None])
    assert (moved_m - points()).norm(dim=-1).min() > 0.1
    mirrored_m = transform(past_T_base(mirror(sample)), points()[None] * MIRROR)
    torch.testing.assert_close(mirrored_m, moved_m * MIRROR, atol=1e-4, rtol=0)


def test_mirrored_flow_is_that_of_the_mirrored_poses(one, sample):
    """As for the sample itself: what stands still moves by the ego's motion alone."""
    mirrored, depth_m = mirror(sample), one.depth_m().flip(-1)
    for other, before in (
        (mirrored.previous, sample.previous),
        (mirrored.following, sample.following),
    ):
        error_px = static_flow_errors_px(mirrored, other, depth_m)
        assert len(error_px) == len(static_flow_errors_px(sample, before, one.depth_m()))
        assert error_px.max() < 1e-3


def test_mirrored_lidar_returns_lie_on_the_mirrored_images(one, sample):
    before = lidar_depth_errors(sample, one.depth_m())
    after = lidar_depth_errors(mirror(sample), one.depth_m().flip(-1))
    assert abs(len(after) - len(before)) < 5  # at the rim
    assert after.median() < 0.002
    assert after.mean() == pytest.approx(before.mean().item(), rel=0.05)


def test_images_and_masks_are_turned_round(sample):
    mirrored = mirror(sample)
    width = sample.images.shape[-1]
    for got, expected in (
        (mirrored.images, sample.images),
        (mirrored.current.images, sample.current.images),
        (mirrored.previous.images, sample.previous.images),
        (mirrored.following.images, sample.following.images),
        (mirrored.movable, sample.movable),
        (mirrored.following.known, sample.following.known),
    ):
        assert torch.equal(got[..., 3], expected[..., width - 1 - 3])
        assert torch.equal(got[..., width - 1], expected[..., 0])


def test_no_change_of_colours_is_the_identity(sample):
    assert torch.equal(jitter_colors(sample.images, ColorChange()), sample.images)


def test_a_third_of_a_turn_of_the_hue_moves_each_channel_on():
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).view(2, 3, 4, 5)
    turned = jitter_colors(images, ColorChange(hue=1.0 / 3.0))
    assert torch.equal(turned, images.roll(1, dims=-3))
    assert torch.equal(jitter_colors(turned, ColorChange(hue=-1.0 / 3.0)), images)


def test_other_changes_by_hand():
    """One pixel (30, 60, 90), whose mean is 60, beside one of (60, 60, 60)."""
    images = torch.tensor([[30, 60, 90], [60, 60, 60]], dtype=torch.uint8).T.view(3, 1, 2)

    def changed(**change):
        return jitter_colors(images, ColorChange(**change)).view(3, 2).T.tolist()

    assert changed(saturation=-1.0) == [[60, 60, 60], [60, 60, 60]]
    assert changed(saturation=0.5) == [[15, 60, 105], [60, 60, 60]]
    assert changed(brightness=0.5) == [[45, 90, 135], [90, 90, 90]]
    assert changed(brightness=9.0) == [[255, 255, 255], [255, 255, 255]]  # clipped, not wrapped
    assert changed(contrast=0.5) == [[15, 60, 105], [60, 60, 60]]
    assert changed(contrast=-1.0) == [[60, 60, 60], [60, 60, 60]]


def test_only_the_network_sees_other_colours(sample):
    changed = augmented(sample, COLORS)
    for before, after in zip(sample.clip.frames, changed.clip.frames, strict=True):
        assert not torch.equal(after.images, before.images)
        assert same(replace(after, images=before.images), before)
    assert same(replace(changed, clip=sample.clip), sample)


def test_all_frames_of_a_clip_change_alike(sample):
    still = replace(sample.clip.frames[0], images=sample.images)
    sample = replace(sample, clip=replace(sample.clip, frames=(still, sample.clip.frames[1])))
    past, current = (frame.images for frame in augmented(sample, COLORS).clip.frames)
    assert torch.equal(past, current)


def test_what_has_no_chance_does_not_happen(sample):
    for seed in range(5):
        assert same(augmented(sample, NEVER, seed), sample)


def test_what_is_certain_happens(sample):
    for seed in range(5):
        assert same(augmented(sample, FLIP, seed), mirror(sample))


def test_a_flip_happens_as_often_as_asked(written):
    sample = written("kitti_raw").sample()
    config = AugmentationConfig(flip=0.25, jitter=0.0)
    flips = [not same(augmented(sample, config, seed), sample) for seed in range(200)]
    # Three standard deviations of a frequency of 0.25 in 200 draws are 0.09.
    assert sum(flips) / 200 == pytest.approx(0.25, abs=0.09)


def test_the_seed_decides(sample):
    config = AugmentationConfig(flip=0.5, jitter=1.0)
    assert same(augmented(sample, config, 3), augmented(sample, config, 3))
    assert not same(augmented(sample, COLORS, 3), augmented(sample, COLORS, 4))
