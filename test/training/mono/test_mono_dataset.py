"""Samples of drives: frames, cameras, depth and truth that belong together."""

import mono_drives
import numpy as np
import pytest
import torch

from occflow_ros.config import GridConfig
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid
from occflow_ros.training.draws import Draw
from occflow_ros.training.mono.dataset import MonoDataset, MonoDrive
from occflow_ros.training.mono.prior import ClassPrior, cached_prior, class_prior
from occflow_ros.training_config import AugmentationConfig

CAR, MANMADE, FREE = (mono_drives.NAMES.index(name) for name in ("car", "manmade", "free"))
POINTS = ((8.2, 1.0, -1.0), (-7.8, 0.0, 0.0))


def truths():
    """Of four sets, the second of which has none; each has one car."""
    return [mono_drives.truth(car=(number, 2, 0)) if number != 1 else None for number in range(4)]


def dataset(folder, frames=1, missing=(), only=None, indices=range(9), config=None, **train):
    drive = mono_drives.write_drive(folder / "drive", truths(), POINTS, missing=missing)
    depth = mono_drives.write_depths(drive, folder / "depth", only)
    one = MonoDrive(folder / "drive", drive, indices)
    return MonoDataset([one], config or mono_drives.config(**train), depth, frames)


def sample(data, index, seed=0):
    drawn = data[Draw(index, seed)]
    assert drawn.problem == ""
    return drawn.sample


def shades(frames):
    """Each image has one: 10 times the number of its set, and 1 more for the second camera."""
    return [frame.images[:, 0, 0, 0].tolist() for frame in frames]


def test_labelled_sets_are_samples_with_those_before_them(tmp_path):
    data = dataset(tmp_path, frames=3)
    assert [index for _, index in data.places] == [0, 2, 3]
    assert shades(sample(data, 0).frames) == [[0, 1]]
    assert shades(sample(data, 1).frames) == [[20, 21], [10, 11], [0, 1]]
    assert shades(sample(data, 2).frames) == [[30, 31], [20, 21], [10, 11]]


def test_everything_is_of_the_current_set(tmp_path):
    one = sample(dataset(tmp_path, frames=2), 2)
    assert one.depth_m.shape == (2, 8, 16)
    assert one.depth_m[:, 3, 4].tolist() == [4.0, 4.5]
    assert (one.classes == CAR).nonzero().tolist() == [[3, 2, 0]]
    assert (one.classes == FREE).sum() == one.classes.numel() - 1
    assert one.current.stamp_ns == 13 * mono_drives.INTERVAL_NS


def test_only_chosen_sets_are_samples(tmp_path):
    data = dataset(tmp_path, frames=3, indices=range(3, 4))
    assert [index for _, index in data.places] == [3]
    assert len(sample(data, 0).frames) == 3  # those before still are history


def test_some_cameras_are_drawn(tmp_path):
    data = dataset(tmp_path, frames=2, cameras_per_sample=1)
    drawn = {}
    for seed in range(8):
        one = sample(data, 1, seed)
        (name,) = one.current.rig.names
        drawn[name] = one
    assert set(drawn) == {"front", "back"}
    assert shades(drawn["front"].frames) == [[20], [10]]
    assert shades(drawn["back"].frames) == [[21], [11]]
    assert drawn["back"].depth_m[:, 0, 0].tolist() == [3.5]
    assert drawn["back"].current.rig.base_T_camera[0, 0, 2] == -1.0
    again = sample(data, 1, 7)
    assert again.current.rig.names == one.current.rig.names


def test_cameras_without_an_image_are_not_drawn(tmp_path):
    data = dataset(tmp_path, cameras_per_sample=1, missing=[(2, "front")])
    names = {sample(data, 1, seed).current.rig.names for seed in range(8)}
    assert names == {("back",)}


def test_sets_without_an_image_of_the_cameras_are_left_out(tmp_path):
    data = dataset(tmp_path, frames=3, cameras_per_sample=1, missing=[(1, "front")])
    found = {sample(data, 1, seed).current.rig.names: sample(data, 1, seed) for seed in range(8)}
    assert shades(found[("front",)].frames) == [[20], [0]]
    assert shades(found[("back",)].frames) == [[21], [11], [1]]


