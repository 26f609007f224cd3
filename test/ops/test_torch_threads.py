"""Work shared among PyTorch's own threads: all of it once, at the same time, no new thread."""

import os
import threading

import pytest
import torch

from occflow_ros.ops import torch_threads
from occflow_ros.ops.torch_threads import share

needs_openmp = pytest.mark.skipif(torch_threads._team() is None, reason="no GNU OpenMP")


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("tiles", [0, 1, 2, 50])
def test_each_tile_is_done_once(threads, tiles):
    done = []
    share(done.append, tiles)
    assert sorted(done) == list(range(tiles))


def test_an_error_of_any_thread_reaches_the_caller(threads):
    def work(tile):
        if tile == 4:
            raise ArithmeticError("tile 4")

    with pytest.raises(ArithmeticError, match="tile 4"):
        share(work, 8)


@needs_openmp
def test_as_many_tiles_as_threads_run_at_the_same_time(threads):
    all_there = threading.Barrier(threads, timeout=20.0)
    share(lambda _: all_there.wait(), threads)


@needs_openmp
def test_no_thread_is_added_to_those_of_pytorch(threads):
    ones = torch.ones(400, 400)
    assert (ones @ ones).sum() == 400**3  # PyTorch has its threads now
    before = set(os.listdir("/proc/self/task"))
    share(lambda _: None, 20)
    assert set(os.listdir("/proc/self/task")) <= before


def test_without_openmp_the_caller_does_it_all(monkeypatch):
    monkeypatch.setattr(torch_threads, "_team", lambda: None)
    done = []
    share(lambda _: done.append(threading.get_ident()), 5)
    assert done == [threading.get_ident()] * 5
