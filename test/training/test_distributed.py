"""Several processes take the same steps as one, and end together."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_trainer import SAMPLES, Recorder, trainer_in
from tiny_samples import Samples, tiny_run

from occflow_ros.errors import DataError
from occflow_ros.training.interruption import Interrupted
from occflow_ros.training.processes import join_processes
from occflow_ros.training.trainer import STATE, WEIGHTS

HERE = Path(__file__).parent


def of_samples(samples_per_step):
    """One step in each stage, so small that rounding, which Adam makes larger, stays small."""
    return tiny_run(
        static=1,
        joint=1,
        samples_per_step=samples_per_step,
        rendering={"sharpness": "learned"},
        optimizer={"learning_rate": 2e-4},
    )


def vector(weights):
    """All numbers in a row."""
    return torch.cat([value.detach().flatten().double() for value in weights.values()]).clone()


def losses_of(recorder):
    return [report.loss for report in recorder.steps]


def train_together(out):
    """One process's part: the runs below, one after the other, each into its own folder."""
    torch.set_num_threads(1)
    with join_processes("cpu") as process:
        several, two = Recorder(), Recorder()
        trainer_in(out / "four", of_samples(4), process=process, save_every=1).run(several)
        trainer_in(out / "two", of_samples(2), process=process).run(two)
        said = {
            "saved": [several.saved, two.saved],
            "losses": {"four": losses_of(several), "two": losses_of(two)},
            "broken": broken_in_one(out / "broken", process),
            "interrupted": interrupted_in_one(out / "interrupted", process),
        }
        (out / f"{process.rank}.json").write_text(json.dumps(said))


def broken_in_one(out, process):
    """What the processes say where one of them cannot load its sample."""
    dataset = Samples(SAMPLES, broken=range(3) if process.rank == 1 else ())
    try:
        trainer_in(out, of_samples(2), process=process, dataset=dataset).run(Recorder())
    except DataError as error:
        return str(error)


def interrupted_in_one(out, process):
    """After how many steps the processes stop where one of them has a signal."""
    trainer, recorder = trainer_in(out, of_samples(2), process=process), Recorder()
    agree = trainer._agree
    trainer._agree = lambda samples, noted: agree(
        samples, process.rank == 1 and len(recorder.steps) == 1
    )
    try:
        trainer.run(recorder)
    except Interrupted:
        return len(recorder.steps)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two processes have written, started as `torchrun` does it."""
    out = tmp_path_factory.mktemp("together")
    for name in ("four", "two", "broken", "interrupted"):
        (out / name).mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = (
        f"import sys; sys.path[:0] = {[str(HERE.parent), str(HERE)]}\n"
        f"from pathlib import Path; from test_distributed import train_together\n"
        f"train_together(Path({str(out)!r}))"
    )
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=300) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    said = [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]
    return out, said


@pytest.mark.parametrize(("name", "samples_per_step"), [("two", 2), ("four", 4)])
def test_two_processes_learn_the_same_as_one(together, tmp_path, name, samples_per_step):
    """But for the few weights whose gradient is so small that rounding decides on its sign."""
    out, said = together
    recorder = Recorder()
    trainer = trainer_in(tmp_path, of_samples(samples_per_step))
    before = vector(trainer.learner.network.state_dict())
    trainer.run(recorder)
    expected = trainer.learner.network.state_dict()
    got = load_file(out / name / WEIGHTS)
    assert got.keys() == expected.keys()
    way = (vector(expected) - before).norm()
    assert way > 0
    assert (vector({key: got[key] for key in expected}) - vector(expected)).norm() < 0.01 * way
    for one in said:
        assert one["losses"][name] == pytest.approx(losses_of(recorder), rel=1e-5)


def test_only_the_first_process_writes(together):
    _, said = together
    assert [one["saved"] for one in said] == [[[1, 2], [2]], [[], []]]


def test_a_broken_sample_of_one_process_ends_all_with_its_message(together):
    out, said = together
    assert {one["broken"] for one in said} == {"/data/cam_0/7.jpg: expected an image"}
    assert (out / "broken" / STATE).is_file()


def test_a_signal_to_one_process_ends_all_after_the_same_step(together):
    out, said = together
    assert {one["interrupted"] for one in said} == {1}
    assert (out / "interrupted" / STATE).is_file()
