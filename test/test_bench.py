"""The benchmark's table and JSON, and the `network` suite on a very small network."""

import importlib
import json

import pytest
from tiny_mono import tiny_mono_config
from tiny_network import tiny_config

from occflow_ros import cli, config
from occflow_ros.cli import bench
from occflow_ros.cli.bench import network
from occflow_ros.measurement import Measurement, table
from occflow_ros.models.build import build_mono_network
from occflow_ros.mono_config import MonoConfig

STAGES = ("preprocess", "backbone", "lift", "temporal", "refine", "heads", "step")


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "tiny.yaml"
    path.write_text(config.dump(tiny_config()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def document(tiny_file):
    path = tiny_file.with_name("numbers.json")
    arguments = ["--preset", str(tiny_file), "--repeat", "2", "--cameras", "2"]
    options = ["--precision", "bfloat16", "--json", str(path)]
    assert cli.main(["bench", "network", *arguments, *options]) == 0
    return json.loads(path.read_text())


def by_name(document):
    rows = {}
    for row in document["measurements"]:
        rows.setdefault(row["name"], {})[row["quantity"]] = row
    return rows


def test_each_stage_has_times_parameters_and_flops(document):
    rows = by_name(document)
    for stage in STAGES:
        row = rows[f"network.{stage}"]
        assert list(row) == ["p50", "p90", "parameters", "FLOPs"]
        assert 0 < row["p50"]["value"] <= row["p90"]["value"]
    for quantity in ("parameters", "FLOPs"):
        *parts, total = (rows[f"network.{stage}"][quantity]["value"] for stage in STAGES)
        assert sum(parts) == pytest.approx(total)


def test_rate_gain_and_memory_follow_from_the_run(document):
    rows = by_name(document)
    step_ms = rows["network.step"]["p50"]["value"]
    clip_ms = rows["network.clip, all of it computed again"]["p50"]["value"]
    assert rows["network.rate"][""]["value"] == pytest.approx(1e3 / step_ms)
    assert rows["network.gain over the clip"][""]["value"] == pytest.approx(clip_ms / step_ms)
    history_mb = rows["network.history buffer"][""]["value"]
    assert history_mb in (2 * 16 * 8 * 6 * 2 * size / 1e6 for size in (2, 4))
    whole, step = (rows[f"network.peak memory{part}"][""]["value"] for part in ("", " of a step"))
    assert 0 <= step < whole


def test_the_document_says_how_it_was_measured(document):
    assert document["config"]["stream"]["precision"] == "bfloat16"
    assert not document["config"]["stream"]["compile"]
    assert (document["device"], document["cameras"], document["repeat"]) == ("cpu", 2, 2)
    assert "2 cameras, bfloat16" in by_name(document)["network.rate"][""]["note"]


def test_semantics_add_depth_and_their_network_to_the_step(tiny_file, monkeypatch):
    tiny = config.load(tiny_file).model
    mono = MonoConfig(model=tiny_mono_config(grid=tiny.grid))
    monkeypatch.setattr(network, "MONO_PRESETS", {"tiny": mono})
    path = tiny_file.with_name("both.json")
    arguments = ["--preset", str(tiny_file), "--repeat", "2", "--cameras", "2"]
    options = ["--semantics", "mono", "--json", str(path)]
    assert cli.main(["bench", "network", *arguments, *options]) == 0
    rows = by_name(json.loads(path.read_text()))
    found_ms = {
        name: rows[f"network.{name}"]["p90"]["value"]
        for name in (
            "depth",
            "semantics",
            "semantics alone, its depth included",
            "step of both networks",
        )
    }
    depth, semantics, alone, both = found_ms.values()
    assert 0 < max(depth, semantics) < alone < both
    parameters = sum(p.numel() for p in build_mono_network(mono.model).parameters())
    row = rows["network.parameters of semantics"][""]
    assert row["value"] == pytest.approx(parameters / 1e6)


def test_semantics_need_a_preset_on_the_grid(tiny_file, capsys):
    arguments = ["--preset", str(tiny_file), "--repeat", "1", "--cameras", "1"]
    assert cli.main(["bench", "network", *arguments, "--semantics", "mono"]) == 1
    assert "semantics: expected the grid of one of" in capsys.readouterr().err


def test_a_precision_that_is_not_there_is_bad_usage(capsys):
    with pytest.raises(SystemExit):
        cli.main(["bench", "network", "--precision", "float8"])
    assert "'float32', 'bfloat16'" in capsys.readouterr().err


@pytest.mark.parametrize("suite", bench.SUITES)
def test_every_suite_can_be_asked(suite):
    module = importlib.import_module(f"occflow_ros.cli.bench.{suite}")
    assert callable(module.measure)


def test_numbers_of_one_thing_share_a_row_under_their_quantities():
    lines = list(
        table(
            [
                Measurement("ops.first", 1.0, "ms", quantity="p50"),
                Measurement("ops.first", 2.5, "ms", "aim: 2", quantity="max"),
                Measurement("ops.second", 3.0, "ms", quantity="p50"),
                Measurement("ops.alone", 1234.5, "MB", "of all"),
            ]
        )
    )
    assert [line.split() for line in lines] == [
        ["p50", "(ms)", "max", "(ms)"],
        ["ops.first", "1.000", "2.500", "aim:", "2"],
        ["ops.second", "3.000"],
        ["ops.alone", "1,234.500", "MB", "of", "all"],
    ]
    assert lines[0].index("p50 (ms)") + len("p50 (ms)") == lines[1].index("1.000") + len("1.000")
