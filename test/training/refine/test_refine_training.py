"""Windows of recordings as samples, their mirror images, the losses, and runs from the command."""

import json
from dataclasses import replace

import numpy as np
import pytest
import refine_drives
import torch
import yaml
from tiny_refine import NAMES, SHAPE, tiny_refine, tiny_refine_config

from occflow_ros.cli import main
from occflow_ros.data.vocabulary import OCC3D
from occflow_ros.engine import checkpoint
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.losses.lovasz import lovasz_softmax_loss
from occflow_ros.models.refine.coordinates import relative_coordinates
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.windows import Window
from occflow_ros.refine_config import (
    REFINE_PRESETS,
    FlipConfig,
    RefineConfig,
    RefineLossesConfig,
    RefineTrainConfig,
)
from occflow_ros.structures import UNKNOWN_CLASS_ID
from occflow_ros.training.draws import Draw
from occflow_ros.training.mono.truth import class_truth
from occflow_ros.training.optimizer import build_optimizer, scheduled_rate
from occflow_ros.training.refine.augment import augment, mirror
from occflow_ros.training.refine.dataset import RefineDataset, RefineDrive, fit_recording
from occflow_ros.training.refine.held_out import RefineHeldOut, score
from occflow_ros.training.refine.learner import RefineLearner
from occflow_ros.training.refine.sample import RefineSample
from occflow_ros.training_config import LossTermConfig

GRID = refine_drives.GRID
UNKNOWN = 255
TINY = {
    "model": {
        "local_frames": 2,
        "reference_frames": 1,
        "embedding": 4,
        "channels": 8,
        "propagation": {"channels": 8, "heads": 2, "patch": 3, "stride": 2, "blocks": 1},
    },
    "train": {"steps": 2},
}


