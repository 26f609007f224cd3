"""Depth errors: by hand, and against the definition pixel by pixel."""

import math
from functools import reduce
from operator import add

import numpy as np
import pytest

from occflow_ros.metrics.depth import DepthErrors, depth_errors


def test_by_hand():
    true = np.array([2.0, 10.0, np.inf, 0.05, 90.0])
    predicted = np.array([3.0, 10.0, 5.0, 5.0, 5.0])
    errors = depth_errors(predicted, true)
    assert errors.pixels == 2
    assert errors.abs_rel == pytest.approx(0.5 / 2)
    assert errors.sq_rel_m == pytest.approx(0.5 / 2)
    assert errors.rmse_m == pytest.approx(math.sqrt(1 / 2))
    assert errors.rmse_log == pytest.approx(math.sqrt(math.log(1.5) ** 2 / 2))
    assert errors.delta == (0.5, 1.0, 1.0)  # 1.5 < 1.25² = 1.5625


def test_perfect_close_and_far_predictions():
    true = np.array([[1.0, 20.0], [79.0, 4.0]])
    perfect = depth_errors(true, true)
    assert (perfect.abs_rel, perfect.rmse_m, perfect.rmse_log) == (0.0, 0.0, 0.0)
    assert perfect.delta == (1.0, 1.0, 1.0)
    assert depth_errors(1.1 * true, true).abs_rel == pytest.approx((0.3 + 1 / 79) / 4)
    zero = depth_errors(np.zeros_like(true), true)  # counts as the nearest depth
    assert zero.delta == (0.0, 0.0, 0.0)
    assert zero.rmse_log == depth_errors(np.full_like(true, 0.1), true).rmse_log


def test_no_pixel_is_not_a_number():
    nothing = depth_errors(np.ones(3), np.ones(3), np.zeros(3, bool))
    assert nothing == DepthErrors()
    values = nothing.abs_rel, nothing.sq_rel_m, nothing.rmse_m, nothing.rmse_log, *nothing.delta
    assert all(math.isnan(value) for value in values)


def test_the_definition_pixel_by_pixel_gives_the_same_in_any_order():
    generator = np.random.default_rng(2)
    true, predicted = generator.uniform(0.05, 85.0, (2, 6, 50))
    pairs = [
        (min(max(d, 0.1), 80.0), t)
        for d, t in zip(predicted.ravel(), true.ravel())
        if 0.1 <= t <= 80.0
    ]
    total = reduce(add, [depth_errors(*image) for image in zip(predicted, true)])
    back = reduce(add, [depth_errors(*image) for image in zip(predicted[::-1], true[::-1])])
    mean = len(pairs)
    assert total.pixels == back.pixels == mean
    assert total.within == back.within
    assert total.abs_rel == pytest.approx(sum(abs(d - t) / t for d, t in pairs) / mean)
    assert total.sq_rel_m == pytest.approx(sum((d - t) ** 2 / t for d, t in pairs) / mean)
    assert total.rmse_m == pytest.approx(math.sqrt(sum((d - t) ** 2 for d, t in pairs) / mean))
    log = math.sqrt(sum((math.log(d) - math.log(t)) ** 2 for d, t in pairs) / mean)
    assert total.rmse_log == pytest.approx(log)
    assert back.rmse_log == pytest.approx(log)
    share = sum(max(d / t, t / d) < 1.25**2 for d, t in pairs) / mean
    assert total.delta[1] == pytest.approx(share)


def test_what_is_no_depth_is_refused():
    with pytest.raises(ValueError, match="expected equal shapes"):
        depth_errors(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="got NaN in 1"):
        depth_errors(np.array([np.nan, 1.0]), np.ones(2))
