"""The recorded bag, read with rosbags alone."""

import numpy as np
import pytest

from occflow_ros.demo.bag import read_bag
from occflow_ros.errors import DataError


def test_predictions_come_back_on_their_grid(bag, drive):
    contents = read_bag(bag)
    first = contents.predictions[drive.sets[0].stamp_ns]
    assert first.grid.shape == (10, 10, 4)
    np.testing.assert_allclose(first.grid.lower_m, (-8.0, -8.0, -1.0))
    np.testing.assert_allclose(first.grid.upper_m, (8.0, 8.0, 5.4))
    assert np.argwhere(first.occupied).tolist() == [[7, 5, 1], [8, 5, 1]]
    np.testing.assert_allclose(first.velocity_mps[8, 5, 1], (4.0, 0.0), atol=1e-6)


def test_an_unknown_velocity_counts_as_standing(bag, drive):
    second = read_bag(bag).predictions[drive.sets[1].stamp_ns]
    assert second.occupied.sum() == 2
    assert not second.velocity_mps.any()


def test_the_node_s_word_comes_back(bag, drive):
    contents = read_bag(bag)
    assert [report.outcome for report in contents.reports] == [
        "processed",
        "processed",
        "dropped",
        "processed",
    ]
    assert contents.reports[0].reset.startswith("gap of 2.000 s")
    assert contents.reports[0].stages_ms == {"backbone": 10.0, "total": 30.0}
    assert contents.reports[2].reason == "no_transform"
    assert contents.messages == {"/occflow/occupancy_flow": 2, "/diagnostics": 4}


def test_a_missing_bag_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        read_bag(tmp_path / "nowhere")
