"""The training loop: goes on exactly, loses no checkpoint, and says clearly what went wrong."""

import errno
import json
import math
import os
import signal
import time
import warnings
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from tiny_network import as_trained, assert_same, batch
from tiny_samples import Samples, plane_sample, tiny_run

from occflow_ros.engine import checkpoint
from occflow_ros.errors import ConfigError, DataError, OutputError
from occflow_ros.models.build import build_network
from occflow_ros.training.draws import Draws
from occflow_ros.training.occflow_learner import OccFlowLearner
from occflow_ros.training.processes import Process
from occflow_ros.training.trainer import STATE, WEIGHTS, Trainer, TrainerOptions

ALONE = Process(0, 1, torch.device("cpu"))
SAMPLES = [plane_sample(number) for number in range(3)]


class Recorder:
    """Keeps what happens; `at` maps a number of done steps to something to do."""

    def __init__(self, at=None):
        self.steps, self.saved, self._at = [], [], at or {}

    def on_start(self, trainer):
        pass

    def on_step(self, trainer, report):
        self.steps.append(report)
        self._at.get(report.step, lambda: None)()

    def on_saved(self, trainer):
        self.saved.append(trainer.progress.step)


def trainer_in(out, config, resume=False, save_every=1000, dataset=None, **changes):
    """A trainer as a new process would have it."""
    return Trainer(
        learner=OccFlowLearner(as_trained(build_network(config.model)), config),
        dataset=Samples(SAMPLES) if dataset is None else dataset,
        config=config,
        options=TrainerOptions(out, workers=0, save_every=save_every, resume=resume),
        process=changes.pop("process", ALONE),
        fingerprint=changes.pop("fingerprint", "a1"),
    )


def weights_of(trainer):
    return {name: value.clone() for name, value in trainer.learner.state_dict().items()}


def sharpness_of(trainer):
    return trainer.learner.sharpness_per_m(trainer.progress.step)


def assert_equal(got, expected):
    assert got.keys() == expected.keys()
    different = [name for name in got if not torch.equal(got[name], expected[name])]
    assert different == []


def stop():
    raise KilledError


class KilledError(Exception):
    """Ends a run as if its process had been killed."""


def run_until(out, config, saved, end=stop):
    """Leave the state after `saved` steps of a run that ends during a later step."""
    with pytest.raises(KilledError):
        trainer_in(out, config, save_every=saved).run(Recorder({saved + 1: end}))


def assert_goes_on_to(weights, out, config, done):
    """What a run ends with that goes on after `done` steps."""
    resumed = trainer_in(out, config, resume=True)
    assert resumed.progress.step == done
    resumed.run(Recorder())
    assert_equal(weights_of(resumed), weights)


def straight(out, config):
    """What a run ends with that nothing stops."""
    trainer = trainer_in(out, config)
    trainer.run(Recorder())
    return weights_of(trainer)


ONE_STAGE = tiny_run(static=4, joint=0)


@pytest.fixture(scope="module")
def straight_weights(tmp_path_factory):
    return straight(tmp_path_factory.mktemp("straight"), ONE_STAGE)


def two_stages(sharpness, joint=3):
    return tiny_run(static=2, joint=joint, rendering={"sharpness": sharpness})


@pytest.fixture(scope="module", params=["learned", "scheduled"])
def straight_two_stages(request, tmp_path_factory):
    config = two_stages(request.param)
    return config, straight(tmp_path_factory.mktemp("straight"), config)


@pytest.mark.parametrize("saved", [1, 2, 3])  # the stage changes after step 2
def test_a_run_goes_on_bit_for_bit(tmp_path, straight_two_stages, saved):
    config, weights = straight_two_stages
    run_until(tmp_path, config, saved)
    assert_goes_on_to(weights, tmp_path, config, saved)


def test_a_run_without_static_stage_goes_on_bit_for_bit(tmp_path):
    config = tiny_run(static=0, joint=2, samples_per_step=2, rendering={"sharpness": "learned"})
    weights = straight(tmp_path, config)
    assert weights["sharpness"] != OccFlowLearner(build_network(config.model), config).sharpness
    run_until(tmp_path, config, 1)
    assert_goes_on_to(weights, tmp_path, config, 1)


