"""Algorithm 1 line by line, and the invariants of fusion."""

from dataclasses import replace

import pytest
import torch
from tiny_network import tiny_config

from occflow_ros.models.build import build_network
from occflow_ros.models.temporal import BevSlices, slices_to_volume, volume_to_slices
from occflow_ros.ops.voxel_warp import voxel_warp

SHAPE = (8, 6, 2)
CHANNELS = 16


@pytest.fixture
def fusion():
    return build_network(tiny_config().model).temporal


def volume(seed, batch=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, CHANNELS, *SHAPE, generator=generator)


def shifts(*x_m, batch=1):
    poses = torch.eye(4, dtype=torch.float64).repeat(batch, len(x_m), 1, 1)
    poses[:, :, 0, 3] = torch.tensor(x_m, dtype=torch.float64)
    return poses


def everywhere(value):
    return torch.ones_like(value[:, :1], dtype=torch.bool)


def test_slices_and_back():
    value = volume(0, batch=2)
    slices = volume_to_slices(value, everywhere(value))
    assert slices.tokens.shape == (2 * 3, 48, CHANNELS)
    back, mean = slices_to_volume(slices.tokens, SHAPE)
    assert torch.equal(back, value)
    torch.testing.assert_close(mean, value.mean(dim=-1, keepdim=True))


def test_mean_slice_is_over_seen_voxels():
    seen = everywhere(volume(0)).clone()
    seen[0, 0, 3, 2, 1] = False
    slices = volume_to_slices(volume(0) * seen, seen)
    mean = slices_to_volume(slices.tokens, SHAPE)[1]
    torch.testing.assert_close(mean[0, :, 3, 2, 0], volume(0)[0, :, 3, 2, 0])


def test_beta_zero_makes_the_attention_the_identity(fusion):
    torch.nn.init.zeros_(fusion.attention.beta)
    alone = fusion(volume(0), [], shifts())
    assert torch.equal(fusion(volume(0), [volume(1), volume(2)], shifts(1.0, 2.0)), alone)


def test_without_history_only_the_mean_slice_is_fused(fusion):
    """Equation 6 by hand."""
    value = volume(0)
    gate = torch.sigmoid(
        torch.einsum("oc,bcxyz->boxyz", fusion.gate.weight[:, :, 0, 0, 0], value)
        + fusion.gate.bias.view(1, -1, 1, 1, 1)
    )
    expected = value + gate * value.mean(dim=-1, keepdim=True)
    torch.testing.assert_close(fusion(value, [], shifts()), expected)


def test_lines_7_to_12_of_the_algorithm(fusion):
    bfam = fusion.attention
    b0, b1, b2 = (volume_to_slices(volume(seed), everywhere(volume(seed))) for seed in range(3))

    def plus(slices, gain):
        return replace(slices, tokens=slices.tokens + 0.5 * gain)

    b1 = plus(b1, bfam.backward_attention(b1, b0))
    b2 = plus(b2, bfam.backward_attention(b2, b1))
    forward_1 = plus(b1, bfam.forward_attention(b1, b2))
    expected = plus(b0, bfam.forward_attention(b0, forward_1))
    start = [volume_to_slices(volume(seed), everywhere(volume(seed))) for seed in range(3)]
    torch.testing.assert_close(bfam(start).tokens, expected.tokens)


@pytest.mark.parametrize("length", [0, 1, 2, 5])
def test_any_history_length(fusion, length):
    history = [volume(seed + 1) for seed in range(length)]
    fused = fusion(volume(0), history, shifts(*[1.3] * length))
    assert fused.shape == volume(0).shape
    assert fused.isfinite().all()


def test_history_changes_the_answer_and_order_matters(fusion):
    history = [volume(1), volume(2)]
    fused = fusion(volume(0), history, shifts(0.0, 0.0))
    assert (fused - fusion(volume(0), [], shifts())).abs().max() > 1e-3
    assert (fused - fusion(volume(0), history[::-1], shifts(0.0, 0.0))).abs().max() > 1e-4


def test_history_out_of_sight_contributes_nothing(fusion):
    """Whatever is stored beyond the current grid, the answer is the same."""
    far = shifts(500.0)
    torch.testing.assert_close(
        fusion(volume(0), [volume(1)], far), fusion(volume(0), [100 * volume(2)], far)
    )
    nearly_out = shifts(4.0)  # the current grid covers indices 2 to 7 of the past one
    hidden = volume(1).clone()
    hidden[:, :, :2] = 1e6
    torch.testing.assert_close(
        fusion(volume(0), [hidden], nearly_out), fusion(volume(0), [volume(1)], nearly_out)
    )


def test_attention_is_renormalised_over_what_was_seen(fusion):
    """With constant values the answer is the same wherever anything was seen."""
    attention = fusion.attention.forward_attention
    tokens = torch.ones(3, 48, CHANNELS)
    all_seen = torch.ones(3, 48, 1, dtype=torch.bool)
    every_second = all_seen.clone()
    every_second[:, ::2] = False
    gained = attention(BevSlices(tokens, all_seen), BevSlices(tokens, every_second))
    inner = gained.unflatten(1, SHAPE[:2])[:, :, 1:5].flatten(0, 2)
    torch.testing.assert_close(inner, inner[:1].expand_as(inner), atol=1e-5, rtol=1e-5)


def test_with_nothing_seen_nothing_is_gained(fusion):
    nothing = BevSlices(torch.ones(3, 48, CHANNELS), torch.zeros(3, 48, 1, dtype=torch.bool))
    assert not fusion.attention.forward_attention(nothing, nothing).any()


def test_history_lines_up_after_a_whole_voxel_shift(fusion):
    """A past volume shifted by two voxels with its pose equals the unshifted one at rest."""
    past = volume(1)
    moved, seen = voxel_warp(past, shifts(-4.0)[:, 0], fusion.grid)
    moved = torch.where(seen, moved, torch.full_like(moved, 7.0))
    still, still_seen = voxel_warp(moved, shifts(4.0)[:, 0], fusion.grid)
    assert torch.equal(still[:, :, :6], past[:, :, :6])
    assert still_seen[:, :, :6].all() and not still_seen[:, :, 6:].any()


def test_batch_of_two_is_two_batches_of_one(fusion):
    current, past = volume(0, batch=2), volume(1, batch=2)
    poses = shifts(1.0, batch=2)
    poses[1, 0, 1, 3] = -2.5
    both = fusion(current, [past], poses)
    for index in range(2):
        pick = slice(index, index + 1)
        alone = fusion(current[pick], [past[pick]], poses[pick])
        torch.testing.assert_close(both[pick], alone, atol=1e-5, rtol=0)
