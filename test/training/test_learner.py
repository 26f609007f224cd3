"""The trainer knows nothing of what it trains: a line through points, in a few lines of code."""

from dataclasses import dataclass

import pytest
import test_trainer
import torch
from test_trainer import ALONE, KilledError, Recorder, assert_equal, stop, weights_of
from tiny_samples import Samples
from torch import Tensor, nn

from occflow_ros.engine import checkpoint
from occflow_ros.errors import DataError
from occflow_ros.losses.total import TotalLoss
from occflow_ros.mono_config import MONO_PRESETS, MonoConfig
from occflow_ros.training.learner import Learner, Stage
from occflow_ros.training.trainer import STATE, WEIGHTS, Trainer, TrainerOptions
from occflow_ros.training_config import OptimizerConfig
from occflow_ros.validation import StrictModel


@dataclass(frozen=True, slots=True)
class Points:
    """Of the line y = 2x − 1."""

    x: Tensor

    def to(self, device):
        return self


class Factors(StrictModel):
    """Of the only child."""

    slope: float


class Line(Learner[Points]):
    """Learns the offset, which is beside the network, in the first stage only."""

    unit = "points"

    def __init__(self, stages=((2, 1.0), (0, 1.0), (3, 0.5))):
        super().__init__()
        self.network = nn.Module()
        self.network.slope = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.network.slope.weight)
        self.offset = nn.Parameter(torch.zeros(()))
        self.stages = tuple(Stage(steps, Factors(slope=factor)) for steps, factor in stages)
        self.began = []

    def begin_stage(self, index):
        self.began.append(index)
        self.offset.requires_grad_(index == 0)

    def beside(self):
        return (self.offset,)

    def numbers(self, step):
        return {"weight": 1.0 + step}

    def size(self, sample):
        return len(sample.x)

    def forward(self, sample, step, generator):
        noise = 1e-3 * torch.randn(sample.x.shape, generator=generator)
        error = self.network.slope(sample.x) + self.offset - (2.0 * sample.x - 1.0 + noise)
        squared = error.square().mean()
        return TotalLoss(squared * self.numbers(step)["weight"], {"squared": squared.detach()})


SAMPLES = [Points(torch.linspace(number, number + 1.0, 5).unsqueeze(1)) for number in range(3)]
PRESET = MONO_PRESETS["mono_nano"]
CONFIG = MonoConfig(
    model=PRESET.model,
    train=PRESET.train.model_copy(
        update={
            "samples_per_step": 2,
            "optimizer": OptimizerConfig(learning_rate=0.1, warm_up_steps=2),
        }
    ),
)


def trainer_in(out, learner=None, save_every=100, resume=False):
    return Trainer(
        learner=learner or Line(),
        dataset=Samples(SAMPLES),
        config=CONFIG,
        options=TrainerOptions(out, workers=0, save_every=save_every, resume=resume),
        process=ALONE,
    )


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run that nothing stops, and what it reported."""
    trainer, recorder = trainer_in(tmp_path_factory.mktemp("straight")), Recorder()
    trainer.run(recorder)
    return trainer, recorder


@pytest.mark.parametrize("saved", [1, 2, 4])  # the stage changes after step 2
def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, straight, saved):
    with pytest.raises(KilledError):
        trainer_in(tmp_path, save_every=saved).run(Recorder({saved + 1: stop}))
    resumed = trainer_in(tmp_path, resume=True)
    assert resumed.progress.step == saved
    resumed.run(Recorder())
    assert_equal(weights_of(resumed), weights_of(straight[0]))


def test_each_stage_begins_once_with_its_rates_and_empty_ones_are_left_out(straight):
    trainer, recorder = straight
    assert list(dict.fromkeys(trainer.learner.began)) == [0, 2]
    assert [report.rate for report in recorder.steps[:3]] == pytest.approx([0.05, 0.1, 0.05])
    assert [group["lr"] for group in trainer._optimizer.param_groups] == pytest.approx(
        [0.5 * recorder.steps[-1].rate]
    )


def test_what_is_beside_the_network_is_learned_in_its_stage_only(tmp_path):
    seen = []
    trainer = trainer_in(tmp_path)
    note = dict.fromkeys(range(1, 6), lambda: seen.append(trainer.learner.offset.item()))
    trainer.run(Recorder(note))
    assert 0.0 != seen[0] != seen[1]
    assert seen[1:] == [seen[1]] * 4


def test_reports_and_files_say_what_the_learner_says(straight):
    trainer, recorder = straight
    first = recorder.steps[0]
    assert first.size == 2 * 5
    assert [report.numbers["weight"] for report in recorder.steps[:2]] == [1.0, 2.0]
    assert set(first.parts) == {"squared"}
    loaded = checkpoint.load(trainer.options.out / WEIGHTS, MonoConfig)
    assert loaded.weights.keys() == {"slope.weight"}
    assert loaded.metadata["weight"] == 6.0
    assert checkpoint.kind_of(trainer.options.out / STATE) == "mono"


def test_the_line_is_found(tmp_path):
    learner = Line(stages=((300, 1.0),))
    trainer_in(tmp_path, learner).run(Recorder())
    assert learner.network.slope.weight.item() == pytest.approx(2.0, abs=0.05)
    assert learner.offset.item() == pytest.approx(-1.0, abs=0.1)


def test_a_state_of_another_kind_is_refused(tmp_path, straight):
    path = tmp_path / STATE
    path.write_bytes((straight[0].options.out / STATE).read_bytes())
    with pytest.raises(DataError, match="expected weights of OccFlow, got those of MonoOcc"):
        test_trainer.trainer_in(tmp_path, test_trainer.ONE_STAGE, resume=True)


@pytest.mark.parametrize(
    ("steps", "places"),
    [
        ((2, 3), [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (1, 3)]),
        ((0, 2), [(1, 0), (1, 1), (1, 2)]),
        ((2, 0), [(0, 0), (0, 1), (0, 2)]),
        ((1, 0, 1), [(0, 0), (2, 0), (2, 1)]),
    ],
)
def test_each_step_has_its_place(steps, places):
    learner = Line(stages=tuple((count, 1.0) for count in steps))
    assert learner.steps == sum(steps)
    assert [learner.place(step) for step in range(learner.steps + 1)] == places
