"""Photometric loss: numbers by hand, and a textured wall whose depth and motion it must find."""

from dataclasses import replace

import pytest
import torch

from occflow_ros.losses.photometric import (
    SourceColors,
    dssim,
    photometric_errors,
    source_colors,
)
from occflow_ros.losses.reduction import masked_mean, renormalize
from occflow_ros.losses.reprojection import displace, reproject, sample_images

FLAT = (1, 3, 3)  # one camera, 3 × 3 rays


def flat(value):
    return torch.full((*FLAT, 3), value)


def seen(value, target, valid=True):
    """A source that shows one colour everywhere."""
    color = flat(value)
    return SourceColors((color - target).abs().mean(-1), color, torch.full(FLAT, valid))


def ssim_of_flat(a, b):
    return (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)


def test_weights_are_those_of_the_samples_that_count():
    weights = torch.tensor([[0.1, 0.2, 0.1], [0.3, 0.1, 0.1], [0.0, 0.0, 0.0]])
    where = torch.tensor([[True, True, False], [False, True, True], [True, True, True]])
    normalized, valid = renormalize(weights, where)
    # 0.3 of 0.4 counts on the first ray, but only 0.2 of 0.5 on the second; the third is empty.
    assert valid.tolist() == [True, False, False]
    expected = torch.tensor([[1 / 3, 2 / 3, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(normalized, expected)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_opacity_alone_changes_no_error(scale):
    """Neither an empty ray nor an opaque one is cheaper."""
    weights = torch.tensor([[0.2, 0.6]])
    where = torch.ones(1, 2, dtype=torch.bool)
    torch.testing.assert_close(renormalize(scale * weights, where)[0], torch.tensor([[0.25, 0.75]]))


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.5, 0.25), (1.0, 0.0)])
def test_dssim_of_flat_images_is_their_luminance_term(a, b):
    valid = torch.ones(FLAT, dtype=torch.bool)
    expected = (1 - ssim_of_flat(a, b)) / 2
    torch.testing.assert_close(
        dssim(flat(a), flat(b), valid), torch.full(FLAT, expected), atol=1e-6, rtol=1e-5
    )


def test_dssim_of_a_window_by_hand():
    """0, 0.1 … 0.8 against the negative: means 0.4, variances 1 / 15, covariance −1 / 15."""
    ramp = (torch.arange(9.0) / 10).reshape(1, 3, 3, 1)
    error = dssim(ramp, 0.8 - ramp, torch.ones(FLAT, dtype=torch.bool))
    variance = 1 / 15
    expected = (1 - (-2 * variance + 9e-4) / (2 * variance + 9e-4)) / 2
    assert error[0, 1, 1].item() == pytest.approx(expected, rel=1e-4)


def test_dssim_leaves_rays_out_that_are_not_valid():
    noise = torch.rand((*FLAT, 3), generator=torch.Generator().manual_seed(0))
    valid = torch.ones(FLAT, dtype=torch.bool)
    valid[0, 0, 0] = False
    spoilt = noise.clone()
    spoilt[0, 0, 0] = 0.0
    error = dssim(noise, spoilt, valid)
    torch.testing.assert_close(error[valid], torch.zeros(8), atol=1e-6, rtol=0)
    assert dssim(noise, spoilt, torch.ones_like(valid))[0, 1, 1] > 0.01


@pytest.mark.parametrize("ssim_weight", [0.0, 0.85, 1.0])
def test_error_is_the_weighted_sum_of_both_parts(ssim_weight):
    target = flat(0.5)
    errors = photometric_errors(target, [seen(0.25, target)], None, ssim_weight)
    expected = (1 - ssim_weight) * 0.25 + ssim_weight * (1 - ssim_of_flat(0.5, 0.25)) / 2
    torch.testing.assert_close(errors.value, torch.full(FLAT, expected))
    assert errors.valid.all()


def test_the_better_source_counts_and_a_blind_one_does_not():
    target = flat(0.5)
    near, far = seen(0.5, target), seen(0.0, target)
    value = photometric_errors(target, [far, near], None, 0.85).value
    torch.testing.assert_close(value, torch.zeros(FLAT), atol=1e-6, rtol=0)
    blind = replace(near, valid=torch.zeros(FLAT, dtype=torch.bool))
    assert (photometric_errors(target, [far, blind], None, 0.85).value > 0.4).all()
    nothing = photometric_errors(target, [blind], [flat(0.5)], 0.85)
    assert not nothing.valid.any()
    assert not nothing.value.any()


