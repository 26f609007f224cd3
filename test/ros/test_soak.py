"""Some hundred sets through the real node as fast as they go: none without outcome."""

import pytest

pytest.importorskip("rclpy")

from occflow_ros import cli
from occflow_ros.ros.soak import FAULTY, Memory, SoakReport, soak

SETS = 300


def test_every_set_has_its_outcome_and_memory_stays():
    report = soak(SETS)
    assert (report.sent, report.faulty, report.unaccounted) == (SETS, SETS // FAULTY, 0)
    assert report.outcomes["processed"] > SETS // 2
    assert report.problems(max_growth_mib=16.0) == []


def test_the_command_paces_the_sets_and_says_what_became_of_them(capsys):
    assert cli.main(["soak", "--sets", "10", "--rate-hz", "20"]) == 0
    text = capsys.readouterr().out
    assert "10 sent, of which 1 faulty" in text
    assert "0 unaccounted" in text


@pytest.fixture
def flat():
    return tuple(Memory(sets, 100.0, 5000) for sets in range(10, 110, 10))


def report_of(memory, outcomes, results=90):
    return SoakReport(sent=100, faulty=2, outcomes=outcomes, results=results, memory=memory)


def test_a_good_run_has_no_problem(flat):
    report = report_of(flat, {"processed": 90, "overload": 8, "bad_image": 2})
    assert report.problems(1.0) == []
    assert (report.growth_mib, report.growth_blocks) == (0.0, 0)


def test_what_is_wrong_is_named(flat):
    good = {"processed": 90, "overload": 8, "bad_image": 2}
    growing = tuple(Memory(m.sets, 100.0 + m.sets, m.sets) for m in flat)
    assert report_of(growing, good).problems(1.0) == ["memory grew by 60.0 MiB"]
    assert report_of(flat, good, results=91).problems(1.0) == ["91 results of 90 processed sets"]
    assert report_of(flat, {**good, "overload": 7}).problems(1.0) == ["1 sets have no outcome"]
    (problem,) = report_of(flat, {**good, "overload": 7, "failure": 1}).problems(1.0)
    assert "failure" in problem
