"""Scene flow errors: by hand, and against the definition pixel by pixel."""

import math
from functools import reduce
from operator import add

import numpy as np
import pytest

from occflow_ros.metrics.scene_flow import (
    BASELINE_M,
    PixelScenes,
    SceneFlowErrors,
    disparity_px,
    scene_flow_errors,
)

FX_PX = 100.0 / BASELINE_M  # disparity is 100 px / depth in metres


def scenes(disparities_px, flows_px):
    return PixelScenes(100.0 / np.array(disparities_px), np.array(flows_px, dtype=float))


def errors(predicted, true, known=None, foreground=None, moving=None):
    shape = true.depth_m.shape
    known, foreground, moving = (
        np.full(shape, default) if mask is None else np.array(mask)
        for mask, default in ((known, True), (foreground, False), (moving, False))
    )
    return scene_flow_errors(
        predicted, true, FX_PX, flow_known=known, foreground=foreground, moving=moving
    )


def values(got):
    return {name: pytest.approx(value, nan_ok=True) for name, value in got.numbers().items()}


def test_disparity_of_a_depth():
    assert disparity_px(np.array(20.0), 700.0) == pytest.approx(700.0 * 0.5327119 / 20.0)


def test_by_hand():
    """Errors of disparity 0, 5, 10 and 12 px, of flow 5, 9, 0 and an unknown one."""
    true = scenes([10.0, 50.0, 20.0, 2.0], [(0, 0), (0, 100), (3, 4), (np.nan, 9)])
    predicted = scenes([10.0, 55.0, 30.0, 14.0], [(3, 4), (0, 109), (3, 4), (0, 0)])
    got = errors(
        predicted,
        true,
        known=[True, True, True, False],
        foreground=[True, True, False, True],
        moving=[False, True, True, True],
    ).numbers()
    assert got["de_px"] == pytest.approx((0 + 5 + 10 + 12) / 4)
    assert got["epe_px"] == pytest.approx((5 + 9 + 0) / 3)
    assert got["de_fg_px"] == pytest.approx((0 + 5 + 12) / 3)
    assert got["epe_fg_px"] == pytest.approx((5 + 9) / 2)
    assert got["epe_moving_px"] == pytest.approx(9)
    assert got["d1"] == pytest.approx(3 / 4)  # more than 4 px and than 5 % in all but the first
    assert got["f1"] == 0  # 9 px are less than 10 % of 100
    assert got["sf1"] == pytest.approx(1 / 3)  # 10 px of 20 in the third
    assert got["kitti_d1"] == pytest.approx(3 / 4)
    assert got["kitti_f1"] == pytest.approx(2 / 3)
    assert got["kitti_sf1"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("error_px", "true_px", "outlier"),
    [(3.9, 2.0, 0), (4.1, 2.0, 1), (4.1, 80.0, 1), (4.1, 83.0, 0), (8.1, 100.0, 1)],
)
def test_an_outlier_is_beyond_both_bounds(error_px, true_px, outlier):
    got = errors(scenes([true_px + error_px], [(0, 0)]), scenes([true_px], [(0, 0)]))
    assert got.numbers()["d1"] == outlier


def test_a_perfect_prediction_has_no_error():
    true = scenes([5.0, 60.0], [(1, 2), (-30, 4)])
    perfect = errors(true, true, foreground=[True, False], moving=[True, False])
    assert set(perfect.numbers().values()) == {0.0}
    still = errors(PixelScenes(true.depth_m, 0 * true.flow_px), true)
    assert still.numbers()["epe_px"] == pytest.approx((5**0.5 + 916**0.5) / 2)


def test_images_count_alike_however_many_pixels_they_have():
    many = errors(scenes([1.5] * 9, [(0, 0)] * 9), scenes([2.0] * 9, [(0, 0)] * 9))
    one = errors(scenes([3.5], [(0, 0)]), scenes([2.0], [(0, 0)]), foreground=[True])
    assert (many + one).numbers()["de_px"] == pytest.approx((0.5 + 1.5) / 2)
    assert (many + one).numbers()["de_fg_px"] == pytest.approx(1.5)


