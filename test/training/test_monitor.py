"""What a run keeps and shows: logs that go on where the run does, validation, pictures."""

import json
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_network import as_trained
from tiny_samples import Samples, tiny_train

from occflow_ros import cli
from occflow_ros.config import dump
from occflow_ros.cues.images import image_of
from occflow_ros.data.selection import Selection
from occflow_ros.engine import checkpoint
from occflow_ros.errors import DataError, OutputError
from occflow_ros.evaluation.subject import open_subjects
from occflow_ros.models.build import build_network
from occflow_ros.training.held_out import HeldOut, early, stream_of
from occflow_ros.training.monitor import (
    LOG,
    PICTURES,
    VALIDATION,
    ProgressMonitor,
    keep_log,
)
from occflow_ros.training.occflow_learner import OccFlowLearner
from occflow_ros.training.processes import Process
from occflow_ros.training.trainer import WEIGHTS, Trainer, TrainerOptions

STEPS = 5
EVERY_SET = range(2**31)


@pytest.fixture(scope="module")
def recording(written):
    return written("recording")


@pytest.fixture(scope="module")
def held_out(recording):
    return tuple(open_subjects(recording.folder, Selection(), range(1, 3)))


@pytest.fixture(scope="module")
def sample(recording):
    return recording.sample()


def config_of(recording, steps=STEPS):
    return recording.config.model_copy(update={"train": tiny_train(static=steps, joint=0)})


def trainer_in(out, config, sample, rank=0, resume=False, validate_every=2):
    """Of a run with one sample."""
    out.mkdir(exist_ok=True)
    return Trainer(
        learner=OccFlowLearner(as_trained(build_network(config.model)), config),
        dataset=Samples([sample]),
        config=config,
        options=TrainerOptions(out, 0, save_every=2, validate_every=validate_every, resume=resume),
        process=Process(rank, 1, torch.device("cpu")),
    )


def monitor_of(trainer, drives, every, sample, kind=ProgressMonitor):
    """A monitor that compares with these drives."""
    validation = HeldOut(trainer.learner, trainer.config, drives, every, sample)
    return kind(trainer.options.out, validation)


def train(out, config, sample, **options):
    """A run that is not validated; returns its trainer."""
    trainer = trainer_in(out, config, sample, **options)
    trainer.run(ProgressMonitor(out))
    return trainer


@pytest.fixture(scope="module")
def run(tmp_path_factory, recording, held_out, sample):
    """A validated run: its folder, its trainer and what it printed."""
    out = tmp_path_factory.mktemp("run")
    trainer = trainer_in(out, config_of(recording), sample)
    with redirect_stdout(StringIO()) as console:
        trainer.run(monitor_of(trainer, held_out, 1, sample))
    return out, trainer, console.getvalue()


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_validation_is_early_and_every_so_often_and_at_the_end(run):
    out, _, printed = run
    tables = printed.split("Step ")[1:]
    titles = [table.splitlines()[0] for table in tables]
    assert titles == ["0, an early look", *(f"{step}, validation" for step in (2, 4, STEPS))]
    assert [entry["step"] for entry in entries(out / VALIDATION)] == [2, 4, STEPS]
    assert all("depth Abs Rel" in table and "RayIoU" in table for table in tables)
    assert "Over 1 sets" in tables[0]
    assert "Over 2 sets" in tables[1]


def test_the_log_holds_numbers_only(run):
    for entry in entries(run[0] / VALIDATION):
        assert all(np.isfinite(value) for value in entry.values())
        assert entry["depth_abs_rel"] > 0.0


def test_the_checkpoint_carries_the_last_metrics(run):
    out, trainer, _ = run
    last = entries(out / VALIDATION)[-1]
    metrics = checkpoint.load(out / WEIGHTS).metadata["metrics"]
    assert metrics == trainer.metrics == last
    assert metrics["step"] == STEPS


