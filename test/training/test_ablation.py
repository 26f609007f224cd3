"""The rows of the ablations, and that each is trained once, resumed and told in its table."""

import json
import math
from dataclasses import replace

import pytest
import torch

from occflow_ros import config as config_module
from occflow_ros.cli import main
from occflow_ros.config import override
from occflow_ros.data.selection import Selection
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.evaluation.subject import open_subjects
from occflow_ros.table import as_markdown, as_text
from occflow_ros.training import ablation
from occflow_ros.training.ablation import ABLATIONS, COLUMNS, Budget, OccFlowStudy
from occflow_ros.training.processes import Process
from occflow_ros.training.study import Ablation, Runner, run_study, table_of, variants_of

ALL = tuple(ABLATIONS.values())
ONE_ROW = Ablation("One row", {"full": ablation.FULL}, COLUMNS)
NANO = config_module.preset("nano")
FEW_RAYS = (
    "train.rendering.camera_grid_hw=[4, 8]",
    "train.rendering.samples=16",
    "train.rendering.far_m=20.0",
    "train.samples_per_step=1",
    "train.precision=float32",
)


class Silent:
    """Looks on; keeps the steps at which runs start, and breaks a run after a step of it."""

    def __init__(self, break_after=None):
        self.break_after, self.started, self.folders = break_after, [], []

    def __call__(self, folder):
        self.folders.append(f"{folder.parent.name}/{folder.name}")
        return self

    def on_start(self, trainer):
        self.started.append(trainer.progress.step)

    def on_step(self, trainer, report):
        if report.step == self.break_after:
            raise DataError("the disk was pulled")

    def on_saved(self, trainer):
        pass


@pytest.fixture
def make_study(written, tmp_path):
    one = written("nuscenes")
    held_out = tuple(open_subjects(one.folder, Selection(), range(100)))

    def make(monitor, fingerprint="a drive", **changes):
        values = {
            "config": override(one.config, FEW_RAYS),
            "budget": Budget(steps=2, static_share=0.5, seeds=1),
            "drives": [one.training_drive()],
            "held_out": held_out,
            "every": 2,
            "out": tmp_path / "runs",
            "runner": Runner(fingerprint, 0, 100, Process(0, 1, torch.device("cpu")), monitor),
        }
        return OccFlowStudy(**values | changes)

    return make


def found_by(study, *ablations):
    *_, (seeds, found) = run_study(study, ablations)
    assert seeds == study.seeds
    return found


def of_row(variant, steps=40, share=0.55, seed=3):
    return Budget(steps, share, seeds=1).apply(NANO, variant, seed).train


@pytest.mark.parametrize("variant", variants_of(ALL), ids=lambda variant: variant.name)
def test_every_row_has_the_same_budget(variant):
    train = of_row(variant)
    assert (train.steps, train.seed) == (40, 3)
    assert train.static_stage.steps == (22 if variant.two_stages else 0)
    assert (train.rendering.lidar_rays > 0) == variant.name.startswith("lidar")
    others = {"motion", "losses", "rendering", "static_stage", "joint_stage", "seed"}
    assert train.model_dump(exclude=others) == NANO.train.model_dump(exclude=others)


def test_rows_of_several_tables_are_trained_once():
    names = [variant.name for variant in variants_of(ALL)]
    assert len(names) == len(set(names)) == 8
    assert sum(len(one.rows) for one in ALL) == 9
    assert all(tuple(one.rows.values())[-1] in (ablation.FULL, ablation.FULL_LIDAR) for one in ALL)


def test_rows_of_the_optimization_strategy_differ_in_what_they_say():
    neither, two_stages, full = map(of_row, ABLATIONS["stages"].rows.values())
    assert neither.motion == two_stages.motion != full.motion
    assert neither.losses == two_stages.losses != full.losses
    assert neither.joint_stage.factors == NANO.train.static_stage.factors
    assert two_stages.joint_stage.factors == NANO.train.joint_stage.factors


def test_rows_of_static_flow_differ_in_what_they_say():
    motions = [of_row(variant).motion for variant in ABLATIONS["static-flow"].rows.values()]
    got = [(one.forward_static_flow, one.backward_static_flow) for one in motions]
    assert got == [(False, False), (True, False), (True, True)]


