"""The two rivals of Table 4 do what their names say."""

import pytest
import torch
from test_temporal import CHANNELS, SHAPE, shifts, volume
from tiny_network import tiny_config

from occflow_ros.models.build import build_network
from occflow_ros.models.temporal import BevSlices


def rival(fusion):
    model = tiny_config().model
    temporal = model.temporal.model_copy(update={"fusion": fusion})
    return build_network(model.model_copy(update={"temporal": temporal})).temporal


@pytest.mark.parametrize("fusion", ["concat_conv", "bev_forward"])
def test_history_is_aligned_and_counts(fusion):
    """A past volume that was moved with its pose gives the same, out of reach of the new edge."""
    module = rival(fusion)
    past = torch.zeros_like(volume(1))
    past[:, :, 3:5] = volume(1)[:, :, 3:5]
    moved = past.roll(-2, dims=2)  # the ego was 4 m, two voxels, further on
    fused = module(volume(0), [past], shifts(0.0))
    again = module(volume(0), [moved], shifts(-4.0))
    torch.testing.assert_close(again[:, :, 4:], fused[:, :, 4:])
    assert (fused - module(volume(0), [], shifts())).abs().max() > 1e-3


def test_concatenation_is_one_convolution_over_all_frames():
    module = rival("concat_conv")
    volumes = [volume(seed) for seed in range(3)]
    expected = module.block(torch.cat(volumes, dim=1))
    torch.testing.assert_close(module(volumes[0], volumes[1:], shifts(0.0, 0.0)), expected)
    alone = module.block(torch.cat((volumes[0], *[torch.zeros_like(volumes[0])] * 2), dim=1))
    torch.testing.assert_close(module(volumes[0], [], shifts()), alone)


def test_concatenation_refuses_more_frames_than_it_was_made_for():
    with pytest.raises(ValueError, match="history: expected at most 2 volumes, got 3"):
        rival("concat_conv")(volume(0), [volume(1)] * 3, shifts(0.0, 0.0, 0.0))


def test_bev_pooling_adds_the_attended_mean_to_every_height():
    module = rival("bev_forward")

    def mean_tokens(seed):
        return volume(seed).mean(dim=-1).flatten(2).transpose(1, 2)  # (B, X · Y, C)

    seen = torch.ones(1, 48, 1, dtype=torch.bool)
    b0, b1, b2 = (mean_tokens(seed) for seed in range(3))
    b1 = b1 + 0.5 * module.attention(BevSlices(b1, seen), BevSlices(b2, seen))
    b0 = b0 + 0.5 * module.attention(BevSlices(b0, seen), BevSlices(b1, seen))
    expected = volume(0) + b0.transpose(1, 2).reshape(1, CHANNELS, *SHAPE[:2], 1)
    fused = module(volume(0), [volume(1), volume(2)], shifts(0.0, 0.0))
    torch.testing.assert_close(fused, expected)


def test_bev_pooling_with_beta_zero_ignores_history():
    module = rival("bev_forward")
    torch.nn.init.zeros_(module.beta)
    fused = module(volume(0), [volume(1)], shifts(0.0))
    assert torch.equal(fused, module(volume(0), [], shifts()))
