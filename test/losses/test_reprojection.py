"""Points of the current frame in another image, against pixels worked out by hand."""

import math

import pytest
import torch

from occflow_ros.losses.reprojection import (
    displace,
    expected_points,
    inside,
    reproject,
    sample_images,
)

K = torch.tensor([[100.0, 0.0, 50.0], [0.0, 100.0, 40.0], [0.0, 0.0, 1.0]])
# Optical frame (x right, y down, z forward) in the ego frame (x forward, y left, z up).
FORWARD = torch.tensor([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def camera_at(x_m=0.0, y_m=0.0, z_m=0.0):
    pose = torch.eye(4)
    pose[:3, :3] = FORWARD
    pose[:3, 3] = torch.tensor([x_m, y_m, z_m])
    return pose


def rays(value, count=1):
    return value.expand(count, *value.shape)


def test_a_point_ahead_is_at_the_principal_point_wherever_the_camera_has_driven():
    points = torch.tensor([[[10.0, 0.0, 0.0], [10.0, -1.0, 0.5]]])
    pixels, in_front = reproject(points, rays(K), rays(camera_at()))
    # 1 m to the right at 10 m is 10 px, half a metre up is 5 px.
    torch.testing.assert_close(pixels, torch.tensor([[[50.0, 40.0], [60.0, 35.0]]]))
    assert in_front.all()
    pixels, _ = reproject(points, rays(K), rays(camera_at(x_m=5.0)))
    torch.testing.assert_close(pixels, torch.tensor([[[50.0, 40.0], [70.0, 30.0]]]))


def test_each_ray_has_its_own_camera():
    points = torch.tensor([[[10.0, -1.0, 0.0]]]).expand(2, 1, 3)
    poses = torch.stack((camera_at(), camera_at(y_m=-1.0)))
    pixels, _ = reproject(points, rays(K, 2), poses)
    torch.testing.assert_close(pixels, torch.tensor([[[60.0, 40.0]], [[50.0, 40.0]]]))


def test_behind_the_camera_is_flagged_and_finite():
    points = torch.tensor([[[10.0, 0.0, 0.0], [-10.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    pixels, in_front = reproject(points, rays(K), rays(camera_at()))
    assert in_front.tolist() == [[True, False, False]]
    assert pixels.isfinite().all()


@pytest.mark.parametrize(("elapsed", "x_m"), [(1.0, 12.0), (0.0, 10.0), (-0.5, 9.0)])
def test_points_move_by_their_flow_times_the_elapsed_intervals(elapsed, x_m):
    points, flow = torch.tensor([[[10.0, 1.0, 0.3]]]), torch.tensor([[[2.0, -4.0]]])
    moved = displace(points, flow, torch.tensor([elapsed]))
    torch.testing.assert_close(moved, torch.tensor([[[x_m, 1.0 - 4.0 * elapsed, 0.3]]]))


def test_expected_point_divides_by_the_opacity():
    points = torch.tensor([[[4.0, 0.0, 0.0], [8.0, 0.0, 0.0]]]).expand(2, 2, 3)
    weights = torch.tensor([[0.1, 0.3], [0.0, 0.0]])
    expected = torch.tensor([[[7.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]])
    torch.testing.assert_close(expected_points(points, weights), expected)


def test_inside_ends_half_a_pixel_beyond_the_outer_centres():
    pixels = torch.tensor([[-0.5, 0.0], [-0.6, 0.0], [9.5, 3.5], [9.6, 0.0], [0.0, 3.6]])
    assert inside(pixels, (4, 10)).tolist() == [True, False, True, False, False]
    assert inside(pixels, (4, 10), margin=0.1).all()


def test_sampled_colours_are_exact_at_centres_and_linear_between():
    images = torch.arange(24.0).reshape(2, 1, 3, 4)  # rows 0 1 2 3, 4 5 6 7, …
    camera = torch.tensor([0, 1])
    pixels = torch.tensor([[[2.0, 1.0], [1.5, 0.5]], [[3.0, 2.0], [0.0, 0.0]]])
    sampled = sample_images(images, camera, pixels)
    expected = torch.tensor([[[6.0], [3.5]], [[23.0], [12.0]]])
    torch.testing.assert_close(sampled, expected, atol=1e-4, rtol=0)


def test_outside_its_image_a_camera_repeats_its_own_border():
    images = torch.stack((torch.zeros(1, 3, 4), torch.ones(1, 3, 4), torch.zeros(1, 3, 4)))
    pixels = torch.tensor([[[-9.0, -9.0], [99.0, 99.0], [1.0, 2.6], [1.0, -0.4]]])
    torch.testing.assert_close(
        sample_images(images, torch.tensor([1]), pixels), torch.ones(1, 4, 1), atol=1e-5, rtol=0
    )


def test_gradient_reaches_points_flow_and_weights():
    generator = torch.Generator().manual_seed(0)
    points = 5.0 + torch.rand(2, 3, 3, generator=generator, dtype=torch.float64)
    flow = torch.rand(2, 3, 2, generator=generator, dtype=torch.float64)
    images = torch.rand(2, 3, 90, 110, generator=generator, dtype=torch.float64)
    weights = torch.rand(2, 3, generator=generator, dtype=torch.float64)
    elapsed, camera = torch.tensor([1.0, -0.5]), torch.tensor([0, 1])

    def colors(points, flow, weights):
        moved = displace(points, flow, elapsed)
        pixels, _ = reproject(moved, rays(K, 2), rays(camera_at(x_m=-20.0), 2))
        return sample_images(images, camera, pixels), expected_points(moved, weights)

    inputs = tuple(value.requires_grad_() for value in (points, flow, weights))
    assert torch.autograd.gradcheck(colors, inputs)


def test_a_turned_world_gives_the_same_pixels():
    """Turn points and camera together: nothing changes in the image."""
    angle = 0.7
    turn = torch.eye(4)
    turn[:2, :2] = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    points = torch.tensor([[[10.0, -1.0, 0.5], [7.0, 2.0, -1.0]]])
    pose = camera_at(1.0, 0.2, 1.5)
    before, _ = reproject(points, rays(K), rays(pose))
    after, _ = reproject(points @ turn[:3, :3].T, rays(K), rays(turn @ pose))
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: reproject(
                torch.zeros(4, 2, 3), K.expand(3, 3, 3), torch.eye(4).expand(4, 4, 4)
            ),
            r"K: expected \(4, 3, 3\), got \(3, 3, 3\)",
        ),
        (
            lambda: displace(torch.zeros(4, 2, 3), torch.zeros(4, 2, 3), torch.zeros(4)),
            r"flow_m: expected \(4, 2, 2\), got \(4, 2, 3\)",
        ),
        (
            lambda: sample_images(torch.zeros(2, 9, 9), torch.zeros(4).long(), torch.zeros(4, 2)),
            r"images: expected \(N, C, H, W\), got \(2, 9, 9\)",
        ),
        (
            lambda: sample_images(
                torch.zeros(2, 3, 9, 9), torch.zeros(4).long(), torch.zeros(5, 2)
            ),
            r"pixels: expected \(4, 2\), got \(5, 2\)",
        ),
    ],
)
def test_wrong_shapes_say_expected_and_got(call, message):
    with pytest.raises(ValueError, match=message):
        call()
