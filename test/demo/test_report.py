"""The tables and the report say what the run was."""

import json

import pytest

from occflow_ros.demo.accounting import account, count_drops, resets, stage_latencies
from occflow_ros.demo.bag import read_bag
from occflow_ros.demo.evaluation import evaluate, total_accuracy
from occflow_ros.demo.pictures import draw_pictures, spread
from occflow_ros.demo.report import write_report
from occflow_ros.demo.summary import Summary
from occflow_ros.table import as_text


@pytest.fixture
def run(drive, bag):
    contents = read_bag(bag)
    outcomes = account(drive.sets, drive.cameras, contents)
    return outcomes, evaluate(drive, outcomes, contents)


def summarise(run, **changes):
    outcomes, evaluated = run
    values = {
        "drive": "hand-made",
        "source": "/data/<drive>",
        "licence": "",
        "weights": None,
        "semantics": None,
        "device": "cpu",
        "rate": 1.0,
        "sent": len(outcomes),
        "processed": len(evaluated),
        "dropped": count_drops(outcomes),
        "resets": resets(outcomes),
        "latencies": stage_latencies(outcomes),
        "accuracy": total_accuracy(evaluated),
        "messages": {"/tf": 3},
    }
    return Summary(**values | changes)


def test_a_set_that_is_not_accounted_for_is_refused(run):
    with pytest.raises(ValueError, match="expected all 6 sent sets accounted for, got 5"):
        summarise(run, sent=6)


def test_the_table_of_sets_sums_to_what_was_sent(run):
    table = summarise(run).sets_table()
    sent, *parts = (int(row[1]) for row in table.rows)
    assert sent == sum(parts) == 5
    assert "dropped: no_transform" in as_text(table)
    assert "gap of 2.000 s" in table.note


def test_accuracy_stands_beside_the_trivial_answers(run):
    rows = {row[0]: row[1:] for row in summarise(run).accuracy_table().rows}
    assert rows["occupied IoU"] == ("0.600", "0.000", "flat ground")
    velocity = rows["velocity error of moving voxels that were found, m/s"]
    assert velocity == ("1.33", "4.00", "everything stands")
    prediction, trivial, which = rows["RayIoU, rays that hit no ground"]
    assert (prediction, which) == ("1.000", "flat ground")
    assert float(trivial) < 0.5


def test_without_any_truth_the_table_says_so(run):
    text = as_text(summarise(run, accuracy=None).accuracy_table())
    assert "no ground truth" in text


def test_the_summary_is_plain_json_without_nan(run):
    values = json.loads(json.dumps(summarise(run).to_json(), allow_nan=False))
    assert values["accuracy"]["iou"] == pytest.approx(0.6)
    assert values["accuracy"]["standing_speed_mps"] is None
    assert values["accuracy"]["rays"]["all_rays"]["rays"] > 0
    assert values["accuracy"]["object_ray_iou_at_1m"] == 1.0


def test_the_report_is_one_file_that_needs_no_other(run, drive, tmp_path):
    outcomes, evaluated = run
    pictures, animation = draw_pictures(tmp_path, drive, evaluated, "untrained weights")
    assert [picture.path.name for picture in pictures] == ["set_0000.jpg", "set_0001.jpg"]
    path = tmp_path / "report.html"
    write_report(path, summarise(run), outcomes, animation, pictures, "model: {}\n")
    html = path.read_text()
    assert html.count("data:image/") == 2 + (animation is not None)
    assert "http" not in html and 'src="data:' in html
    assert "&lt;drive&gt;" in html
    assert "untrained: random weights" in html
    assert "no_transform: odom &lt;- base_link at 2.0 s" in html


@pytest.mark.parametrize("viewer, links", [(None, 0), ("viewer.html", 1)])
def test_the_report_links_the_page_of_the_run_where_there_is_one(run, tmp_path, viewer, links):
    path = tmp_path / "report.html"
    outcomes, _ = run
    write_report(path, summarise(run), outcomes, None, [], "", viewer and tmp_path / viewer)
    assert path.read_text().count('href="viewer.html"') == links


def test_trained_weights_are_named_instead(run, tmp_path):
    outcomes, _ = run
    path = tmp_path / "report.html"
    write_report(path, summarise(run, weights="nano.safetensors"), outcomes, None, [], "")
    assert "nano.safetensors" in path.read_text()
    assert "untrained" not in path.read_text()


def test_a_spread_keeps_both_ends():
    assert spread(list(range(10)), 3) == [0, 4, 9]
    assert spread([1, 2], 6) == [1, 2]
