"""The draw of the auxiliary previous frame by ego distance."""

import math

import pytest
import torch

from occflow_ros.losses.auxiliary import draw_auxiliary_frame

SETTINGS = {"mean_m": 0.5, "std_m": 0.5, "range_m": (0.0, 6.0)}


def draw(distances_m, seed=0, **changes):
    generator = torch.Generator().manual_seed(seed)
    return draw_auxiliary_frame(distances_m, **(SETTINGS | changes), generator=generator)


@pytest.mark.parametrize("distances_m", [[], [6.1, 20.0], [math.nan]])
def test_without_a_candidate_in_range_there_is_none(distances_m):
    assert draw(distances_m) is None


@pytest.mark.parametrize("distance_m", [0.0, 6.0])
def test_both_ends_of_the_range_count(distance_m):
    assert draw([9.0, distance_m, 7.0]) == 1


def test_candidates_far_from_the_mean_still_have_a_chance():
    """At σ = 1 cm every density underflows; the nearer one is then almost certain."""
    assert draw([5.9, 5.0, 5.8], std_m=0.01) == 1


def test_frequencies_are_those_of_the_gaussian():
    distances_m = [0.5, 1.0, 7.0, 1.5]
    density = [1.0, math.exp(-0.5), 0.0, math.exp(-2.0)]
    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor(
        [draw_auxiliary_frame(distances_m, **SETTINGS, generator=generator) for _ in range(500)]
    )
    frequency = torch.bincount(draws, minlength=4) / len(draws)
    expected = torch.tensor(density) / sum(density)
    # Three standard deviations of a frequency in 500 draws are at most 0.067.
    torch.testing.assert_close(frequency, expected, atol=0.067, rtol=0)


def test_the_same_seed_draws_the_same():
    distances_m = [0.1 * index for index in range(20)]
    assert [draw(distances_m, seed) for seed in range(9)] == [
        draw(distances_m, seed) for seed in range(9)
    ]
    assert len({draw(distances_m, seed) for seed in range(9)}) > 1


@pytest.mark.parametrize("changes", [{"std_m": 0.0}, {"std_m": math.nan}, {"range_m": (6.0, 0.0)}])
def test_settings_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValueError, match="expected std_m > 0 and a range that grows"):
        draw([0.5], **changes)