def test_the_command_trains_every_row_once_and_tells_all(written, tmp_path, capsys):
    one = written("nuscenes")
    preset = tmp_path / "tiny.yaml"
    preset.write_text(config_module.dump(override(one.config, FEW_RAYS)))
    arguments = (
        *("ablate", "--preset", preset, "--data", one.folder, "--cues", one.cues),
        *("--flow", "truth", "--movable", "truth", "--validate", one.folder),
        *("--validate-each", 2, "--steps", 2, "--seeds", 1, "--workers", 0),
        *("--out", tmp_path / "runs", "--markdown", tmp_path / "tables.md"),
    )
    assert main([str(argument) for argument in arguments]) == 0
    printed, page = capsys.readouterr().out, (tmp_path / "tables.md").read_text()
    for one_table in ALL:
        for text in (printed, page):
            assert all(words in text for words in (one_table.title, *one_table.rows))
    folders = {path.parent.parent.name for path in (tmp_path / "runs").rglob("result.json")}
    assert folders == {variant.name for variant in variants_of(ALL)}
    assert not list((tmp_path / "runs").rglob("state.safetensors"))
    tables = json.loads((tmp_path / "runs" / "ablations.json").read_text())["tables"]
    rows = [row for one_table in tables.values() for row in one_table["rows"]]
    assert len(rows) == 9
    assert all(row["seeds"][0]["epe_px"] > 0 for row in rows)


def test_a_finished_run_is_not_trained_again(make_study):
    first, again = Silent(), Silent()
    trained = found_by(make_study(first), ONE_ROW)
    assert first.folders == ["full/seed-0"]
    read = found_by(make_study(again), ONE_ROW)
    assert again.folders == []
    assert read["full"][0] == pytest.approx(trained["full"][0], nan_ok=True)
    more = found_by(make_study(again, budget=Budget(2, 0.5, seeds=2)), ONE_ROW)
    assert again.folders == ["full/seed-1"]
    assert more["full"][0]["epe_px"] != more["full"][1]["epe_px"]


def test_other_sets_are_compared_without_training(make_study):
    (first,) = found_by(make_study(Silent()), ONE_ROW)["full"]
    monitor = Silent()
    (second,) = found_by(make_study(monitor, every=1), ONE_ROW)["full"]
    assert monitor.folders == []
    assert first["epe_px"] != second["epe_px"]


def test_a_run_of_another_budget_or_data_is_not_taken(make_study):
    found_by(make_study(Silent()), ONE_ROW)
    for changes in ({"budget": Budget(3, 0.5, 1)}, {"fingerprint": "another drive"}):
        with pytest.raises(DataError, match="other settings, steps or data; give another --out"):
            found_by(make_study(Silent(), **changes), ONE_ROW)


def test_an_interrupted_run_goes_on_where_it_was(make_study, tmp_path):
    only = Ablation("One row", {"neither": ablation.ONE_STAGE}, COLUMNS)
    with pytest.raises(DataError, match="the disk was pulled"):
        found_by(make_study(Silent(break_after=1)), only)
    monitor = Silent()
    resumed = found_by(make_study(monitor), only)
    assert monitor.started == [1]
    straight = found_by(make_study(Silent(), out=tmp_path / "straight"), only)
    assert resumed["lidar_one_stage"][0] == pytest.approx(
        straight["lidar_one_stage"][0], rel=1e-6, nan_ok=True
    )


def test_a_damaged_result_and_a_budget_without_a_stage_are_refused(make_study, tmp_path):
    path = tmp_path / "runs" / "full" / "seed-0" / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"trained": {}}')
    with pytest.raises(DataError, match="result.json: expected the result of a run: 'numbers'"):
        found_by(make_study(Silent()), ONE_ROW)
    with pytest.raises(ConfigError, match="steps for both stages, got 1 static ones of 1"):
        Budget(steps=1, static_share=0.55, seeds=1)


def test_drives_without_exact_flow_are_refused(make_study):
    study = make_study(Silent())
    blind = [replace(one, truth_files=None) for one in study.held_out]
    with pytest.raises(DataError, match="occflow synth --truth all"):
        make_study(Silent(), held_out=blind)


def test_cells_are_mean_and_deviation_over_seeds(make_study):
    study = make_study(Silent())
    seeds = [dict.fromkeys(COLUMNS, value) for value in (1.0, 2.0, 3.0)]
    seeds[1] = seeds[1] | {"epe_fg_px": math.nan}
    found = {variant.name: seeds for variant in variants_of(ALL)}
    table = table_of(ABLATIONS["temporal"], found, study, seeds=3)
    assert table.header[1:5] == ("DE", "EPE", "DE_FG", "EPE_FG")
    assert table.rows[0][1:5] == ("2.000 ± 1.000", "2.000 ± 1.000", "2.000 ± 1.000", "-")
    assert len({row[-1] for row in table.rows}) == 3  # parameters
    alone = {name: one[:1] for name, one in found.items()}
    assert table_of(ABLATIONS["stages"], alone, study, seeds=1).rows[0][1] == "1.000"
    text, page = as_text(table), as_markdown(table)
    assert all(row[0] in text and f"| {row[0]} | 2.000 ± 1.000 |" in page for row in table.rows)
    assert "Steps of a run: 2, 1 of them static" in page
