"""The learner of MonoOcc: which losses enter, what they may know, and what a teacher is for."""

from dataclasses import replace

import pytest
import torch
from tiny_mono import IMAGE_HW_PX, NAMES, tiny_mono, tiny_mono_config
from tiny_network import frame

from occflow_ros.config import GridConfig
from occflow_ros.engine.semantics import views_of
from occflow_ros.errors import ConfigError
from occflow_ros.losses.distillation import distillation_loss
from occflow_ros.losses.proposals import CoarseOccupancy, proposal_loss
from occflow_ros.losses.scene_affinity import geometric_affinity_loss, semantic_affinity_loss
from occflow_ros.losses.semantic_occupancy import (
    class_balance,
    pixel_cross_entropy,
    voxel_cross_entropy,
)
from occflow_ros.mono_config import (
    ClassesConfig,
    CrossViewConfig,
    MonoConfig,
    MonoLossesConfig,
    MonoTrainConfig,
)
from occflow_ros.structures import UNKNOWN_CLASS_ID
from occflow_ros.training.mono.learner import MonoLearner, cells_seen
from occflow_ros.training.mono.sample import MonoSample, PixelClasses
from occflow_ros.training.optimizer import build_optimizer, set_rate
from occflow_ros.training_config import LossTermConfig, OptimizerConfig

EMPTY, UNKNOWN = NAMES.index("empty"), 255
FREQUENCIES = torch.tensor([4000, 300, 90_000])
WEIGHTS = {
    "semantic_2d": 4.0,
    "distillation": 3.0,
    "cross_entropy": 2.0,
    "semantic_affinity": 1.0,
    "geometric_affinity": 0.5,
    "proposals": 1.0,
}
CPU = torch.device("cpu")


def sample_of(cameras=1, frames=1, seed=0):
    """Few occupied voxels and pixels by chance; what lies far to the left is not known."""
    generator = torch.Generator().manual_seed(seed)
    chance = torch.randint(0, 20, (16, 16, 4), generator=generator)
    classes = chance.clamp(max=EMPTY).to(torch.uint8)
    classes[:, 13:] = UNKNOWN
    return MonoSample(
        frames=tuple(frame(10 - age, cameras, IMAGE_HW_PX) for age in range(frames)),
        depth_m=1.0 + 6.0 * torch.rand(cameras, 8, 16, generator=generator),
        classes=classes,
        pixels=PixelClasses(
            camera=torch.randint(0, cameras, (50,), generator=generator),
            location=torch.rand(50, 2, generator=generator),
            class_id=torch.randint(0, 2, (50,), generator=generator).to(torch.uint8),
        ),
    )


def config_of(precision="float32", cameras_per_sample=0, **losses):
    train = MonoTrainConfig(
        precision=precision,
        cameras_per_sample=cameras_per_sample,
        losses=MonoLossesConfig(**losses),
        optimizer=OptimizerConfig(learning_rate=1e-2, warm_up_steps=0),
    )
    return MonoConfig(model=tiny_mono_config(), train=train)


def learner_of(network=None, teacher=None, **settings):
    return MonoLearner(network or tiny_mono(), config_of(**settings), FREQUENCIES, teacher)


def loss_of(learner, sample):
    return learner(sample, 0, torch.Generator())


def test_the_total_is_the_weighted_sum_of_equation_10():
    total = loss_of(learner_of(teacher=tiny_mono(seed=1)), sample_of())
    assert set(total.parts) == set(WEIGHTS)
    expected = sum(WEIGHTS[name] * part for name, part in total.parts.items())
    torch.testing.assert_close(total.value, expected)
    assert all(part > 0 for part in total.parts.values())