def test_pictures_show_something(run):
    paths = sorted((run[0] / PICTURES).iterdir())
    assert [path.name for path in paths] == [f"step-{step:06d}.jpg" for step in (0, 2, 4, STEPS)]
    first, *_, last = (cv2.imread(str(path)) for path in paths)
    assert min(first.shape[:2]) > 500
    # Each band of the picture has contents: rows of cameras above, two views below.
    assert all(band.std() > 10.0 for band in np.array_split(last, 6))
    assert (first != last).any()


def test_tensorboard_has_scalars_and_pictures(run):
    events = EventAccumulator(str(run[0] / "tensorboard")).Reload()
    assert [one.step for one in events.Scalars("validation/depth_abs_rel")] == [2, 4, STEPS]
    assert events.Images("validation")[-1].step == STEPS


def test_validation_leaves_training_as_it_is(tmp_path, run, recording, sample):
    _, validated, _ = run
    plain = train(tmp_path, config_of(recording), sample)
    got, expected = (one.learner.state_dict() for one in (validated, plain))
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    assert all(module.training for module in validated.learner.modules())


class Mortal(ProgressMonitor):
    """Dies after the last step, before its state is saved; keeps the metrics it began with."""

    def on_start(self, trainer):
        super().on_start(trainer)
        self.began_with = dict(trainer.metrics)

    def on_step(self, trainer, report):
        super().on_step(trainer, report)
        if report.step == STEPS:
            raise KeyboardInterrupt


def test_a_run_that_goes_on_drops_what_came_after(tmp_path, recording, held_out, sample):
    def run(**options):
        trainer = trainer_in(tmp_path, config_of(recording), sample, **options)
        monitor = monitor_of(trainer, held_out[:1], 2, sample, Mortal)
        with pytest.raises(KeyboardInterrupt):
            trainer.run(monitor)
        return monitor

    run()
    last, kept = tmp_path / PICTURES / f"step-{STEPS:06d}.jpg", entries(tmp_path / VALIDATION)
    last_picture = last.read_bytes()
    (tmp_path / LOG).write_text('{"step": 1}\n{"step": 4}\n{"step": 5}\n')
    monitor = run(resume=True)
    assert [entry["step"] for entry in entries(tmp_path / LOG)] == [1, 4]
    assert entries(tmp_path / VALIDATION) == kept
    assert monitor.began_with == kept[-2]
    assert last.read_bytes() == last_picture


def test_a_new_run_drops_all_of_an_old_one(tmp_path, recording, sample):
    (tmp_path / PICTURES).mkdir()
    (tmp_path / PICTURES / "step-000004.jpg").touch()
    (tmp_path / VALIDATION).write_text('{"step": 4, "ray_iou": 0.5}\n')
    trainer = train(tmp_path, config_of(recording, 1), sample)
    assert (tmp_path / VALIDATION).read_text() == ""
    assert list((tmp_path / PICTURES).iterdir()) == []
    assert trainer.metrics == {}


def test_without_an_interval_there_is_validation_at_the_end(tmp_path, recording, held_out, sample):
    trainer = trainer_in(tmp_path, config_of(recording, 2), sample, validate_every=0)
    trainer.run(monitor_of(trainer, held_out, 2, sample))
    assert [entry["step"] for entry in entries(tmp_path / VALIDATION)] == [2]


def test_only_the_process_that_writes_validates(tmp_path, recording, held_out, sample):
    trainer = trainer_in(tmp_path, config_of(recording, 1), sample, rank=1)
    monitor = monitor_of(trainer, held_out, 1, sample)
    monitor.on_start(trainer)
    monitor.on_step(trainer, None)
    assert list(tmp_path.iterdir()) == []
    assert trainer.metrics == {}


def test_a_broken_validation_shows_before_the_first_step(tmp_path, recording, held_out, sample):
    (one,) = held_out
    images = {
        name: replace(file, path=tmp_path / "gone.jpg")
        for name, file in one.drive.sets[one.middle].images.items()
    }
    sets = list(one.drive.sets)
    sets[one.middle] = replace(sets[one.middle], images=images)
    broken = replace(one, drive=replace(one.drive, sets=tuple(sets)))
    trainer = trainer_in(tmp_path, config_of(recording), sample)
    with pytest.raises(DataError, match="gone.jpg"):
        trainer.run(monitor_of(trainer, (broken,), 1, sample))
    assert not (tmp_path / WEIGHTS).exists()


