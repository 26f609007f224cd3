"""Which frames are looked at together: aligned to the segment, whole where it is long enough."""

import pytest

from occflow_ros.offboard.windows import Window, WindowSizes, aligned_windows

SIZES = WindowSizes(local=4, references=2, radius=3)


def windows(segment, sizes=SIZES):
    return list(aligned_windows(segment, sizes))


def test_windows_of_a_long_segment_by_hand():
    assert windows(range(10, 20)) == [
        (Window(range(10, 14), (14, 16)), range(10, 14)),
        (Window(range(14, 18), (12, 18)), range(14, 18)),
        (Window(range(16, 20), (13, 15)), range(18, 20)),  # begins earlier, to be whole
    ]


def test_references_are_the_middle_of_equal_parts():
    ((window, _),) = windows(range(10, 12), WindowSizes(4, 2, 10))
    assert window == Window(range(10, 12), ())
    sizes = WindowSizes(4, 2, 10)
    assert sizes.candidates(range(20, 24), range(0, 100)) == [*range(10, 20), *range(24, 34)]
    window, _ = windows(range(0, 100), sizes)[5]
    assert window.references == (15, 29)


@pytest.mark.parametrize("length", range(1, 14))
@pytest.mark.parametrize("references", [0, 1, 2, 5])
def test_every_place_is_answered_for_once_within_the_segment(length, references):
    segment = range(7, 7 + length)
    sizes = WindowSizes(4, references, 3)
    answered = []
    for window, answers in windows(segment, sizes):
        assert len(window.local) == min(4, length)
        assert set(answers) <= set(window.local)
        assert set(window.places) <= set(segment)
        assert len(set(window.places)) == len(window.places)
        assert len(window.references) <= references
        assert all(
            0 < window.local.start - one <= 3 or 0 <= one - window.local.stop < 3
            for one in window.references
        )
        answered += answers
    assert answered == list(segment)


def test_windows_that_training_draws_from():
    assert SIZES.first_places(range(5, 12)) == range(5, 9)
    assert SIZES.first_places(range(5, 8)) == range(5, 6)
    assert SIZES.local_at(5, range(5, 8)) == range(5, 8)


def test_the_pivot_is_the_middle_local_frame():
    window = Window(range(10, 14), (8, 16))
    assert window.places == (10, 11, 12, 13, 8, 16)
    assert window.places[window.pivot] == 12
    assert Window(range(3, 4)).pivot == 0
