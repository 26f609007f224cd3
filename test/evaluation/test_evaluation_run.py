"""Runs that are stopped, continued, shared out and asked for something else."""

import json
from dataclasses import replace

import pytest
import torch
from evaluation_drives import drive_of, job, quietly, write_labels
from tiny_network import as_trained, tiny_config

from occflow_ros.data.truth import read_truth, write_truth
from occflow_ros.engine import checkpoint
from occflow_ros.errors import DataError, OutputError
from occflow_ros.evaluation import report, run
from occflow_ros.evaluation.protocols import PROTOCOLS
from occflow_ros.evaluation.records import FILE
from occflow_ros.evaluation.run import evaluate
from occflow_ros.labels.store import label_path
from occflow_ros.metrics.coarsen import coarsen_truth
from occflow_ros.models.build import build_network

REPORTED = (FILE, report.JSON, report.CSV, report.MARKDOWN)


class StoppedError(Exception):
    """By the test."""


def stop_after(count):
    def progress(records, total):
        assert total == 4
        for number, record in enumerate(records, start=1):
            yield record
            if number == count:
                raise StoppedError

    return progress


def report_of(asked, out, workers=1, progress=quietly):
    """All files of the report, by name."""
    outcome = evaluate(asked, out, workers, progress)
    report.write_report(out, PROTOCOLS[asked.protocol], outcome)
    return {name: (out / name).read_bytes() for name in REPORTED}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As in each of the workers: with more, a network's numbers differ in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def asked(written, tmp_path_factory):
    """Four sets, of which the network sees two more before each."""
    settings = tiny_config(history=2)
    weights = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    checkpoint.save(weights, as_trained(build_network(settings.model)), settings)
    return job("synthetic", written("recording"), weights=weights)


@pytest.fixture(scope="module")
def whole(asked, tmp_path_factory):
    return report_of(asked, tmp_path_factory.mktemp("whole"))


@pytest.fixture
def predicted(written, tmp_path):
    """The same sets with predictions that are files, which a test may remove."""
    folder = write_labels(drive_of(written("recording")), tmp_path / "predictions")
    return job("nuscenes", written("recording"), predictions=folder)


def test_a_run_that_was_stopped_goes_on(asked, whole, tmp_path):
    with pytest.raises(StoppedError):
        evaluate(asked, tmp_path, 1, stop_after(2))
    lines = (tmp_path / FILE).read_text().splitlines()
    assert len(lines) == 3  # what is evaluated, and two sets
    assert not any("NaN" in line for line in lines)  # which is no JSON
    assert report_of(asked, tmp_path) == whole


@pytest.mark.parametrize("left", [20, -7])
def test_a_line_that_was_half_written_is_made_again(asked, whole, tmp_path, left):
    """The first one, or that of the last set."""
    (tmp_path / FILE).write_bytes(whole[FILE][:left])
    assert report_of(asked, tmp_path) == whole


def test_more_sets_join_those_that_are_there(asked, whole, tmp_path):
    first = replace(asked, sets=range(2))
    assert len(evaluate(first, tmp_path, 1, quietly).records) == 2
    assert report_of(asked, tmp_path) == whole


def test_what_is_known_is_not_made_again(asked, whole, tmp_path):
    (tmp_path / FILE).write_bytes(whole[FILE])

    def nothing_comes(records, total):
        assert (list(records), total) == ([], 0)
        return []

    assert report_of(asked, tmp_path, progress=nothing_comes) == whole


def test_two_workers_give_the_same_files(asked, whole, tmp_path, monkeypatch):
    """But for the order in which sets became known."""
    monkeypatch.setattr(run, "SETS_PER_TASK", 2)
    shared = report_of(asked, tmp_path, workers=2)
    assert shared[report.JSON] == whole[report.JSON]
    assert shared[report.CSV] == whole[report.CSV]
    assert sorted(shared[FILE].splitlines()) == sorted(whole[FILE].splitlines())


@pytest.mark.parametrize(
    ("changes", "mention"),
    [
        ({"protocol": "depth"}, "protocol: 'synthetic' there, 'depth' here"),
        ({"labels": "made"}, "labels: '' there, "),
    ],
)
def test_another_evaluation_is_refused(asked, whole, tmp_path, changes, mention):
    (tmp_path / FILE).write_bytes(whole[FILE])
    if "labels" in changes:
        changes = {"labels": write_labels(drive_of(*asked.data), tmp_path / changes["labels"])}
    with pytest.raises(OutputError, match=mention):
        evaluate(replace(asked, **changes), tmp_path, 1, quietly)
    assert (tmp_path / FILE).read_bytes() == whole[FILE]


