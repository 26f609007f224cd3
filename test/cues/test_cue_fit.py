"""Cues at another image size."""

import numpy as np
import pytest

from occflow_ros.cues.cue import FlowCue
from occflow_ros.cues.fit import fit_flow, fit_mask
from occflow_ros.geometry.camera import ImageFit


def constant(hw, u, v):
    return FlowCue(np.full((*hw, 2), (u, v), np.float32), np.ones(hw, bool))


def test_vectors_grow_with_the_image():
    fitted = fit_flow(constant((8, 10), 1.0, -0.5), ImageFit((8, 10), (16, 20)))
    assert fitted.valid.shape == (16, 20)
    assert np.unique(fitted.flow_px[fitted.valid], axis=0).tolist() == [[2.0, -1.0]]
    assert not fitted.valid[:, 18:].any() and not fitted.valid[0].any()
    assert fitted.valid[1:, :18].all()


def test_flow_beyond_the_cut_is_not_valid():
    """8x10 to 4x10: the four upper rows are cut, and row 4 is then the first."""
    cue = constant((8, 10), 0.0, -2.0)
    fitted = fit_flow(cue, ImageFit((8, 10), (4, 10)))
    assert fitted.valid.all(axis=1).tolist() == [False, False, True, True]


def test_the_same_pixels_as_the_image_are_cut_and_scaled():
    """Blocks of 2x2 px that shrink to one pixel each keep their number, flow and mask."""
    fit = ImageFit((12, 16), (4, 8))  # half the size, two rows cut at the top
    number = np.kron(np.arange(48).reshape(6, 8), np.ones((2, 2))).astype(np.uint8)
    image = fit.image(np.repeat(number[..., None], 3, axis=2))[..., 0]
    flow_px = np.stack((number, -number), axis=-1).astype(np.float32) / 1000
    fitted = fit_flow(FlowCue(flow_px, np.ones((12, 16), bool)), fit)
    np.testing.assert_allclose(fitted.flow_px[..., 0], image / 2000, atol=1e-7)
    np.testing.assert_array_equal(fit_mask(number % 2 == 1, fit), image % 2 == 1)


def test_not_valid_stays_not_valid():
    cue = constant((4, 4), 0.0, 0.0)
    cue.valid[1, 2] = False
    fitted = fit_flow(cue, ImageFit((4, 4), (8, 8)))
    expected = np.ones((8, 8), bool)
    expected[2:4, 4:6] = False
    np.testing.assert_array_equal(fitted.valid, expected)


@pytest.mark.parametrize("target", [(128, 352), (37, 61), (900, 1600)])
def test_fitted_flow_is_that_of_the_fitted_camera(target):
    """A linear flow field in units of the scene, seen through K and through the fitted K."""
    fit = ImageFit((90, 160), target)
    K = np.array([[100.0, 0, 79.5], [0, 100.0, 44.5], [0, 0, 1.0]])

    def flow_of(K, height, width):
        v, u = np.mgrid[:height, :width]
        x, y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
        return np.stack((0.05 * x * K[0, 0], 0.05 * y * K[1, 1]), axis=-1).astype(np.float32)

    fitted = fit_flow(FlowCue(flow_of(K, 90, 160), np.ones((90, 160), bool)), fit)
    exact = flow_of(fit.intrinsics(K), *target)
    half_pixel_px = 0.05 * 0.51 * max(1.0, fit.scaled_hw_px[0] / 90)
    assert np.abs(fitted.flow_px - exact)[fitted.valid].max() < half_pixel_px
    assert fitted.valid.mean() > 0.8


def test_another_size_is_refused():
    with pytest.raises(ValueError, match=r"expected a cue of \(4, 6\), got \(4, 4\)"):
        fit_mask(np.zeros((4, 4), bool), ImageFit((4, 6), (4, 6)))
