"""The `refine` suite on small grids: kernel, twin and reference side by side."""

import numpy as np
import pytest
from tiny_network import tiny_config

from occflow_ros.cli.bench import refine
from occflow_ros.measurement import Options


def test_the_street_is_as_full_as_streets_are_and_its_cars_move(tmp_path):
    store = refine.street(tmp_path / "street", refine.GRID, 1)
    frame = store.load(0)
    occupied = frame.class_id != store.info.vocabulary.empty
    assert 0.06 < occupied.mean() < 0.1
    speed_mps = np.linalg.norm(frame.velocity_mps[frame.velocity_mps.any(axis=-1)], axis=-1)
    assert len(speed_mps) > 1000
    assert speed_mps == pytest.approx(8.0, abs=0.01)


def test_kernel_twin_and_reference_stand_side_by_side(monkeypatch):
    monkeypatch.setattr(refine, "GRID", refine.SMALL)
    monkeypatch.setattr(refine, "RADIUS", 1)
    rows = list(refine.measure(Options(tiny_config(), device="cpu", repeat=1, cameras=2)))
    assert [row.quantity for row in rows] == [
        *("numba p50", "CPU p50", "torch p50", "", ""),
        *("numba p50", "torch p50", "reference"),
    ]
    assert all(row.value > 0.0 for row in rows)
    p50_ms, rate = rows[0].value, rows[3].value
    assert rate == pytest.approx(1e3 / p50_ms)
