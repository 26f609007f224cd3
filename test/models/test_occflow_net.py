"""The whole network: where it starts, what it takes, how it is made."""

import itertools

import pytest
import torch
from tiny_network import batch, frame, tiny_config

from occflow_ros import config
from occflow_ros.models.build import build_network
from occflow_ros.models.preprocess import ImageNormalizer


@pytest.fixture(scope="module")
def network():
    return build_network(tiny_config().model)


def history():
    generator = torch.Generator().manual_seed(9)
    volumes = [torch.randn(1, 16, 8, 6, 2, generator=generator) for _ in range(2)]
    poses = torch.eye(4, dtype=torch.float64).repeat(1, 2, 1, 1)
    poses[:, :, 0, 3] = 1.3
    return volumes, poses


def test_training_starts_from_the_ground_plane_and_rest(network):
    with torch.inference_mode():
        prediction = network(*batch(frame(0)), *history())
    height_m = torch.tensor([-0.5, 0.5, 1.5, 2.5]).expand(1, 16, 12, 4)
    assert prediction.sdf_m.shape == (1, 16, 12, 4)
    assert prediction.flow_m.shape == (1, 16, 12, 4, 2)
    torch.testing.assert_close(prediction.sdf_m, height_m, atol=0.1, rtol=0)
    assert prediction.flow_m.abs().max() < 0.1


def test_any_number_of_cameras_and_any_image_size(network):
    with torch.inference_mode():
        for cameras, hw_px in ((1, (32, 64)), (12, (32, 64)), (2, (64, 96))):
            prediction = network(*batch(frame(0, cameras, hw_px)), *history())
            assert prediction.sdf_m.isfinite().all()


def test_same_seed_same_weights_and_the_caller_s_chance_is_untouched():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = build_network(tiny_config().model).state_dict()
    assert torch.equal(torch.rand(1), expected)
    second = build_network(tiny_config().model).state_dict()
    other = build_network(tiny_config().model, seed=1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["lifter.queries.0"], other["lifter.queries.0"])


def test_untrained_weights_say_so(network):
    assert network.weights_source == "untrained (seed 0)"


def test_images_are_normalised_to_imagenet():
    images = torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1, 1).expand(1, 2, 3, 2, 2)
    normal = ImageNormalizer()(images)
    assert normal.shape == (2, 3, 2, 2)
    assert normal[0, 0, 0, 0].item() == pytest.approx(-0.485 / 0.229)
    assert normal[1, 2, 1, 1].item() == pytest.approx((1 - 0.406) / 0.225)


def test_nano_runs_one_six_camera_step_on_the_output_grid():
    model = config.preset("nano").model
    network = build_network(model)
    with torch.inference_mode():
        item = frame(0, cameras=6, hw_px=model.image_hw_px)
        prediction = network(*batch(item), [], torch.zeros(1, 0, 4, 4, dtype=torch.float64))
    assert tuple(prediction.sdf_m.shape[1:]) == model.grid.shape


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"channels": 15}, "channels: expected a multiple of lifter.heads = 4, got 15"),
        ({"grid": {"shape": (100, 100, 7)}}, "grid.shape: expected even numbers"),
        ({"image_hw_px": (128, 350)}, r"image_hw_px: expected multiples of 32, got \(128, 350\)"),
    ],
)
def test_sizes_that_do_not_fit_are_named(update, message):
    with pytest.raises(config.ConfigError, match=message):
        config.parse({"model": update})


def test_training_starts_without_a_checkerboard():
    """The eight voxels in each cell of the coarse volume have the same features."""
    refiner = build_network(config.preset("nano").model).refiner
    volume = torch.randn(1, 48, 4, 4, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        fine = refiner(volume)
    first = fine[..., ::2, ::2, ::2]
    assert first.std() > 0
    for corner in itertools.product((0, 1), repeat=3):
        x, y, z = (slice(start, None, 2) for start in corner)
        torch.testing.assert_close(fine[..., x, y, z], first)