def test_each_part_is_its_loss_of_what_the_network_says():
    sample, network, teacher = sample_of(cameras=2), tiny_mono(), tiny_mono(seed=1)
    parts = loss_of(learner_of(network, teacher), sample).parts
    views, depth_m = views_of(sample.frames, CPU), sample.depth_m[None]
    with torch.no_grad():
        said, taught = network(views, depth_m), teacher(views, depth_m)
        maps = network.semantic_decoder(said.features[0])
    classes, pixels = sample.classes[None], sample.pixels
    cells = CoarseOccupancy.of(classes, EMPTY)
    occupied = (classes != EMPTY) & (classes != UNKNOWN_CLASS_ID)
    sees = cells_seen(views, network.volume_grid)
    expected = {
        "semantic_2d": pixel_cross_entropy(maps, pixels.camera, pixels.location, pixels.class_id),
        "distillation": distillation_loss(said.logits, taught.logits, occupied),
        "cross_entropy": voxel_cross_entropy(said.logits, classes, class_balance(FREQUENCIES)),
        "semantic_affinity": semantic_affinity_loss(said.logits, classes),
        "geometric_affinity": geometric_affinity_loss(said.logits, classes, EMPTY),
        "proposals": proposal_loss(said.proposals, cells, sees),
    }
    for name, value in expected.items():
        torch.testing.assert_close(
            parts[name], value, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("off", WEIGHTS)
def test_what_is_off_is_neither_computed_nor_learned_from(off):
    network = tiny_mono()
    learner = learner_of(
        network, tiny_mono(seed=1), **{off: LossTermConfig(weight=1.0, enabled=False)}
    )
    total = loss_of(learner, sample_of())
    assert set(total.parts) == set(WEIGHTS) - {off}
    total.value.backward()
    decoder_learns = network.semantic_decoder[0].weight.grad is not None
    assert decoder_learns == (off != "semantic_2d")
    assert (network.proposals.output.weight.grad is not None) == (off != "proposals")


def test_only_what_the_cameras_see_counts_where_some_are_drawn():
    sample = sample_of()
    seen = cells_seen(views_of(sample.frames, CPU), tiny_mono().volume_grid).any(dim=1)[0]
    hidden = ~seen.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    other = torch.where(hidden, sample.classes.roll(1, dims=0), sample.classes)
    assert (other != sample.classes).any()
    changed = replace(sample, classes=other)
    one, all_of_them = learner_of(cameras_per_sample=1), learner_of()
    assert loss_of(one, changed).value == loss_of(one, sample).value
    assert loss_of(all_of_them, changed).value != loss_of(all_of_them, sample).value


def test_cells_are_seen_where_their_centre_is_in_the_current_image():
    # Two cameras 90° wide, one looks ahead and one back, from 0.5 m in front and behind of ego.
    sample = sample_of(cameras=2, frames=2)
    views, grid = views_of(sample.frames, CPU), tiny_mono().volume_grid
    sees = cells_seen(views, grid)
    x, y, z = grid.centers_m().unbind(-1)
    ahead_m = torch.stack((x - 0.5, -x - 0.5))[None]
    height = 32 / 64  # of the image over its width: half the slope
    expected = (y.abs() <= ahead_m) & ((z - 1.5).abs() <= height * ahead_m) & (ahead_m > 0.1)
    assert torch.equal(sees, expected)
    said = tiny_mono()(views, sample.depth_m[None])
    assert torch.equal(said.seen, sees.any(dim=1))


def test_a_camera_without_an_image_sees_nothing():
    sample = sample_of(cameras=2)
    rig = replace(sample.current.rig, present=torch.tensor([True, False]))
    views = views_of([replace(sample.current, rig=rig)], CPU)
    sees = cells_seen(views, tiny_mono().volume_grid)
    assert sees[0, 0].any()
    assert not sees[0, 1].any()


def test_without_a_teacher_equation_9_is_left_out():
    assert "distillation" not in loss_of(learner_of(), sample_of()).parts


def test_a_student_that_is_its_teacher_has_nothing_to_learn_from_it():
    parts = loss_of(learner_of(tiny_mono(), tiny_mono()), sample_of()).parts
    assert parts["distillation"].item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_student_and_teacher_look_at_as_many_frames_as_each_wants_and_there_are(frames):
    two = {"frames": 2, "cross_view": CrossViewConfig(enabled=True, heads=2)}
    sample, student, teacher = sample_of(frames=frames), tiny_mono(), tiny_mono(seed=1, **two)
    part = loss_of(learner_of(student, teacher), sample).parts["distillation"]
    views, depth_m = views_of(sample.frames, CPU), sample.depth_m[None]
    with torch.no_grad():
        said, taught = student(views.newest(1), depth_m), teacher(views.newest(2), depth_m)
    where = (sample.classes[None] != EMPTY) & (sample.classes[None] != UNKNOWN_CLASS_ID)
    torch.testing.assert_close(part, distillation_loss(said.logits, taught.logits, where))


def test_the_teacher_is_frozen_and_no_part_of_the_learner():
    teacher = tiny_mono(seed=1).train()
    learner = learner_of(teacher=teacher).train()
    loss_of(learner, sample_of()).value.backward()
    assert not any(module.training for module in teacher.modules())
    assert all(value.grad is None and not value.requires_grad for value in teacher.parameters())
    names = {f"network.{name}" for name in learner.network.state_dict()} | {"class_weights"}
    assert set(learner.state_dict()) == names
    assert len(list(learner.parameters())) == len(list(learner.network.parameters()))


def test_a_teacher_of_no_weight_is_not_asked():
    teacher = tiny_mono(seed=1)
    teacher.forward = None  # to call it is an error
    learner = learner_of(teacher=teacher, distillation=LossTermConfig(weight=0.0))
    assert "distillation" not in loss_of(learner, sample_of()).parts


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"grid": GridConfig(lower_m=(-8, -8, -1), upper_m=(8, 8, 3), shape=(8, 8, 4))},
            r"teacher.grid: expected VoxelGrid\(.*shape=\(16, 16, 4\)\) .*shape=\(8, 8, 4\)",
        ),
        (
            {"classes": ClassesConfig(names=("car", "road", "empty"))},
            r"teacher.class_names: expected \('road', .* got \('car', 'road', 'empty'\)",
        ),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        learner_of(teacher=tiny_mono(**changes))


