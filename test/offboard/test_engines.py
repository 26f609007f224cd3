"""Whoever does the parts: all of them, once more where a process is killed, errors by name."""

import builtins
import os
import socket
import sys
import time
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from offboard_parts import Answer, FailOnceBegun, Sleep, Square, threads
from tiny_recording import contents, write_recording

from occflow_ros.errors import ConfigError, DataError, PartError
from occflow_ros.offboard import worker_pool
from occflow_ros.offboard.engines import TRIES, EngineOptions, open_engine
from occflow_ros.offboard.propagation import PropagationOptions
from occflow_ros.offboard.refine import RefineOptions, refine

SERIAL = EngineOptions()
POOL = EngineOptions(workers=2)


@pytest.fixture(scope="module")
def pool():
    with open_engine(POOL) as engine:
        yield engine


@pytest.fixture(scope="module")
def on_ray(tmp_path_factory):
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # it keeps a token there
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        with open_engine(EngineOptions("ray", workers=2)) as engine:
            yield engine


@pytest.fixture(params=["serial", "pool", "on_ray"])
def engine(request):
    if request.param == "serial":
        with open_engine(SERIAL) as opened:
            yield opened
    else:
        yield request.getfixturevalue(request.param)


@pytest.fixture(params=["pool", "on_ray"])
def processes(request):
    return request.getfixturevalue(request.param)


def test_all_parts_are_done_and_known_by_their_place(engine, tmp_path):
    done = dict(engine.run([Square(tmp_path, number) for number in (3, 1, 4, 1, 5)]))
    assert done == {0: 9, 1: 1, 2: 16, 3: 1, 4: 25}
    assert list(engine.run([])) == []


def test_an_error_of_a_part_comes_as_it_was_raised_and_the_engine_goes_on(engine, tmp_path):
    with pytest.raises(DataError) as raised:
        list(engine.run([Square(tmp_path, 1), Square(tmp_path, 2, raises=True)]))
    assert str(raised.value) == "2: no square"
    assert dict(engine.run([Square(tmp_path, 7)])) == {0: 49}


def test_the_part_of_a_killed_process_is_done_again(processes, tmp_path):
    parts = [Square(tmp_path, number, kills=int(number == 1)) for number in range(4)]
    assert dict(processes.run(parts)) == {0: 0, 1: 1, 2: 4, 3: 9}
    assert [(tmp_path / f"tries-{number}").read_text() for number in range(4)] == list("1211")


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recording")
    write_recording(folder, count=30, jumps=(25,))
    return folder


@pytest.fixture(scope="module")
def refined(recording, tmp_path_factory):
    """What one process makes of the recording."""
    with open_engine(SERIAL) as engine:
        return _refine(recording, tmp_path_factory.mktemp("once") / "out", engine)


def _refine(recording, out, engine):
    options = RefineOptions("global", propagation=PropagationOptions(radius=3))
    refine([recording], (), out, options, engine, lambda items, *_: items)
    return contents(out)


def test_a_refinement_is_the_same_byte_for_byte(processes, recording, refined, tmp_path):
    assert _refine(recording, tmp_path / "out", processes) == refined


def test_a_part_that_always_kills_its_process_is_named(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool, "TRIES", 2)
    with pytest.raises(PartError, match="^square of 1: its process died 2 times"):
        list(pool.run([Square(tmp_path, 1, kills=99)]))
    assert (tmp_path / "tries-1").read_text() == "2"


def test_so_it_is_on_ray(on_ray, tmp_path):
    with pytest.raises(PartError, match=f"^square of 1: its process died {TRIES} times"):
        list(on_ray.run([Square(tmp_path, 1, kills=99)]))
    assert (tmp_path / "tries-1").read_text() == str(TRIES)


def test_an_error_stops_parts_that_are_being_done(pool, tmp_path):
    begun_s = time.monotonic()
    with pytest.raises(DataError, match="no more"):
        list(pool.run([Sleep(tmp_path), FailOnceBegun(tmp_path)]))
    assert time.monotonic() - begun_s < 50
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "begun").read_text()), 0)


@pytest.mark.parametrize(("raises", "named"), [(True, "this and that"), (False, "pickle")])
def test_what_cannot_be_sent_back_is_an_error_not_a_death(pool, raises, named):
    with pytest.raises(Exception, match=named):
        list(pool.run([Answer(raises)]))


def test_processes_share_the_threads_of_torch(pool):
    (_, count), *_ = pool.run([threads])
    assert count == max(1, torch.get_num_threads() // 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "slurm"}, "engine: expected process or ray, got slurm"),
        ({"workers": 0}, "workers: expected at least 1, got 0"),
        ({"address": "auto"}, "address: expected with the engine ray only, got auto"),
        ({"name": "ray", "device": "cuda:1"}, "device: expected cuda, .* got cuda:1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        EngineOptions(**options)


def test_without_ray_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without_ray(name, *args, **kwargs):
        if name == "ray":
            raise ImportError("no module named ray")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(ConfigError, match=r"pip install 'occflow_ros\[ray\]'"):
        open_engine(EngineOptions("ray"))


def test_an_address_where_nothing_answers_is_named():
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"expected a Ray cluster at {address}: "):
            open_engine(EngineOptions("ray", address=address))
