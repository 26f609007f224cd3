"""Lens distortion with a closed form, drawn analytically, is removed."""

import cv2
import numpy as np
import pytest

from occflow_ros.geometry.rectification import Rectifier, check_distortion

HEIGHT_PX, WIDTH_PX = 120, 160
K = np.array([[100.0, 0.0, 80.5], [0.0, 105.0, 58.0], [0.0, 0.0, 1.0]])


def pattern(x, y):
    """A smooth picture over normalised image coordinates, as (H, W, 3) uint8."""
    grey = 127.5 + 60 * np.sin(9 * x + 1) + 60 * np.cos(8 * y)
    return np.repeat(grey[..., None], 3, axis=-1).round().astype(np.uint8)


def normalised():
    v, u = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    return (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]


def radial_inverse(distorted, k1):
    """r with r·(1 + k1·r²) = distorted, by Newton's method."""
    r = distorted.copy()
    for _ in range(20):
        r -= (r * (1 + k1 * r**2) - distorted) / (1 + 3 * k1 * r**2)
    return r


def through_lens(true_over_distorted_radius):
    """The picture as a lens shows it that sees radius r at distorted radius r_d."""
    x, y = normalised()
    distorted = np.hypot(x, y)
    ratio = true_over_distorted_radius(distorted) / np.maximum(distorted, 1e-9)
    return pattern(x * ratio, y * ratio)


def assert_same_where_seen(rectified, expected):
    seen = cv2.erode((rectified[..., 0] > 0).astype(np.uint8), np.ones((5, 5))).astype(bool)
    assert seen.mean() > 0.7
    assert np.abs(rectified.astype(int) - expected)[seen].max() <= 3


@pytest.mark.parametrize("k1", [-0.2, 0.15])
def test_radial_distortion_is_removed(k1):
    lens = through_lens(lambda r: radial_inverse(r, k1))
    rectified = Rectifier(K, (k1, 0, 0, 0), HEIGHT_PX, WIDTH_PX)(lens)
    x, y = normalised()
    assert np.abs(lens.astype(int) - pattern(x, y)).max() > 20
    assert_same_where_seen(rectified, pattern(x, y))


@pytest.mark.parametrize("coefficients", [(0.0, 0.0, 0.0, 0.0)])
def test_an_ideal_fisheye_is_not_a_pinhole(coefficients):
    """The equidistant model maps the angle θ to the radius f·θ, a pinhole to f·tan θ."""
    lens = through_lens(np.tan)
    rectified = Rectifier(K, coefficients, HEIGHT_PX, WIDTH_PX, "equidistant")(lens)
    x, y = normalised()
    assert np.abs(lens.astype(int) - pattern(x, y)).max() > 20
    assert_same_where_seen(rectified, pattern(x, y))


@pytest.mark.parametrize("coefficients", [(), (0.0,) * 5])
def test_a_pinhole_image_passes_untouched(coefficients):
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    assert np.array_equal(Rectifier(K, coefficients, HEIGHT_PX, WIDTH_PX)(image), image)


def test_the_centre_stays():
    image = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    image[56:61, 78:84] = 255  # symmetric about the principal point (80.5, 58)
    rectified = Rectifier(K, (-0.3, 0.1, 0, 0), HEIGHT_PX, WIDTH_PX)(image)[..., 0].astype(float)
    v, u = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    total = rectified.sum()
    center = ((u * rectified).sum() / total, (v * rectified).sum() / total)
    assert center == pytest.approx((80.5, 58.0), abs=0.02)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"expected an image of \(120, 160\), got \(160, 120\)"):
        Rectifier(K, (), HEIGHT_PX, WIDTH_PX)(np.zeros((160, 120, 3), np.uint8))
    with pytest.raises(ValueError, match=r"expected none or \(4,\) finite equidistant"):
        check_distortion((0.1,) * 5, "equidistant")
    with pytest.raises(ValueError, match=r"plumb_bob coefficients, got \[nan, 0"):
        Rectifier(K, (np.nan, 0, 0, 0), HEIGHT_PX, WIDTH_PX)
