"""The `train` suite of the benchmark on a very small network and drive."""

import json

import pytest
from tiny_network import tiny_config

from occflow_ros import cli, config

STAGES = (
    "load a sample",
    "move to the device",
    "history",
    "network forward",
    "rendering and losses forward",
    "rendering and losses backward",
    "network backward",
    "optimizer",
)
CAMERAS, LIDAR_RAYS, SAMPLES = 2, 16, 3


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench_train")
    settings = (
        "train.rendering.camera_grid_hw=[4, 8]",
        f"train.rendering.lidar_rays={LIDAR_RAYS}",
        "train.rendering.samples=16",
        f"train.samples_per_step={SAMPLES}",
    )
    tiny = folder / "tiny.yaml"
    tiny.write_text(config.dump(config.override(tiny_config(history=1), settings)))
    arguments = ["--preset", str(tiny), "--repeat", "2", "--cameras", str(CAMERAS)]
    numbers = folder / "numbers.json"
    assert cli.main(["bench", "train", *arguments, "--json", str(numbers)]) == 0
    rows = {}
    for row in json.loads(numbers.read_text())["measurements"]:
        rows.setdefault(row["name"].removeprefix("train."), {})[row["quantity"]] = row
    return rows


def test_each_stage_has_times(rows):
    for stage in STAGES:
        assert list(rows[stage]) == ["p50", "p90"]
        assert 0.0 < rows[stage]["p50"]["value"] <= rows[stage]["p90"]["value"]


def test_the_totals_follow_from_the_stages(rows):
    median = {stage: rows[stage]["p50"]["value"] for stage in STAGES}
    step_ms = SAMPLES * sum(median[stage] for stage in STAGES[1:-1]) + median["optimizer"]
    rays = CAMERAS * 4 * 8 + LIDAR_RAYS
    network_ms = median["network forward"] + median["network backward"]
    losses_ms = sum(median[f"rendering and losses {way}"] for way in ("forward", "backward"))
    expected = {
        "step": step_ms,
        "rays": SAMPLES * rays / step_ms * 1e3,
        "rendering and losses over the network": losses_ms / network_ms,
        "samples that one process loads": 1e3 / median["load a sample"],
    }
    for name, value in expected.items():
        assert rows[name][""]["value"] == pytest.approx(value)
    assert f"{rays} a sample" in rows["rays"][""]["note"]
    assert "aim: at most 1" in rows["rendering and losses over the network"][""]["note"]
    assert rows["peak memory"][""]["value"] > 0.0