@pytest.mark.parametrize(
    ("number", "line", "mention"),
    [
        (1, b"{}", "line 1 is damaged"),
        (1, b'{"subject": 3}', "line 1 is damaged"),
        (3, b'{"drive": "a"}', "line 3 is damaged"),
        (3, b"half", "line 3 is damaged"),
    ],
)
def test_damaged_lines_are_named(asked, whole, tmp_path, number, line, mention):
    lines = whole[FILE].splitlines()
    lines[number - 1] = line
    (tmp_path / FILE).write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(DataError, match=mention):
        evaluate(asked, tmp_path, 1, quietly)


def test_scores_of_another_version_are_named(asked, whole, tmp_path):
    subject, first, *_ = whole[FILE].splitlines()
    scores = json.loads(first)
    del scores["scores"]["measured"]["depth"]
    (tmp_path / FILE).write_text(f"{subject.decode()}\n{json.dumps(scores)}\n")
    with pytest.raises(DataError, match="take another --out"):
        evaluate(replace(asked, sets=range(1)), tmp_path, 1, quietly)


def test_sets_without_prediction_are_named_and_may_come_later(predicted, tmp_path):
    drive = drive_of(*predicted.data)
    late = [label_path(predicted.predictions, drive, drive.sets[index]) for index in (1, 3)]
    kept = [path.read_bytes() for path in late]
    for path in late:
        path.unlink()
    out = tmp_path / "out"
    outcome = evaluate(predicted, out, 1, quietly)
    assert outcome.missing == [(drive.name, 1), (drive.name, 3)]
    assert outcome.total.sets == 2
    report.write_report(out, PROTOCOLS["nuscenes"], outcome)
    content = json.loads((out / report.JSON).read_text())
    assert content["sets"] == 4
    assert content["sets_without_prediction"] == [[drive.name, 1], [drive.name, 3]]
    remark = f"2 of 4 sets have no prediction and count nowhere: {drive.name} 1, {drive.name} 3."
    assert remark in (out / report.MARKDOWN).read_text()
    assert remark in report.as_console(PROTOCOLS["nuscenes"], outcome)
    rows = (out / report.CSV).read_text().splitlines()
    assert [set(row.split(",")[3:]) == {""} for row in rows[1:]] == [False, True, False, True]
    for path, content in zip(late, kept):
        path.write_bytes(content)
    again = evaluate(predicted, out, 1, quietly)
    assert (again.missing, again.total.sets) == ([], 4)


def test_every_second_set_is_compared(predicted, tmp_path):
    outcome = evaluate(replace(predicted, every=2), tmp_path / "out", 1, quietly)
    assert [record.index for record in outcome.records] == [1, 3]
    assert outcome.total.sets == 2


def test_a_prediction_on_another_grid_is_compared(predicted, tmp_path):
    """Voxels of another size are looked up; rays go through each grid as it is."""
    drive = drive_of(*predicted.data)
    path = label_path(predicted.predictions, drive, drive.sets[0])
    write_truth(path, coarsen_truth(read_truth(path), (16, 12, 4)))
    asked = job("nuscenes", *predicted.data, predictions=predicted.predictions, sets=range(1))
    numbers = PROTOCOLS["nuscenes"].numbers(evaluate(asked, tmp_path / "out", 1, quietly).total)
    assert 0.0 < numbers["camera_iou"] < 1.0
    assert 0.0 < numbers["agnostic_ray_iou"] < 1.0


def test_drives_of_several_folders_add_up(written, tmp_path):
    folders = written("nuscenes"), written("semantickitti")
    alone = [job("depth", folder) for folder in folders]
    both = replace(alone[0], data=folders)
    parts = [evaluate(one, tmp_path / one.data[0].name, 1, quietly) for one in alone]
    whole = evaluate(both, tmp_path / "both", 1, quietly)
    assert whole.total == parts[0].total + parts[1].total
    with pytest.raises(DataError, match="expected drives of different names, got two"):
        evaluate(replace(both, data=(folders[0],) * 2), tmp_path / "twice", 1, quietly)