def test_missing_images_have_no_depth(tmp_path):
    one = sample(dataset(tmp_path, missing=[(0, "back")]), 0)
    assert one.current.rig.present.tolist() == [True, False]
    assert one.depth_m[:, 0, 0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("only", [(2, 3), (0, 2)])
def test_depth_of_first_and_last_sample_has_to_be_there(only, tmp_path):
    with pytest.raises(DataError, match=r"made/front/\d+.png.*occflow depth"):
        dataset(tmp_path, only=only)


def test_depth_that_is_missing_amid_a_drive_is_said_when_it_is_drawn(tmp_path):
    drawn = dataset(tmp_path, only=(0, 3))[Draw(1, 0)]
    assert drawn.sample is None and "occflow depth" in drawn.problem


def test_drives_without_truth_are_refused(tmp_path):
    with pytest.raises(DataError, match="expected sets with true classes"):
        dataset(tmp_path, indices=range(1, 2))


def test_mirroring_asks_for_a_grid_that_allows_it(tmp_path):
    settings = mono_drives.config(augmentation=AugmentationConfig())
    uneven = GridConfig(lower_m=(0.0, -4.0, -2.0), upper_m=(16.0, 8.0, 2.0), shape=(4, 4, 2))
    model = settings.model.model_copy(update={"grid": uneven})
    with pytest.raises(ConfigError, match="augmentation.flip: expected 0 .* from -4.0 to 8.0 m"):
        dataset(tmp_path, config=settings.model_copy(update={"model": model}))


def test_the_prior_is_the_most_frequent_class_of_each_voxel(tmp_path):
    observed = np.ones((4, 4, 2), bool)
    observed[3, 3, 1] = False
    drive = mono_drives.write_drive(
        tmp_path / "drive",
        [
            mono_drives.truth(observed=observed, car=(0, 0, 0), manmade=(1, 1, 0)),
            mono_drives.truth(observed=observed, car=(0, 0, 0)),
            mono_drives.truth(observed=observed, manmade=[(0, 0, 0), (1, 1, 0)]),
        ],
    )
    depth = mono_drives.write_depths(drive, tmp_path / "depth")
    one = MonoDrive(tmp_path / "drive", drive, range(3))
    prior = class_prior(MonoDataset([one], mono_drives.config(), depth, 1))
    expected = np.full((4, 4, 2), FREE)
    expected[0, 0, 0], expected[1, 1, 0] = CAR, MANMADE
    np.testing.assert_array_equal(prior.classes, expected)  # FREE where nobody ever looked
    counts = {name: int(n) for name, n in zip(prior.names, prior.class_counts) if n}
    assert counts == {"car": 2, "manmade": 3, "free": 3 * 31 - 5}
    assert prior.frequencies[CAR] == pytest.approx(2 / 93)
    assert prior.counts.dtype == np.uint8


def test_a_prior_is_counted_once(tmp_path):
    data = dataset(tmp_path)
    passes = []

    def progress(numbers):
        passes.append(len(numbers))
        return numbers

    first = cached_prior(data, tmp_path / "prior.npz", progress)
    again = cached_prior(data, tmp_path / "prior.npz", progress)
    np.testing.assert_array_equal(again.counts, first.counts)
    assert (again.names, again.empty, again.grid) == (first.names, first.empty, first.grid)
    fewer = dataset(tmp_path, indices=range(1))
    assert cached_prior(fewer, tmp_path / "prior.npz", progress).class_counts.sum() == 32
    assert passes == [3, 1]


def test_damaged_priors_are_named(tmp_path):
    (tmp_path / "prior.npz").write_bytes(b"none")
    for name in ("prior.npz", "gone.npz"):
        with pytest.raises(DataError, match=name):
            ClassPrior.load(tmp_path / name)
    grid = VoxelGrid(*mono_drives.BOX, (4, 4, 2))
    with pytest.raises(ValueError, match=r"counts: expected \(4, 4, 2, 2\) unsigned"):
        ClassPrior(np.zeros((4, 4, 2, 3), np.uint8), ("free", "car"), "free", grid, "")


def test_unknown_voxels_are_those_of_the_truth(tmp_path):
    data = dataset(tmp_path, config=mono_drives.config(names=("free", "truck")))
    assert (sample(data, 0).classes == UNKNOWN_CLASS_ID).nonzero().tolist() == [[0, 2, 0]]
    assert torch.from_numpy(data.classes(0)).equal(sample(data, 0).classes)