def test_workers_that_load_samples_change_nothing(tmp_path, straight_weights):
    helped = trainer_in(tmp_path, ONE_STAGE)
    helped.options = TrainerOptions(tmp_path, workers=1)
    helped.run(Recorder())
    assert_equal(weights_of(helped), straight_weights)


def test_the_stages_learn_what_they_should(tmp_path):
    config = tiny_run(static=1, joint=1, rendering={"sharpness": "learned"})
    seen = []
    trainer = trainer_in(tmp_path, config)
    began = weights_of(trainer)
    trainer.run(Recorder({1: lambda: seen.append(weights_of(trainer))}))
    (static,), joint = seen, weights_of(trainer)
    flow = [name for name in began if ".heads.flow." in name]
    assert all(torch.equal(static[name], began[name]) for name in flow)
    assert not any(torch.equal(joint[name], static[name]) for name in flow)
    assert static["sharpness"] != began["sharpness"]
    assert joint["sharpness"] == static["sharpness"]


def test_the_loss_falls(tmp_path):
    config = tiny_run(static=16, joint=0, optimizer={"learning_rate": 1e-2})
    recorder = Recorder()
    trainer_in(tmp_path, config, dataset=Samples(SAMPLES[:1])).run(recorder)
    losses = [report.loss for report in recorder.steps]
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


def test_a_report_says_what_a_step_did(tmp_path):
    config = tiny_run(static=2, joint=1, rendering={"sharpness_per_m": (2.0, 8.0)})
    recorder = Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer_in(tmp_path, config).run(recorder)
    first, second, third = recorder.steps
    assert [report.step for report in recorder.steps] == [1, 2, 3]
    assert (first.rate, second.rate) == (0.5e-3, 1e-3)
    # The schedule ends with the static stage.
    sharpness = [report.numbers["sharpness_per_m"] for report in recorder.steps]
    assert sharpness == pytest.approx([2, 4, 8])
    assert first.size == 2 * 4 * 8 + 40
    assert set(third.parts) - set(first.parts) == {"flow_smoothness", "dynamic_regularization"}
    weights = config.train.losses
    expected = sum(getattr(weights, name).weight * value for name, value in third.parts.items())
    assert third.loss == pytest.approx(expected, rel=1e-5)