@pytest.mark.parametrize(("still", "teaches"), [(0.45, False), (0.3, False), (0.1, True)])
def test_auto_mask_takes_what_stands_still_without_gradient(still, teaches):
    """The truth is 0.5, the guess 0.3; standing still is closer to it, as close, or farther."""
    target = flat(0.5)
    guess = flat(0.3).requires_grad_()
    source = replace(seen(0.3, target), l1=(guess - target).abs().mean(-1), color=guess)
    errors = photometric_errors(target, [source], [flat(still)], 0.85)
    masked_mean(errors.value, errors.valid).backward()
    assert guess.grad.bool().eq(teaches).all()


# A wall 10 m ahead, seen by a camera of 100 px focal length that drives to the right.
K = torch.tensor([[100.0, 0.0, 31.5], [0.0, 100.0, 23.5], [0.0, 0.0, 1.0]]).expand(1, 3, 3)
HEIGHT, WIDTH = 48, 64
ROWS, COLUMNS = 10, 14
RANGES_M = torch.tensor([6.0, 8.0, 10.0, 13.0, 20.0])


def wall(right_m):
    """Image of the wall by a camera this far to the right; y = z = 0 is its origin."""
    v, u = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    x, y = (u - 31.5) / 10 + right_m, (v - 23.5) / 10  # metres on the wall
    waves = [torch.sin(3.1 * x + 1.7 * y), torch.cos(2.3 * x - 0.9 * y), torch.sin(1.3 * x * y)]
    return (0.5 + 0.4 * torch.stack(waves)).unsqueeze(0)  # (1, 3, H, W)


def camera_right(right_m):
    pose = torch.eye(4).unsqueeze(0)
    pose[0, 0, 3] = right_m  # the ego frame of this test is the optical frame
    return pose


def grid_pixels():
    """One random pixel in each cell of the middle of the image."""
    cell = torch.stack(
        torch.meshgrid(torch.arange(ROWS), torch.arange(COLUMNS), indexing="ij")[::-1], -1
    )
    jitter = torch.randint(0, 3, (ROWS, COLUMNS, 2), generator=torch.Generator().manual_seed(1))
    return (3 * cell + jitter + torch.tensor([11, 9])).flatten(0, 1).float()  # (R, 2)


def wall_loss(weights, flow_m=0.0, wall_moves_m=0.0):
    """Loss of rays with candidates at RANGES_M, in images half a metre to either side.

    The wall moves to the right in each interval, and the rays' points have that flow.
    """
    pixels = grid_pixels()
    count, camera = len(pixels), torch.zeros(len(pixels), dtype=torch.long)
    directions = torch.cat((pixels, torch.ones(count, 1)), -1) @ torch.linalg.inv(K[0]).T
    points = directions.unsqueeze(1) * RANGES_M.view(1, -1, 1)  # (R, S, 3)
    flow = torch.tensor([flow_m, 0.0]).expand(count, len(RANGES_M), 2)
    target = sample_images(wall(0.0), camera, pixels)
    sources, still = [], []
    for intervals in (-1.0, 1.0):
        right_m = 0.5 * intervals
        other = wall(right_m - wall_moves_m * intervals)
        moved = displace(points, flow, torch.full((count,), intervals))
        projected, usable = reproject(moved, K[camera], camera_right(right_m)[camera])
        sources.append(on_grid(source_colors(target, other, camera, projected, usable, weights)))
        still.append(grid(sample_images(other, camera, pixels)))
    errors = photometric_errors(grid(target), sources, still, 0.85)
    return masked_mean(errors.value, errors.valid)


def grid(value):
    return value.unflatten(0, (1, ROWS, COLUMNS))


def on_grid(colors):
    return SourceColors(grid(colors.l1), grid(colors.color), grid(colors.valid))


def all_at(index):
    return torch.eye(len(RANGES_M))[index].expand(ROWS * COLUMNS, -1)


def test_the_wall_is_where_the_error_is_least():
    losses = [wall_loss(all_at(index)).item() for index in range(len(RANGES_M))]
    assert min(losses) == losses[2]
    assert losses[2] < 0.02
    assert min(losses[1], losses[3]) > 3 * losses[2]


def test_gradient_moves_weight_to_the_wall():
    weights = torch.full((ROWS * COLUMNS, len(RANGES_M)), 0.2, requires_grad=True)
    wall_loss(weights).backward()
    assert weights.grad.sum(0).argmin() == 2


