"""What an evaluation leaves behind: numbers, reasons, tables, plots and pictures."""

import csv
from pathlib import Path

import numpy as np
import pytest
from evaluation_drives import as_written

from occflow_ros import cli
from occflow_ros.evaluation.gallery import worst
from occflow_ros.evaluation.protocol import Key
from occflow_ros.evaluation.protocols import PROTOCOLS
from occflow_ros.evaluation.records import Record
from occflow_ros.evaluation.report import as_console
from occflow_ros.evaluation.run import Outcome


@pytest.fixture(scope="module")
def arguments(written, tiny_preset, tmp_path_factory):
    """Of the command: a network without classes on three of four sets."""
    where = ["--data", str(written("recording")), "--out", str(tmp_path_factory.mktemp("out"))]
    who = ["--preset", str(tiny_preset), "--weights", "untrained", "--sets", "1:4"]
    return ["evaluate", "--protocol", "nuscenes", *who, *where]


@pytest.fixture(scope="module")
def out(arguments):
    assert cli.main([*arguments, "--worst", "2"]) == 0
    return Path(arguments[-1])


def test_numbers_that_are_not_known_are_null_with_a_reason(out):
    content = as_written(out)
    unknown = {name for name, value in content["numbers"].items() if value is None}
    assert unknown == set(content["reasons"])
    assert content["reasons"]["ray_iou"] == "the prediction has no classes"
    assert content["reasons"]["camera_miou"] == "the prediction has no classes"
    assert "no LiDAR mask" in content["reasons"]["lidar_iou"]
    assert content["numbers"]["agnostic_ray_iou"] is not None
    assert content["evaluated"]["predictions"] == "random weights of seed 0"
    assert content["counts"]["sets"] == content["sets"] == 3


def test_one_row_for_each_set(out):
    with (out / "sets.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["set"] for row in rows] == ["1", "2", "3"]
    numbers = as_written(out)["numbers"]
    assert list(rows[0]) == ["drive", "set", "stamp_ns", *numbers]
    assert {row["ray_iou"] for row in rows} == {""}
    ious = [float(row["camera_iou"]) for row in rows]
    assert min(ious) <= numbers["camera_iou"] <= max(ious)


def test_tables_plots_and_pictures(out):
    text = (out / "evaluation.md").read_text()
    for title in ("RayIoU and velocity", "By class", "Voxels of Occ3D, by mask"):
        assert title in text
    assert "| this prediction |" in text and "| Let Occ Flow, LiDAR |" in text
    assert "No number for ray_iou, " in text
    assert (out / "plots" / "agnostic_ray_iou.png").read_bytes().startswith(b"\x89PNG")
    pictures = sorted(path.name for path in (out / "worst").iterdir())
    assert [name[:3] for name in pictures] == ["01_", "02_"]
    with (out / "sets.csv").open(newline="") as file:
        by_set = {row["set"]: float(row["agnostic_ray_iou"]) for row in csv.DictReader(file)}
    first = min(by_set, key=by_set.get)
    assert pictures[0].endswith(f"_{int(first):06d}.jpg")


def test_pictures_are_those_of_the_last_call(arguments, out, capsys):
    """Which makes nothing again but the picture."""
    numbers, pictures = (out / "evaluation.json").read_bytes(), set((out / "worst").iterdir())
    assert cli.main([*arguments, "--worst", "1"]) == 0
    assert "evaluating: 0set" in capsys.readouterr().err
    assert (out / "evaluation.json").read_bytes() == numbers
    assert set((out / "worst").iterdir()) == {min(pictures)}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_nothing_compared_is_no_zero(name):
    protocol = PROTOCOLS[name]
    numbers, reasons = protocol.numbers(protocol.nothing), protocol.reasons(protocol.nothing)
    assert np.isnan(list(numbers.values())).all()
    assert set(reasons) == set(numbers)
    assert len(set(reasons.values())) == 1
    text = as_console(protocol, Outcome(protocol.nothing, (), {}))
    assert f"No number for {next(iter(numbers))}, " in text
    assert protocol.key.name in numbers


@pytest.mark.parametrize("high_is_good", [True, False])
def test_the_worst_sets_come_first_and_unknown_ones_never(high_is_good):
    key = Key("score", "score", high_is_good)
    values = {0: 0.5, 1: float("nan"), 2: 0.1, 3: 0.9}
    records = [Record("drive", index, 0, {}, {"score": v}) for index, v in values.items()]
    records.append(Record("drive", 4, 0, None, {}))
    found = [record.index for record in worst(records, key, 9)]
    assert found == ([2, 0, 3] if high_is_good else [3, 0, 2])
    assert worst(records, key, 0) == []