def test_a_learned_sharpness_is_read_without_a_warning(tmp_path):
    config = tiny_run(rendering={"sharpness": "learned"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sharpness_of(trainer_in(tmp_path, config)) == pytest.approx(2.718, rel=1e-3)


def test_checkpointing_gives_the_same_steps(tmp_path, straight_weights):
    backbone = ONE_STAGE.model.backbone.model_copy(update={"checkpointing": True})
    model = ONE_STAGE.model.model_copy(update={"backbone": backbone})
    trainer = trainer_in(tmp_path, ONE_STAGE.model_copy(update={"model": model}))
    recomputed = []
    block = trainer.learner.network.backbone.stages[0][0]
    block.register_forward_pre_hook(lambda *_: recomputed.append(torch.is_grad_enabled()))
    trainer.run(Recorder())
    assert_equal(weights_of(trainer), straight_weights)
    # In each step two past sets without gradient, then the current one twice.
    assert recomputed == [False, False, True, True] * 4


# Non-finite gradients


def poison(trainer, steps):
    """Make the gradient of these steps NaN."""
    clean = trainer._gradient

    def poisoned(samples):
        result = clean(samples)
        if trainer.progress.step in steps:
            next(trainer.learner.network.heads.sdf.parameters()).grad.fill_(math.nan)
        return result

    trainer._gradient = poisoned
    return trainer


def test_a_gradient_that_is_not_finite_is_skipped_and_counted(tmp_path):
    config = tiny_run(static=4, joint=0)
    trainer = poison(trainer_in(tmp_path, config), {1, 3})
    seen = {}
    recorder = Recorder({k: lambda k=k: seen.update({k: weights_of(trainer)}) for k in range(1, 5)})
    trainer.run(recorder)
    assert [report.skipped for report in recorder.steps] == [False, True, False, True]
    assert_equal(seen[2], seen[1])
    assert_equal(seen[4], seen[3])
    assert not torch.equal(
        seen[3]["network.heads.sdf.0.weight"], seen[2]["network.heads.sdf.0.weight"]
    )
    assert trainer.progress.skipped == 2
    assert checkpoint.load(tmp_path / WEIGHTS).metadata["skipped"] == 2
    assert trainer_in(tmp_path, config, resume=True).progress.skipped == 2


def test_too_many_skipped_steps_in_a_row_end_the_run(tmp_path):
    config = tiny_run(static=8, joint=0, optimizer={"max_skipped": 3})
    trainer = poison(trainer_in(tmp_path, config), {1, 2, 4, 5, 6})
    with pytest.raises(DataError, match=r"step 7: the last 3 gradients were not finite.*eikonal"):
        trainer.run(Recorder())
    assert checkpoint.load(tmp_path / STATE).metadata["step"] == 7


# Samples that cannot be had


def test_a_broken_sample_is_named_and_the_state_saved(tmp_path, straight_weights):
    (first, *_) = order = [draw.index for draw in draws_of(ONE_STAGE)]
    broken = next(index for index in order if index != first)
    dataset, recorder = Samples(SAMPLES, broken={broken}), Recorder()
    with pytest.raises(DataError, match=r"^/data/cam_0/7.jpg: expected an image$"):
        trainer_in(tmp_path, ONE_STAGE, dataset=dataset).run(recorder)
    done = order.index(broken)
    assert (len(recorder.steps), recorder.saved) == (done, [done])
    assert_goes_on_to(straight_weights, tmp_path, ONE_STAGE, done)


def draws_of(config):
    return Draws(len(SAMPLES), 1, 0, config.train.steps, config.train.seed)


class Deadly(Samples):
    """Kills the process that loads."""

    def __getitem__(self, draw):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_loading_process_that_is_killed_is_told(tmp_path):
    trainer = trainer_in(tmp_path, tiny_run(), dataset=Deadly(SAMPLES))
    trainer.options = TrainerOptions(tmp_path, workers=1)
    with pytest.raises(DataError, match="a process that loads samples ended.*memory"):
        trainer.run(Recorder())
    assert (tmp_path / STATE).is_file()


# Files that cannot be written


@pytest.mark.parametrize(
    "failure",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("No space left on device")],
)
def test_a_full_disk_is_named_and_the_earlier_files_stay(
    tmp_path, monkeypatch, straight_weights, failure
):
    def fail(tensors, path, metadata):
        Path(path).write_bytes(b"half of it")
        raise failure

    full = Recorder({3: lambda: monkeypatch.setattr(checkpoint, "save_file", fail)})
    with pytest.raises(OutputError, match=rf"{STATE}: cannot be written: .*No space left"):
        trainer_in(tmp_path, ONE_STAGE, save_every=2).run(full)
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == [STATE, WEIGHTS]
    assert checkpoint.load(tmp_path / WEIGHTS).metadata["step"] == 2
    assert_goes_on_to(straight_weights, tmp_path, ONE_STAGE, 2)


def die_while_saving(trainer):
    """Let a copy of this process be killed half-way through a file."""

    def torn(tensors, path, metadata):
        Path(path).write_bytes(b"half of it")
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        checkpoint.save_file = torn
        trainer.save(Recorder())
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    raise KilledError


def test_a_run_that_was_killed_while_it_wrote_goes_on(tmp_path, straight_weights):
    trainer = trainer_in(tmp_path, ONE_STAGE, save_every=2)
    with pytest.raises(KilledError):
        trainer.run(Recorder({3: lambda: die_while_saving(trainer)}))
    assert len(list(tmp_path.glob(f"{STATE}*.partial"))) == 1
    assert_goes_on_to(straight_weights, tmp_path, ONE_STAGE, 2)


# What does not belong together


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    trainer = trainer_in(out, tiny_run(static=1, joint=1, rendering={"sharpness": "learned"}))
    trainer.run(Recorder())
    return trainer


def test_another_configuration_is_refused_by_name(finished):
    changed = tiny_run(
        static=1, joint=2, rendering={"sharpness": "learned"}, optimizer={"decay": 0.5}
    )
    with pytest.raises(DataError) as error:
        trainer_in(finished.options.out, changed, resume=True)
    message = str(error.value)
    assert str(finished.options.out / STATE) in message
    assert "train.optimizer.decay: expected 0.4, got 0.5" in message
    assert "train.joint_stage.steps: expected 1, got 2" in message
    assert "samples" not in message


def test_other_data_are_refused(finished):
    with pytest.raises(DataError, match=r"the data that the run began with \(a1\).*\(b2\)"):
        trainer_in(finished.options.out, finished.config, resume=True, fingerprint="b2")


def test_a_missing_or_torn_state_is_named(finished, tmp_path):
    with pytest.raises(DataError, match=STATE):
        trainer_in(tmp_path, finished.config, resume=True)
    whole = (finished.options.out / STATE).read_bytes()
    (tmp_path / STATE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=STATE):
        trainer_in(tmp_path, finished.config, resume=True)


def test_weights_alone_are_no_state(finished, tmp_path):
    (tmp_path / STATE).write_bytes((finished.options.out / WEIGHTS).read_bytes())
    with pytest.raises(DataError, match=STATE):
        trainer_in(tmp_path, finished.config, resume=True)


def test_processes_that_cannot_share_a_step_are_refused(tmp_path):
    process = Process(0, 2, torch.device("cpu"))
    with pytest.raises(ConfigError, match=r"samples_per_step: expected a multiple of the 2.*got 3"):
        trainer_in(tmp_path, tiny_run(samples_per_step=3), process=process)


def test_the_saved_weights_predict_as_the_trained_network(finished):
    path = finished.options.out / WEIGHTS
    network = build_network(finished.config.model, weights=path)
    assert network.weights_source == str(path)
    inputs = (*batch(SAMPLES[0].current), [], torch.zeros(1, 0, 4, 4, dtype=torch.float64))
    with torch.no_grad():
        assert_same(network(*inputs), finished.learner.network.eval()(*inputs), atol_m=0.0)


def test_the_saved_weights_say_how_they_were_made(finished):
    loaded = checkpoint.load(finished.options.out / WEIGHTS)
    assert loaded.config == finished.config
    assert loaded.metadata["step"] == 2
    assert loaded.metadata["skipped"] == 0
    assert loaded.metadata["fingerprint"] == "a1"
    assert loaded.metadata["sharpness_per_m"] == pytest.approx(sharpness_of(finished))
    with safe_open(finished.options.out / STATE, framework="pt") as file:
        assert json.loads(file.metadata()["metadata"])["step"] == 2


# Ctrl-C


def interrupted(out, send, **changes):
    """What a run did that was signalled."""
    trainer, recorder = trainer_in(out, ONE_STAGE, **changes), Recorder()
    send(trainer, recorder)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        trainer.run(recorder)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    return recorder


def raise_signal_in(method, number, at_step, times=1, apart_s=0.0):
    """Signals while `trainer.method` runs for this step."""

    def install(trainer, recorder):
        owner = recorder if hasattr(recorder, method) else trainer
        original = getattr(owner, method)

        def signalled(*args):
            result = original(*args)
            if trainer.progress.step == at_step:
                for _ in range(times):
                    signal.raise_signal(number)
                    time.sleep(apart_s)
            return result

        setattr(owner, method, signalled)

    return install


@pytest.mark.parametrize(
    ("number", "method", "at_step", "done"),
    [
        (signal.SIGINT, "_gradient", 1, 2),  # in a step
        (signal.SIGTERM, "_gradient", 1, 2),
        (signal.SIGINT, "on_step", 2, 2),  # after it
        (signal.SIGTERM, "_agree", 1, 2),  # before it
    ],
)
def test_a_signal_lets_the_step_end_and_loses_nothing(
    tmp_path, straight_weights, number, method, at_step, done
):
    recorder = interrupted(tmp_path, raise_signal_in(method, number, at_step))
    assert (len(recorder.steps), recorder.saved) == (done, [done])
    assert_goes_on_to(straight_weights, tmp_path, ONE_STAGE, done)


def test_a_signal_that_several_pass_on_counts_once(tmp_path):
    recorder = interrupted(tmp_path, raise_signal_in("_gradient", signal.SIGINT, 1, times=3))
    assert recorder.saved == [2]


def test_a_second_signal_ends_the_step_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("occflow_ros.training.interruption._ECHO_S", 0.0)
    send = raise_signal_in("_gradient", signal.SIGINT, 2, times=2, apart_s=0.01)
    recorder = interrupted(tmp_path, send, save_every=1)
    assert (len(recorder.steps), recorder.saved) == (2, [1, 2])
    assert checkpoint.load(tmp_path / STATE).metadata["step"] == 2


def test_nothing_is_saved_twice(tmp_path):
    recorder = Recorder()
    trainer_in(tmp_path, tiny_run(static=4, joint=0), save_every=2).run(recorder)
    assert recorder.saved == [2, 4]
