"""Maps of one street, driven there and back, beside the map that its truth gives."""

import pytest

from occflow_ros import cli
from occflow_ros.errors import DataError
from occflow_ros.offboard.city_map.comparison import comparison, true_map
from occflow_ros.offboard.city_map.store import CityMap
from occflow_ros.offboard.engines import EngineOptions, open_engine

pytest.importorskip("zarr", reason="needs the extra of occflow map")


def plainly(items, *_):
    return items


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """Two drives, the recordings of a perfect model and of one with errors, and their maps."""
    folder = tmp_path_factory.mktemp("street")
    synth = ["--frames", "2", "--image-size", "24x40", "--seed", "3"]
    assert cli.main(["synth", "--out", str(folder / "there"), *synth]) == 0
    assert cli.main(["synth", "--out", str(folder / "back"), *synth, "--back"]) == 0
    data = ["--data", str(folder / "there"), str(folder / "back"), "--grid", "50x50x4"]
    none = ["--dropout", "0", "--dropout-per-m", "0", "--swap", "0", "--depth-bias", "0"]
    none += ["--range-noise", "0", "--range-noise-m", "0"]
    for name, errors in (("perfect", none), ("onboard", [])):
        assert cli.main(["corrupt", *data, "--out", str(folder / name), *errors]) == 0
        out = ["--out", str(folder / "maps" / name), "--sensor", "none"]
        assert cli.main(["map", "--input", str(folder / name), *out]) == 0
    return folder


def test_both_ways_are_in_one_map_and_errors_cost(mapped, tmp_path):
    maps = {name: CityMap(mapped / "maps" / name) for name in ("perfect", "onboard")}
    assert len(maps["perfect"].info.drives) == 2
    data = (mapped / "there", mapped / "back")
    with open_engine(EngineOptions()) as engine:
        true = true_map(data, maps["perfect"], tmp_path / "true", engine, plainly)
    table = comparison({**maps, "true": true}, true)
    iou = {row[0]: float(row[-2]) for row in table.rows}
    assert iou["true"] == 100.0
    assert iou["onboard"] < iou["perfect"] < 100.0
    assert "car" not in table.header
    assert "driveable_surface" in table.header


def test_a_drive_without_truth_is_named(mapped, tmp_path):
    city = CityMap(mapped / "maps" / "perfect")
    with (
        open_engine(EngineOptions()) as engine,
        pytest.raises(DataError, match="lack synthetic-0003-back"),
    ):
        true_map((mapped / "there",), city, tmp_path / "true", engine, plainly)


def test_the_command_writes_the_table(mapped, capsys):
    command = ["map", "--input", str(mapped / "perfect"), "--sensor", "none"]
    command += ["--out", str(mapped / "maps" / "perfect")]
    command += ["--truth", str(mapped / "there"), str(mapped / "back")]
    assert cli.main([*command, "--beside", f"onboard={mapped / 'maps' / 'onboard'}"]) == 0
    page = (mapped / "maps/perfect/map.md").read_text()
    assert "| onboard |" in page
    assert "| this map |" in page
    assert "City-level map" in capsys.readouterr().out