def test_held_out_sets_are_those_that_a_drive_has(recording, held_out):
    (one,) = held_out
    assert (one.sets, one.middle) == (range(1, 3), 2)
    assert one.truth_files is not None
    assert early(held_out)[0].sets == range(2, 3)
    (whole,) = open_subjects(recording.folder, Selection(), EVERY_SET)
    assert whole.sets == range(len(recording.drive.sets))
    with pytest.raises(DataError, match="sets from 90 on"):
        list(open_subjects(recording.folder, Selection(), range(90, 110)))


def test_sweeps_do_not_shift_the_exact_depth(written):
    """Files of truth are numbered with the sweeps; the drive is of keyframes only."""
    sweeps = written("nuscenes_sweeps")
    (one,) = open_subjects(sweeps.folder, Selection(), EVERY_SET)
    assert len(one.drive.sets) < len(sweeps.drive.sets)
    image = one.drive.sets[1]
    index = [other.stamp_ns for other in sweeps.drive.sets].index(image.stamp_ns)
    assert index > 1
    camera = next(iter(one.drive.cameras))
    path = one.truth_files.path(image_of(one.drive, 1, camera))
    assert path.name == f"{index:06d}.npz"


def test_a_stream_gives_the_network_back_as_it_was(recording):
    network = build_network(recording.config.model).train()
    compiling = recording.config.stream.model_copy(update={"compile": True})
    config = recording.config.model_copy(update={"stream": compiling})
    with pytest.raises(KeyboardInterrupt), stream_of(network, config, torch.device("cpu")):
        assert not network.training
        raise KeyboardInterrupt
    assert network.training
    assert not any("forward" in vars(module) for module in network.modules())


@pytest.mark.parametrize(
    ("text", "kept", "last"),
    [
        ('{"step": 2}\n{"step": 3}\n{"step": 4}\n', 24, {"step": 3}),
        ('{"step": 2}\n{"step": 3, "lo', 12, {"step": 2}),
        ('{"step": 4}\n', 0, {}),
        ("", 0, {}),
    ],
)
def test_entries_up_to_a_step_are_kept(tmp_path, text, kept, last):
    path = tmp_path / LOG
    path.write_text(text)
    assert keep_log(path, 3) == last
    assert path.read_text() == text[:kept]


def test_a_log_that_is_not_there_is_not_made(tmp_path):
    assert keep_log(tmp_path / LOG, 3) == {}
    assert not (tmp_path / LOG).exists()


def test_a_full_disk_is_reported(tmp_path, recording, held_out, sample):
    trainer = trainer_in(tmp_path, config_of(recording, 1), sample)
    monitor = monitor_of(trainer, held_out, 2, sample)
    monitor.on_start(trainer)
    (tmp_path / VALIDATION).mkdir()
    with pytest.raises(OutputError, match=f"{VALIDATION}: cannot be written"):
        trainer.run(Quiet(monitor))


class Quiet:
    """A monitor that has started."""

    def __init__(self, monitor):
        self.on_step, self.on_saved = monitor.on_step, monitor.on_saved

    def on_start(self, trainer):
        pass


def test_the_command_validates(tmp_path, recording, capsys):
    settings = tmp_path / "tiny.yaml"
    settings.write_text(dump(config_of(recording, 1)))
    source, out = str(recording.folder), tmp_path / "run"
    arguments = ["--data", source, "--cues", str(recording.cues), "--flow", "truth"]
    validation = ["--validate", source, "--validate-sets", "1:4", "--validate-each", "3"]
    command = ["train", "--preset", str(settings), "--out", str(out), "--workers", "0"]
    assert cli.main([*command, *arguments, *validation]) == 0
    assert [entry["step"] for entry in entries(out / VALIDATION)] == [1]
    assert "Over 1 sets" in capsys.readouterr().out
    assert cli.main([*command, *arguments, "--validate", str(tmp_path)]) == 1
