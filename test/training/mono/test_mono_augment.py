"""Samples changed by chance, and what samples are refused."""

from dataclasses import replace

import mono_drives
import pytest
import torch
from tiny_network import HW_PX, frame

from occflow_ros.geometry.camera import project_from_base
from occflow_ros.structures import VoxelGrid
from occflow_ros.training.draws import Draw
from occflow_ros.training.mono.augment import augment, mirror, mirrors
from occflow_ros.training.mono.dataset import MonoDataset, MonoDrive
from occflow_ros.training.mono.sample import MonoSample, PixelClasses
from occflow_ros.training_config import AugmentationConfig

GRID = VoxelGrid((0.0, -8.0, -1.0), (16.0, 8.0, 3.0), (8, 8, 4))
SHAPE = GRID.shape


def made(cameras=3):
    """Two frames of a curved drive, everything else by chance; voxels show in the pixels."""
    generator = torch.Generator().manual_seed(0)
    frames = (frame(4, cameras), frame(3, cameras))
    classes = torch.randint(0, 18, SHAPE, dtype=torch.uint8, generator=generator)
    camera, location, class_id = seen(frames[0], classes)
    return MonoSample(
        frames=frames,
        depth_m=torch.rand(cameras, 8, 16, generator=generator),
        classes=classes,
        pixels=PixelClasses(camera, location, class_id),
    )


def seen(one, classes):
    """Each voxel in each image: camera, location and class."""
    points_m = GRID.centers_m().reshape(-1, 3)
    location, visible = project_from_base(points_m, one.rig.K, one.rig.base_T_camera, HW_PX)
    camera, voxel = visible.nonzero().unbind(1)
    return camera, location[visible], classes.flatten()[voxel]


def in_order(camera, location, class_id):
    rows = torch.cat((camera[:, None].double(), location.double(), class_id[:, None]), dim=1)
    return torch.tensor(sorted(((rows * 1e4).round() / 1e4).tolist()))


def tensors(sample):
    for one in sample.frames:
        yield from (one.images, one.rig.K, one.rig.base_T_camera, one.odom_T_base)
    yield from (sample.depth_m, sample.classes)
    yield from (sample.pixels.camera, sample.pixels.location, sample.pixels.class_id)


def test_mirroring_twice_is_the_identity():
    sample = made()
    twice = mirror(mirror(sample))
    for got, expected in zip(tensors(twice), tensors(sample), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_voxels_and_pixels_go_together_in_the_mirror():
    """The voxels project to where their classes show, as they did before."""
    sample = made()
    mirrored = mirror(sample)
    assert len(sample.pixels.camera) > 100
    pixels = mirrored.pixels
    got = in_order(pixels.camera, pixels.location, pixels.class_id)
    expected = in_order(*seen(mirrored.current, mirrored.classes))
    torch.testing.assert_close(got, expected, atol=2e-4, rtol=0)


def test_left_becomes_right():
    sample = made()
    mirrored = mirror(sample)
    assert mirrored.classes[3, 0, 2] == sample.classes[3, 7, 2]
    assert torch.equal(mirrored.depth_m[:, 2, 0], sample.depth_m[:, 2, 15])
    assert torch.equal(mirrored.current.images[..., 5, 0], sample.current.images[..., 5, 63])
    torch.testing.assert_close(mirrored.pixels.location[:, 0], 1.0 - sample.pixels.location[:, 0])
    earlier, before = mirrored.frames[1].odom_T_base, sample.frames[1].odom_T_base
    assert earlier[1, 3] == -before[1, 3] and earlier[0, 3] == before[0, 3]


def test_chance_decides():
    sample = made()

    def changed(flip, jitter):
        config = AugmentationConfig(flip=flip, jitter=jitter)
        return augment(sample, config, torch.Generator().manual_seed(1))

    assert changed(0.0, 0.0) is sample
    assert torch.equal(changed(1.0, 0.0).classes, sample.classes.flip(1))
    colored = changed(0.0, 1.0)
    assert torch.equal(colored.classes, sample.classes)
    for got, before in zip(colored.frames, sample.frames, strict=True):
        assert not torch.equal(got.images, before.images)
        assert got.rig is before.rig


def test_the_calibration_stays_where_it_is_checked():
    moved = made().to(torch.device("meta"))
    assert {one.device.type for one in (moved.depth_m, moved.classes, moved.pixels.location)} == {
        "meta"
    }
    for one in moved.frames:
        assert one.images.device.type == "meta"
        assert one.rig.K.device.type == one.odom_T_base.device.type == "cpu"


@pytest.mark.parametrize(("lower", "upper", "even"), [(-8.0, 8.0, True), (-8.0, 7.0, False)])
def test_grids_that_can_be_mirrored(lower, upper, even):
    assert mirrors(VoxelGrid((0.0, lower, 0.0), (1.0, upper, 1.0), (2, 2, 2))) is even


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": ()}, "frames: expected at least one"),
        ({"frames": (frame(3), frame(4))}, "expected the newest first"),
        ({"frames": (frame(4), frame(3, cameras=2))}, "expected one rig"),
        ({"depth_m": torch.zeros(2, 8, 16)}, r"depth_m: expected \(3, 8, 16\)"),
        ({"depth_m": torch.zeros(8, 16)}, r"depth_m: expected \(N, h, w\)"),
        ({"classes": torch.zeros(2, 2, 2)}, "classes: expected .* torch.uint8, got .* torch.float"),
        ({"classes": torch.zeros(4, dtype=torch.uint8)}, r"classes: expected \(X, Y, Z\)"),
    ],
)
def test_samples_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(made(), **change)


@pytest.mark.parametrize(
    ("camera", "location", "class_id", "message"),
    [
        ([0], [[0.5, 1.1]], [1], "location: expected 0.0 to 1.0"),
        ([0, 1], [[0.5, 0.5]], [1], r"location: expected \(2, 2\)"),
        ([0], [[0.5, 0.5]], [1, 2], r"class_id: expected \(1,\)"),
        ([3], [[0.5, 0.5]], [1], "pixels.camera: expected 0 to 2, got 3"),
    ],
)
def test_pixels_that_do_not_fit_are_refused(camera, location, class_id, message):
    with pytest.raises(ValueError, match=message):
        pixels = PixelClasses(
            torch.tensor(camera), torch.tensor(location), torch.tensor(class_id, dtype=torch.uint8)
        )
        replace(made(), pixels=pixels)


def test_samples_of_drives_are_mirrored_by_their_seed(tmp_path):
    """Everything about a drawn sample goes into the mirror."""
    drive = mono_drives.write_drive(tmp_path / "drive", [mono_drives.truth(car=(1, 3, 0))])
    depth = mono_drives.write_depths(drive, tmp_path / "depth")
    one = MonoDrive(tmp_path / "drive", drive, range(1))
    config = mono_drives.config(augmentation=AugmentationConfig(flip=0.5, jitter=0.0))
    data = MonoDataset([one], config, depth, 1)
    car = mono_drives.NAMES.index("car")
    places = {tuple((data[Draw(0, s)].sample.classes == car).nonzero()[0]) for s in range(8)}
    assert {tuple(int(v) for v in place) for place in places} == {(1, 3, 0), (1, 0, 0)}