def random_sample(times=4, local=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    poses = torch.eye(4).repeat(times, 1, 1)
    poses[:, :3] += 0.2 * torch.randn(times, 3, 4, generator=generator)
    classes = torch.randint(0, 3, (times, *SHAPE), generator=generator).to(torch.uint8)
    truth = torch.randint(0, 3, (local, *SHAPE), generator=generator).to(torch.uint8)
    truth[:, :, 5:] = UNKNOWN
    return RefineSample(classes, poses, truth)


def coordinates(sample):
    return relative_coordinates(sample.pivot_T_frame, SHAPE)


@pytest.mark.parametrize("axis", [0, 1])
def test_mirrored_voxels_lie_at_mirrored_places(axis):
    """The world is mirrored: each voxel takes its class and its place to the other side."""
    sample = random_sample()
    mirrored = mirror(sample, axis)
    expected = coordinates(sample).flip(axis + 2)
    expected[:, axis] *= -1.0
    torch.testing.assert_close(coordinates(mirrored), expected)
    assert torch.equal(mirrored.classes, sample.classes.flip(axis + 1))
    assert torch.equal(mirrored.truth, sample.truth.flip(axis + 1))
    twice = mirror(mirrored, axis)
    torch.testing.assert_close(twice.pivot_T_frame, sample.pivot_T_frame)


def test_flips_are_drawn_independently():
    sample, seen = random_sample(), set()
    for seed in range(40):
        changed = augment(sample, FlipConfig(), torch.Generator().manual_seed(seed))
        signs = (changed.pivot_T_frame[1] / sample.pivot_T_frame[1]).sign()
        seen.add((signs[0, 3].item(), signs[1, 3].item()))
    assert seen == {(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)}
    still = augment(sample, FlipConfig(x=0.0, y=0.0), torch.Generator())
    assert still is sample


def tiny_config(**losses):
    train = RefineTrainConfig(losses=RefineLossesConfig(**losses), precision="float32")
    return RefineConfig(model=tiny_refine_config(), train=train)


def learner_of(network=None, **losses):
    return RefineLearner(network or tiny_refine(), tiny_config(**losses))


def loss_of(learner, sample):
    return learner(sample, 0, torch.Generator())


def test_the_loss_is_equation_13_over_the_known_voxels_of_local_frames():
    sample, network = random_sample(), tiny_refine()
    total = loss_of(learner_of(network), sample)
    with torch.no_grad():
        logits = network(sample.classes.long()[None], coordinates(sample)[None], 3)[0]
    known = sample.truth != UNKNOWN
    logits, true = logits.permute(0, 2, 3, 4, 1)[known], sample.truth[known].long()
    expected = -logits.log_softmax(dim=1)[torch.arange(len(true)), true].mean()
    torch.testing.assert_close(total.parts["cross_entropy"], expected)
    torch.testing.assert_close(total.parts["lovasz"], lovasz_softmax_loss(logits, true))
    torch.testing.assert_close(total.value, sum(total.parts.values()))


@pytest.mark.parametrize("off", ["cross_entropy", "lovasz"])
def test_a_loss_that_is_off_is_left_out(off):
    learner = learner_of(**{off: LossTermConfig(weight=1.0, enabled=False)})
    assert off not in loss_of(learner, random_sample()).parts


def test_a_sample_without_known_voxels_teaches_nothing():
    sample = random_sample()
    learner = learner_of()
    unknown = torch.full_like(sample.truth, UNKNOWN)
    total = loss_of(learner, RefineSample(sample.classes, sample.pivot_T_frame, unknown))
    total.value.backward()
    assert total.value.item() == 0.0
    gradients = [one.grad for one in learner.network.parameters() if one.grad is not None]
    assert all(torch.equal(one, torch.zeros_like(one)) for one in gradients)


def test_the_network_learns_to_correct_what_is_always_wrong():
    """The onboard model takes every road for a car: refining it needs no other frame."""
    learner = learner_of(tiny_refine(learned=False))
    optimizer = torch.optim.Adam(learner.parameters(), lr=3e-2)
    car, road = NAMES.index("car"), NAMES.index("road")

    def sample(seed):
        one = random_sample(seed=seed)
        classes = torch.where(one.truth == road, car, one.truth).clamp(max=2).to(torch.uint8)
        classes = torch.cat((classes, classes[:1]))
        truth = torch.where(one.truth == car, road, one.truth).to(torch.uint8)
        return RefineSample(classes, one.pivot_T_frame, truth)

    losses = []
    for step in range(25):
        optimizer.zero_grad()
        loss = loss_of(learner, sample(step)).value
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_adam_and_its_rate_are_the_papers():
    train, network = REFINE_PRESETS["refine_kitti"].train, tiny_refine(temporal_embedding=True)
    groups = build_optimizer(network, (), train.optimizer, train.factors).param_groups
    assert {group["weight_decay"] for group in groups} == {0.0}
    learned = [value for group in groups for value in group["params"]]
    assert len(learned) == len(list(network.parameters()))  # each has a factor
    for epoch in range(10):  # of 479 steps
        for step in (479 * epoch, 479 * epoch + 478):
            rate = scheduled_rate(step, train.steps, train.optimizer)
            assert rate == pytest.approx(1e-3 * 0.98**epoch)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A drive of three sets, what a made-up model says of it, and a tiny network's settings."""
    folder = tmp_path_factory.mktemp("refine")
    drive, store = refine_drives.write(folder)
    preset = folder / "tiny.yaml"
    preset.write_text(yaml.safe_dump(TINY))
    return folder / "drive", drive, store, preset


def config_of(store, **train):
    model = REFINE_PRESETS["refine_nano"].model.model_dump() | TINY["model"]
    config = RefineConfig.model_validate({"model": model, "train": train})
    return fit_recording(config, store.info)


def dataset_of(made, sets=range(9), **train):
    folder, drive, store, _ = made
    return RefineDataset([RefineDrive.pair(store, folder, drive, sets)], config_of(store, **train))


def test_grid_and_classes_are_those_of_the_recording(made):
    config = config_of(made[2])
    assert config.model.grid.voxels == GRID
    assert config.model.classes.vocabulary == OCC3D


def test_samples_are_windows_with_their_truths(made):
    folder, drive, store, _ = made
    data = dataset_of(made, flip={"x": 0.0, "y": 0.0})
    assert len(data) == 2  # windows of two frames begin at the first and second of three
    sample = data[Draw(1, 0)].sample
    onboard = [store.load(place).class_id for place in (1, 2, 0)]  # the last is the reference
    assert np.array_equal(sample.classes.numpy(), np.stack(onboard))
    one = RefineDrive.pair(store, folder, drive, range(9))
    classes = data.config.model.classes
    truths = [class_truth(one, index, GRID, classes) for index in (1, 2)]
    own, found = np.stack(truths), sample.truth.numpy()
    known = own != UNKNOWN_CLASS_ID
    assert np.array_equal(found[known], own[known])
    assert (found[~known] != UNKNOWN_CLASS_ID).mean() > 0.5  # seen by the sets beside
    assert (sample.truth == UNKNOWN).any() and (sample.truth != UNKNOWN).any()
    torch.testing.assert_close(sample.pivot_T_frame[1], torch.eye(4))
    behind = sample.pivot_T_frame[2, :3, 3]  # 8 m behind the pivot, in a box of 16 m each way
    torch.testing.assert_close(behind, torch.tensor([-0.5, 0.0, 0.0]))


def test_samples_are_as_their_seed_makes_them(made):
    data = dataset_of(made)
    first, again, other = (data[Draw(0, seed)].sample for seed in (3, 3, 4))
    assert torch.equal(first.classes, again.classes)
    assert torch.equal(first.pivot_T_frame, again.pivot_T_frame)
    assert not torch.equal(first.classes, other.classes)


def test_frames_without_a_truth_are_looked_at_but_not_compared(made):
    data = dataset_of(made, sets=range(1))
    assert len(data) == 1
    sample = data[Draw(0, 0)].sample
    assert (sample.truth[0] != UNKNOWN).any()
    assert (sample.truth[1] == UNKNOWN).all()


def test_recordings_of_other_times_are_refused(made, tmp_path):
    folder, drive, store, _ = made
    info = replace(store.info, stamps_ns=tuple(one + 1 for one in store.info.stamps_ns))
    late = FrameStore.create(tmp_path, info)
    with pytest.raises(DataError, match="expected frames at the times of labelled sets"):
        RefineDrive.pair(late, folder, drive, range(9))


def test_recordings_that_do_not_fit_are_refused(made):
    folder, drive, store, _ = made
    config = RefineConfig(model=tiny_refine_config())
    with pytest.raises(DataError, match="expected voxels on"):
        RefineDataset([RefineDrive.pair(store, folder, drive, range(9))], config)


def test_validation_compares_before_and_after(made):
    data = dataset_of(made)
    network = tiny_refine(
        **{
            name: getattr(data.config.model, name)
            for name in type(data.config.model).model_fields
            if name != "propagation"
        },
        learned=False,
    )
    scores = score(network, data, data.windows)
    assert scores.onboard == scores.refined  # it has learned nothing
    said, compared = 0, 0
    for place in range(3):
        true = data.load(data.windows[0][0], Window(range(place, place + 1))).truth[0].numpy()
        same = true == made[2].load(place).class_id
        said, compared = said + (same & (true != UNKNOWN)).sum(), compared + (true != UNKNOWN).sum()
    assert scores.onboard.matrix.sum() == compared  # every frame once
    assert scores.onboard.matrix.trace() == said
    learner = RefineLearner(network.train(), data.config)
    table, numbers = RefineHeldOut(learner, data, every=1).score(0)
    assert network.training
    assert numbers["miou"] == numbers["onboard_miou"] == scores.onboard.mean_iou_of_true
    assert table.header == ("class", "before", "after")


def train(made, out, *options):
    folder, _, _, preset = made
    recordings = preset.parent / "said"
    command = (
        *("train", "--model", "refine", "--preset", preset, "--data", folder),
        *("--recordings", recordings, "--workers", 0, "--out", out, *options),
    )
    return main([str(argument) for argument in command])


def test_a_run_leaves_weights_with_the_recordings_classes(made, tmp_path, capsys):
    folder, _, _, preset = made
    held_out = ("--validate", folder, "--validate-recordings", preset.parent / "said")
    assert train(made, tmp_path / "run", *held_out) == 0
    loaded = checkpoint.load(tmp_path / "run" / "weights.safetensors", RefineConfig)
    assert loaded.config.model.classes.vocabulary == OCC3D
    assert loaded.config.model.grid.voxels == GRID
    assert loaded.metadata["step"] == 2
    assert "before" in capsys.readouterr().out
    entry = json.loads((tmp_path / "run" / "validation.jsonl").read_text())
    assert 0.0 < entry["onboard_miou"] <= 1.0


def test_a_run_goes_on_with_the_same_data_and_settings(made, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(made, out) == 0
    assert train(made, out) == 1
    assert "go on with --resume" in capsys.readouterr().err
    assert train(made, out, "--resume") == 0
    assert train(made, out, "--resume", "--set", "train.flip.x=0") == 1
    assert "train.flip.x: expected 0.5, got 0.0" in capsys.readouterr().err
    assert train(made, out, "--resume", "--sets", ":2") == 1
    assert "expected the data that the run began with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--recordings",), "expected at least one argument"),
        (("--recordings", "nowhere"), "nowhere: expected"),
        (("--teacher", "weights"), "--teacher: expected none"),
        (("--preset", "mono_nano"), "expected one of"),
    ],
)
def test_what_a_run_cannot_begin_with(made, tmp_path, capsys, options, message):
    try:
        assert train(made, tmp_path / "run", *options) != 0
    except SystemExit as stopped:
        assert stopped.code == 2
    assert message in capsys.readouterr().err


def test_recordings_are_needed(made, tmp_path, capsys):
    command = ("train", "--model", "refine", "--data", made[0], "--out", tmp_path / "run")
    assert main([str(argument) for argument in command]) != 0
    assert "--recordings: expected what an onboard model said" in capsys.readouterr().err


def test_channels_must_fit_the_recordings_heights(made):
    model = REFINE_PRESETS["refine_nano"].model
    odd = model.model_copy(
        update={"propagation": model.propagation.model_copy(update={"channels": 64})}
    )
    grid = replace(GRID, shape=(20, 20, 3))
    info = replace(made[2].info, grid=grid)
    with pytest.raises(ConfigError, match="multiple of the 3 heights"):
        fit_recording(RefineConfig(model=odd), info)