@pytest.mark.parametrize("wall_moves_m", [0.0, 0.3, -0.4])
def test_the_flow_is_that_of_the_wall_where_the_error_is_least(wall_moves_m):
    guesses = (-0.4, 0.0, 0.3)
    losses = {guess: wall_loss(all_at(2), guess, wall_moves_m).item() for guess in guesses}
    right = losses.pop(wall_moves_m)
    assert right < 0.02
    assert min(losses.values()) > 2 * right


def test_rays_that_leave_the_image_are_masked_not_black():
    """From 4 m to the side at 10 m, points are 40 px away: most rays leave one image."""
    count, camera = ROWS * COLUMNS, torch.zeros(ROWS * COLUMNS, dtype=torch.long)
    pixels = grid_pixels()
    usable = torch.ones(count, 1, dtype=torch.bool)
    target = sample_images(wall(0.0), camera, pixels)
    shifted = (pixels - torch.tensor([40.0, 0.0])).unsqueeze(1)
    colors = source_colors(target, wall(4.0), camera, shifted, usable, torch.ones(count, 1))
    expected = pixels[:, 0] - 40.0 >= -0.5
    assert torch.equal(colors.valid, expected)
    assert 0 < expected.sum() < count
    errors = photometric_errors(grid(target), [on_grid(colors)], None, 0.85)
    assert torch.equal(errors.valid, grid(expected))
    assert not errors.value[~errors.valid].any()


def test_a_ray_does_not_depend_on_those_it_is_computed_with():
    generator = torch.Generator().manual_seed(2)
    target, images = torch.rand(9, 3, generator=generator), torch.rand(2, 3, 8, 8)
    camera = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1])
    pixels, weights = 8 * torch.rand(9, 4, 2, generator=generator), torch.rand(9, 4) / 4
    usable = torch.rand(9, 4, generator=generator) > 0.3
    whole = source_colors(target, images, camera, pixels, usable, weights)
    for rows in (slice(0, 4), slice(4, 9)):
        part = source_colors(
            target[rows], images, camera[rows], pixels[rows], usable[rows], weights[rows]
        )
        torch.testing.assert_close(part.l1, whole.l1[rows])
        torch.testing.assert_close(part.color, whole.color[rows])
        assert torch.equal(part.valid, whole.valid[rows])


def test_gradients_are_those_of_the_formula():
    generator = torch.Generator().manual_seed(3)

    def random(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    images = random(2, 3, 12, 16)
    target = random(2, 3, 4, 3)
    camera = torch.arange(2).repeat_interleave(12)
    pixels = (1.3 + 9.0 * random(24, 2, 2)).requires_grad_()
    weights = (0.1 + random(24, 2)).requires_grad_()
    usable = torch.ones(24, 2, dtype=torch.bool)
    usable[::5, 0] = False

    def loss(pixels, weights):
        colors = source_colors(target.flatten(0, 2), images, camera, pixels, usable, weights)
        colors = SourceColors(
            *(value.unflatten(0, (2, 3, 4)) for value in (colors.l1, colors.color, colors.valid))
        )
        errors = photometric_errors(target, [colors], None, 0.85)
        return masked_mean(errors.value, errors.valid)

    assert torch.autograd.gradcheck(loss, (pixels, weights))


def test_wrong_shapes_say_expected_and_got():
    target = flat(0.5)
    with pytest.raises(ValueError, match="sources: expected at least one image"):
        photometric_errors(target, [], None, 0.85)
    with pytest.raises(ValueError, match=r"still: expected one per source \(1\), got 2"):
        photometric_errors(target, [seen(0.5, target)], [target, target], 0.85)
    with pytest.raises(ValueError, match=r"sources\[0\].l1: expected \(1, 3, 3\), got \(9,\)"):
        photometric_errors(target, [replace(seen(0.5, target), l1=torch.zeros(9))], None, 0.85)
    with pytest.raises(ValueError, match="valid: expected bool, got torch.float32"):
        dssim(target, target, torch.ones(FLAT))
    camera = torch.zeros(4, dtype=torch.long)
    usable = torch.ones(4, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"pixels: expected \(4, 2, 2\), got \(4, 3, 2\)"):
        source_colors(
            torch.zeros(4, 3),
            torch.zeros(1, 3, 8, 8),
            camera,
            torch.zeros(4, 3, 2),
            usable,
            torch.ones(4, 2),
        )
