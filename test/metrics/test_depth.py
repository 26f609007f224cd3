"""Depth errors: by hand, and against the definition pixel by pixel."""

import math
from functools import reduce
from operator import add

import numpy as np
import pytest

from occflow_ros.metrics.depth import (
    DepthErrors,
    DepthMetrics,
    depth_errors,
    evaluate_depth,
)


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


def test_ranges_by_hand():
    true = np.array([[5.0, 20.0, 39.9], [40.0, 80.0, 80.1]])
    metrics = evaluate_depth(np.full((2, 3), 90.0), true)  # counts as 80 m in every range
    by_range = metrics.by_range()
    assert list(by_range) == ["0.1-20 m", "20-40 m", "40-80 m", "0.1-80 m"]
    assert [errors.pixels for errors in by_range.values()] == [1, 2, 2, 5]
    assert by_range["0.1-20 m"].abs_rel == pytest.approx(75 / 5)
    assert by_range["40-80 m"].rmse_m == pytest.approx(math.sqrt(40**2 / 2))
    some = evaluate_depth(true, true, true < 30.0)
    assert some.reasons() == {"40-80 m": "no pixel has a known depth in this range"}
    assert some.pooled.pixels == 2


def test_ranges_together_are_the_whole():
    generator = np.random.default_rng(4)
    true, predicted = generator.uniform(0.05, 85.0, (2, 40, 30))
    whole, pooled = depth_errors(predicted, true), evaluate_depth(predicted, true).pooled
    assert (pooled.pixels, pooled.within) == (whole.pixels, whole.within)
    assert pooled.numbers() == {name: pytest.approx(v) for name, v in whole.numbers().items()}


def test_images_count_alike_or_pixels_do():
    near, far = np.full(1, 10.0), np.full(9, 10.0)
    metrics = evaluate_depth(near + 1, near) + evaluate_depth(far + 3, far)
    nothing = evaluate_depth(near, np.full(1, np.inf))
    assert (metrics + nothing).images.numbers()["rmse_m"] == pytest.approx((1 + 3) / 2)
    assert metrics.pooled.rmse_m == pytest.approx(math.sqrt((1 + 9 * 9) / 10))
    assert nothing == DepthMetrics()
    assert len(nothing.reasons()) == 4
    assert all(math.isnan(value) for value in nothing.images.numbers().values())


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_relative_errors_do_not_depend_on_the_unit(scale):
    true, predicted = np.random.default_rng(6).uniform(1.0, 20.0, (2, 30))
    one, other = depth_errors(predicted, true), depth_errors(scale * predicted, scale * true)
    assert (other.abs_rel, other.rmse_log) == pytest.approx((one.abs_rel, one.rmse_log))
    assert other.rmse_m == pytest.approx(scale * one.rmse_m)
    assert other.delta == one.delta