def test_a_teacher_may_have_other_channels():
    wide = tiny_mono(seed=1, channels=16)
    assert loss_of(learner_of(teacher=wide), sample_of()).parts["distillation"] > 0


def test_frequencies_are_of_the_classes():
    with pytest.raises(ValueError, match=r"frequencies: expected .* \(3,\), got \(2,\)"):
        MonoLearner(tiny_mono(), config_of(), torch.tensor([5, 6]))


def test_losses_are_in_float32_whatever_the_network_computes_in():
    total, exact = (
        loss_of(learner_of(teacher=tiny_mono(seed=1), precision=precision), sample_of())
        for precision in ("bfloat16", "float32")
    )
    assert {part.dtype for part in (total.value, *total.parts.values())} == {torch.float32}
    torch.testing.assert_close(total.value, exact.value, rtol=0.05, atol=0.0)
    assert total.value != exact.value


def test_the_size_of_a_sample_is_its_known_voxels():
    sample = sample_of()
    assert learner_of().size(sample) == sum(value != UNKNOWN for value in sample.classes.flatten())


def test_a_sample_that_is_repeated_is_learned():
    learner, sample = learner_of(), sample_of(cameras=2, frames=2)
    stage, train = learner.stages[0], config_of().train
    assert learner.steps == train.steps
    learner.begin_stage(0)
    optimizer = build_optimizer(learner.network, learner.beside(), train.optimizer, stage.factors)
    set_rate(optimizer, train.optimizer.learning_rate)
    values = []
    for step in range(20):
        optimizer.zero_grad()
        total = learner(sample, step, torch.Generator())
        total.value.backward()
        optimizer.step()
        values.append(total.value.item())
    assert values[-1] < 0.75 * values[0]
    assert all(value.grad is not None for value in learner.network.parameters())