def test_what_is_not_there_is_not_a_number():
    nothing = errors(scenes([3.0], [(0, 0)]), PixelScenes(np.array([np.inf]), np.zeros((1, 2))))
    assert nothing == SceneFlowErrors()
    assert all(math.isnan(value) for value in nothing.numbers().values())
    without_flow = errors(scenes([3.0], [(0, 0)]), scenes([3.0], [(0, 0)]), known=[False])
    assert without_flow.numbers()["de_px"] == 0.0
    assert math.isnan(without_flow.numbers()["sf1"])
    assert set(nothing.reasons()) == set(nothing.numbers())
    reason = "no pixel has a known depth in the range and a known flow"
    assert without_flow.reasons()["sf1"] == reason
    assert "d1" not in without_flow.reasons()
    assert without_flow.reasons()["de_fg_px"].startswith("no pixel of the foreground")


def slow_numbers(got_m, true_m, got_px, true_px, known, foreground, moving):
    """Every number of one image, pixel by pixel."""
    values = {name: [] for name in SceneFlowErrors().numbers()}
    pixels = zip(got_m, true_m, got_px, true_px, known, foreground, moving)
    for here_m, there_m, here, there, has_flow, movable, moves in pixels:
        if not 0.1 <= there_m <= 80.0:
            continue
        disparity = 100.0 / there_m
        near = abs(100.0 / min(max(here_m, 0.1), 80.0) - disparity)
        off, length = math.dist(here, there), math.hypot(*there)

        def beyond(error_px, share, near=near, disparity=disparity, off=off, length=length):
            bad_d = near > error_px and near > share * disparity
            return bad_d, off > error_px and off > share * length

        (d1, _), (loose_d, f1), (kitti_d, kitti_f) = (
            beyond(4, 0.05),
            beyond(8, 0.1),
            beyond(3, 0.05),
        )
        found = {"de_px": near, "d1": d1, "kitti_d1": kitti_d}
        found |= {"de_fg_px": near} if movable else {}
        if has_flow:
            found |= {"epe_px": off, "f1": f1, "kitti_f1": kitti_f}
            found |= {"sf1": loose_d or f1, "kitti_sf1": kitti_d or kitti_f}
            found |= {"epe_fg_px": off} if movable else {}
            found |= {"epe_moving_px": off} if movable and moves else {}
        for name, value in found.items():
            values[name].append(value)
    return {name: np.mean(numbers) for name, numbers in values.items() if numbers}


def test_the_definition_pixel_by_pixel_gives_the_same_in_any_order():
    generator = np.random.default_rng(3)
    got_m, true_m = generator.uniform(0.05, 100.0, (2, 5, 40))
    got_px, true_px = generator.normal(0.0, 20.0, (2, 5, 40, 2))
    known, foreground, moving = generator.random((3, 5, 40)) < 0.6
    foreground[0] = False
    arrays = got_m, true_m, got_px, true_px, known, foreground, moving
    images = [
        errors(PixelScenes(got_m, got_px), PixelScenes(true_m, true_px), *masks)
        for got_m, true_m, got_px, true_px, *masks in zip(*arrays)
    ]
    slow = [slow_numbers(*image) for image in zip(*arrays)]
    means = {
        name: pytest.approx(np.mean([image[name] for image in slow if name in image]))
        for name in SceneFlowErrors().numbers()
    }
    total = reduce(add, images)
    assert total.numbers() == means
    assert reduce(add, images[::-1]) == total
    assert total.de_fg_px.images == 4


def test_mirrored_images_have_the_same_errors():
    generator = np.random.default_rng(8)
    depths_m, flows_px = generator.uniform(1.0, 60.0, (2, 50)), generator.normal(0, 9, (2, 50, 2))
    mirror = np.array((-1.0, 1.0))
    one = errors(*map(PixelScenes, depths_m, flows_px))
    other = errors(*map(PixelScenes, depths_m[:, ::-1], flows_px[:, ::-1] * mirror))
    assert other.numbers() == values(one)


def test_what_is_no_scene_flow_is_refused():
    true = scenes([3.0], [(0, 0)])
    with pytest.raises(ValueError, match=r"flow_px: expected \(1, 2\), got \(2, 2\)"):
        scenes([3.0], [(0, 0), (0, 0)])
    with pytest.raises(ValueError, match="expected equal shapes"):
        errors(scenes([3.0, 3.0], [(0, 0)] * 2), true)
    with pytest.raises(ValueError, match="got NaN in 1"):
        errors(scenes([3.0], [(np.nan, 0)]), true)
