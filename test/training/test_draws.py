"""The order of samples: a pure function of step, seed and process."""

import pytest

from occflow_ros.training.draws import Draws

SIZE, PER_STEP = 7, 4


def draws(first=0, last=14, seed=3, **process):
    return list(Draws(SIZE, PER_STEP, first, last, seed, **process))


def test_a_run_goes_on_where_it_stopped():
    whole = draws()
    assert len(whole) == len(Draws(SIZE, PER_STEP, 0, 14, 3)) == 14 * PER_STEP
    for step in (1, 5, 13, 14):
        assert draws(first=step) == whole[step * PER_STEP :]


def test_every_sample_once_an_epoch_each_in_another_order():
    indices = [draw.index for draw in draws()]
    epochs = [indices[start : start + SIZE] for start in range(0, len(indices), SIZE)]
    assert all(sorted(epoch) == list(range(SIZE)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_a_sample_has_another_seed_each_time():
    seeds = [draw.seed for draw in draws()]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**62 for seed in seeds)


@pytest.mark.parametrize("first", [0, 5])
def test_two_processes_together_draw_what_one_does(first):
    even, odd = (draws(first, rank=rank, world_size=2) for rank in range(2))
    together = [draw for pair in zip(even, odd, strict=True) for draw in pair]
    assert together == draws(first)


def test_seeds_differ():
    assert draws(seed=3) == draws(seed=3)
    assert [draw.index for draw in draws(seed=4)] != [draw.index for draw in draws(seed=3)]
    assert not {draw.seed for draw in draws(seed=4)} & {draw.seed for draw in draws(seed=3)}


def test_a_step_is_dealt_evenly():
    with pytest.raises(ValueError, match="expected a multiple of the 3 processes, got 4"):
        Draws(SIZE, PER_STEP, 0, 1, 0, rank=0, world_size=3)
