"""Pinhole projection, and what scaling and cutting an image does to its intrinsics."""

import numpy as np
import pytest
import torch

from occflow_ros.geometry.camera import ImageFit, pixel_rays, project

K = np.array([[400.0, 0.0, 310.0], [0.0, 420.0, 190.0], [0.0, 0.0, 1.0]])
SIZES = [
    ((400, 640), (100, 160)),  # scaled alone
    ((400, 640), (100, 240)),  # the top is cut
    ((400, 640), (200, 160)),  # the sides are cut
    ((375, 1242), (128, 352)),  # the two scales differ by rounding
    ((40, 64), (100, 240)),  # enlarged
    ((400, 640), (400, 640)),  # as it is
]


def test_projection_by_hand():
    points_m = torch.tensor([[1.0, -0.5, 2.0], [0.0, 0.0, 10.0], [1.0, 1.0, -2.0], [0.0, 0.0, 0.0]])
    pixels, in_front = project(torch.from_numpy(K).float(), points_m)
    assert pixels[:2].tolist() == [[510.0, 85.0], [310.0, 190.0]]
    assert in_front.tolist() == [True, True, False, False]
    assert torch.isfinite(pixels).all()


def test_points_nearer_than_the_limit_are_not_in_front():
    points_m = torch.tensor([[0.0, 0.0, 0.49], [0.0, 0.0, 0.5]])
    _, in_front = project(torch.from_numpy(K).float(), points_m, min_depth_m=0.5)
    assert in_front.tolist() == [False, True]


def test_projection_broadcasts_over_cameras():
    points_m = torch.rand(3, 5, 3) + 1.0
    many = torch.from_numpy(K).float() * torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    many[:, 2, 2] = 1.0
    pixels, _ = project(many, points_m)
    for camera in range(3):
        alone, _ = project(many[camera], points_m[camera])
        assert torch.equal(pixels[camera], alone)


def test_rays_pass_through_their_pixels():
    rays = pixel_rays(torch.from_numpy(K), 4, 6)
    assert rays.shape == (4, 6, 3)
    pixels, _ = project(torch.from_numpy(K), rays.reshape(-1, 3) * 7.0)
    assert pixels.reshape(4, 6, 2)[3, 5].tolist() == pytest.approx([5.0, 3.0])
    assert pixels.reshape(4, 6, 2)[0, 2].tolist() == pytest.approx([2.0, 0.0])


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_the_image_has_the_target_size_and_is_covered(source, target):
    fit = ImageFit(source, target)
    assert fit.image(np.full((*source, 3), 7, np.uint8)).shape == (*target, 3)
    assert all(scaled >= out for scaled, out in zip(fit.scaled_hw_px, target))


def test_sides_are_cut_evenly_and_the_top_alone():
    assert ImageFit((400, 640), (100, 240)).scaled_hw_px == (150, 240)
    assert ImageFit((400, 640), (100, 240)).offset_xy_px == (0, 50)
    assert ImageFit((400, 640), (200, 160)).offset_xy_px == (80, 0)


def test_halving_moves_the_principal_point_by_half_pixels():
    halved = ImageFit((400, 640), (200, 320)).intrinsics(K)
    # A pixel centre at u lies u + 0.5 from the edge; halved, that is (u + 0.5)/2 - 0.5.
    expected = [[200.0, 0.0, 154.75], [0.0, 210.0, 94.75], [0.0, 0.0, 1.0]]
    assert halved == pytest.approx(np.array(expected))


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_intrinsics_follow_the_pixels(source, target):
    """A ramp image tells for each target pixel where it came from: the same ray must agree."""
    fit = ImageFit(source, target)
    v, u = np.mgrid[: source[0], : source[1]]
    scale = 250.0 / np.array([source[1], source[0]])
    ramp = np.stack((u * scale[0], v * scale[1], 0 * u), axis=-1).round().astype(np.uint8)
    # The mirrored ramp cancels that halves are rounded up.
    grey = (fit.image(ramp).astype(float) + 255 - fit.image(255 - ramp)) / 2
    seen = grey[..., :2] / scale  # source pixel (u, v) at each target pixel
    rays = pixel_rays(torch.from_numpy(fit.intrinsics(K)), *target)
    expected, _ = project(torch.from_numpy(K), rays.reshape(-1, 3))
    error_px = (seen - expected.numpy().reshape(*target, 2))[2:-2, 2:-2]
    assert np.abs(error_px).max() < 1.5 / scale.min()
    assert np.abs(error_px.mean(axis=(0, 1))).max() < 0.1 / scale.min()


def test_a_known_point_lands_on_its_mark():
    fit = ImageFit((400, 640), (100, 240))
    point_m = np.array([0.35, 0.2, 1.0])
    u, v = (K @ point_m)[:2]
    y, x = np.mgrid[:400, :640]
    blob = 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 12.0**2))
    image = fit.image(np.repeat(blob[..., None], 3, axis=-1).astype(np.uint8))[..., 0].astype(float)
    rows, columns = np.mgrid[:100, :240]
    found = np.array([(columns * image).sum(), (rows * image).sum()]) / image.sum()
    assert found == pytest.approx((fit.intrinsics(K) @ point_m)[:2], abs=0.05)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="expected positive sizes"):
        ImageFit((0, 10), (10, 10))
    with pytest.raises(ValueError, match=r"expected an image of \(4, 6\), got \(6, 4\)"):
        ImageFit((4, 6), (2, 3)).image(np.zeros((6, 4, 3), np.uint8))
