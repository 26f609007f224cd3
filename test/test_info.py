"""`occflow info`: what it prints, writes and refuses."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from tiny_network import tiny_config

from occflow_ros import cli, config
from occflow_ros.engine import inspection


@pytest.fixture
def tiny_file(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(config.dump(tiny_config()), encoding="utf-8")
    return path


def test_numbers_are_printed_and_written(capsys, tiny_file):
    numbers, figure = tiny_file.with_name("numbers.json"), tiny_file.with_name("figure.svg")
    arguments = ["--preset", str(tiny_file), "--cameras", "2"]
    assert cli.main(["info", *arguments, "--json", str(numbers), "--figure", str(figure)]) == 0
    printed = capsys.readouterr().out
    document = json.loads(numbers.read_text())
    *parts, total = document["parts"]
    assert sum(part["parameters"] for part in parts) == total["parameters"]
    for part in document["parts"]:
        row = [part["name"], f"{part['parameters'] / 1e6:.3f}", f"{part['flops'] / 1e9:.2f}"]
        assert row in [line.split() for line in printed.splitlines()]
    assert document["history_bytes"] == 2 * document["volume_bytes"] == 2 * 16 * 8 * 6 * 2 * 4
    assert ElementTree.parse(figure).getroot().tag.endswith("svg")


def test_the_temporal_module_stands_beside_its_rivals(capsys, tiny_file):
    assert cli.main(["info", "--preset", str(tiny_file)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for fusion, count in inspection.temporal_parameters(tiny_config().model).items():
        paper = inspection.PAPER_TEMPORAL_PARAMETERS[fusion]
        row = [f"{count / 1e6:.3f}", f"{paper / 1e6:.2f}", f"{100 * (count / paper - 1):.1f}", "%"]
        assert [fusion, *row] in lines
    assert any("docs/network.md" in words for words in lines)


@pytest.mark.parametrize("option", ["--json", "--figure"])
def test_a_place_that_cannot_be_written_is_one_line_and_status_1(capsys, tiny_file, option):
    assert cli.main(["info", "--preset", str(tiny_file), option, "/nowhere/file"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unknown_preset_is_one_line_and_status_1(capsys):
    assert cli.main(["info", "--preset", "pico"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "preset: expected one of" in error
