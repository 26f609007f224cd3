"""The `metrics` suite: one frame along all rays, kernel beside twin, dense and packed."""

from dataclasses import replace

import pytest
from tiny_network import tiny_config

from occflow_ros.cli.bench import metrics
from occflow_ros.measurement import Options


@pytest.fixture(scope="module")
def frame():
    return metrics.synthetic_frame()


def test_the_frame_is_the_official_size_and_off_by_one_voxel(frame):
    counts = frame.evaluate("numba")
    assert 0.5 * 8 * 14_040 < counts.rays <= 8 * 14_040
    assert counts.within[0] < counts.rays  # a ray can pass what moved by 0.4 m
    assert counts.iou[0] > 0.5
    few = replace(frame, directions=frame.directions[::360])
    assert few.evaluate("numba") == few.evaluate("numpy") == few.packed().evaluate("numba")


def test_times_stand_beside_the_twin_and_memory_is_an_eighth(frame, monkeypatch):
    small = replace(frame, directions=frame.directions[::100])
    monkeypatch.setattr(metrics, "synthetic_frame", lambda: small)
    rows = list(metrics.measure(Options(tiny_config(), device="cpu", repeat=1, cameras=2)))
    assert [row.quantity for row in rows] == ["numba p50", "numpy p50"] * 2 + [
        "dense",
        "packed",
        "",
    ]
    assert all(row.value > 0.0 for row in rows)
    dense, packed, hits = (row.value for row in rows[-3:])
    assert (dense, packed) == (640.0, 80.0)
    assert hits == pytest.approx(16e-6 * 8 * 141)  # each a distance and an index
