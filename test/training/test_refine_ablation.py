"""The rows of OccFiner's table 5, trained for two steps and scored on a tiny drive."""

import re

import pytest

from occflow_ros import cli
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.propagation import PropagationOptions
from occflow_ros.training.refine.ablation import (
    AVERAGE,
    COLUMNS,
    FULL,
    LOCAL,
    ONBOARD,
    REFINE_ABLATIONS,
    RefineVariant,
)
from occflow_ros.training.study import variants_of

SMALL = (
    "model.channels=8",
    "model.embedding=4",
    "model.propagation.channels=16",
    "model.propagation.heads=2",
)


def test_the_full_method_ends_its_tables():
    assert list(REFINE_ABLATIONS["stage_1"].rows.values())[-1] == LOCAL
    assert list(REFINE_ABLATIONS["stage_2"].rows.values())[-1] == FULL
    assert FULL.vote == PropagationOptions()
    radii = [one.vote.radius for one in REFINE_ABLATIONS["radius"].rows.values()]
    assert radii == [5, 10, 15, 20, 25, 30]
    assert FULL in REFINE_ABLATIONS["radius"].rows.values()


def test_average_fusion_knows_no_sensor_and_carries_nothing():
    assert (AVERAGE.sensor, AVERAGE.carry_moving) == ("none", False)


def test_names_of_folders_differ():
    variants: tuple[RefineVariant, ...] = variants_of(tuple(REFINE_ABLATIONS.values()))
    assert len({one.name for one in variants}) == len(variants)
    assert ONBOARD in variants


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of a study with the fewest steps and frames, and its command."""
    folder = tmp_path_factory.mktemp("study")
    data, recordings = folder / "data", folder / "recordings"
    synth = ["--frames", "3", "--image-size", "24x40", "--seed", "1"]
    assert cli.main(["synth", "--out", str(data), *synth]) == 0
    corrupt = ["--out", str(recordings), "--grid", "20x20x4"]
    assert cli.main(["corrupt", "--data", str(data), *corrupt]) == 0
    command = ["ablate", "--table", "refine", "--steps", "1", "--seeds", "1"]
    command += ["--data", str(data), "--recordings", str(recordings)]
    command += ["--validate", str(data), "--validate-recordings", str(recordings)]
    command += ["--validate-each", "3", "--workers", "0"]
    command += [word for setting in SMALL for word in ("--set", setting)]
    command += ["--out", str(folder / "out"), "--markdown", str(folder / "table.md")]
    assert cli.main(command) == 0
    return folder, command


def test_the_command_gives_the_three_tables(finished):
    folder, _ = finished
    page = (folder / "table.md").read_text()
    assert page.count("## ") == len(REFINE_ABLATIONS)
    for ablation in REFINE_ABLATIONS.values():
        for label in ablation.rows:
            assert f"| {label} |" in page
    assert all(column in page for column in COLUMNS.values())
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| both stages")]
    assert re.fullmatch(r"0\.\d\d", rows[0][-1].strip())  # parameters


def test_stage_2_takes_what_stage_1_left(finished):
    folder, _ = finished
    (drive,) = (folder / "out/local/seed-0/local").iterdir()
    assert FrameStore(drive).missing == ()
    assert not (folder / "out/full/seed-0/model.safetensors").exists()


def test_a_finished_study_is_not_repeated(finished):
    folder, command = finished
    weights = sorted((folder / "out").glob("*/seed-0/*.safetensors"))
    before = [path.stat().st_mtime_ns for path in weights]
    assert cli.main(command) == 0
    assert [path.stat().st_mtime_ns for path in weights] == before
    assert len(weights) == 5  # rows of stage 1 that have a network
