"""Equations 3 to 6: soft split and composition, both attentions, and how they are joined."""

import pytest
import torch
from torch.nn import functional

from occflow_ros.models.refine.dual_flow import DualFlowBlock, DualFlowTransformer
from occflow_ros.models.refine.focal_attention import FocalAttention
from occflow_ros.models.refine.patches import (
    SoftComposition,
    SoftSplit,
    compose_patches,
    split_patches,
)
from occflow_ros.models.refine.pillar_attention import PillarAttention

BATCH, TIMES, ROWS, COLUMNS, CHANNELS, HEADS = 2, 3, 5, 4, 12, 2


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tokens(seed=0, shape=(BATCH, TIMES, ROWS, COLUMNS, CHANNELS)):
    return random(*shape, seed=seed)


def projected(shape=(BATCH, TIMES, ROWS, COLUMNS, CHANNELS)):
    return [tokens(seed, shape) for seed in (1, 2, 3)]


def dense(query, key, value, heads=HEADS):
    """Plain attention of all tokens to all tokens, whatever their frame."""
    split = (
        one.flatten(1, 3).unflatten(2, (heads, -1)).transpose(1, 2) for one in (query, key, value)
    )
    seen = functional.scaled_dot_product_attention(*split)  # (B, heads, T · H · W, C / heads)
    return seen.transpose(1, 2).flatten(2).unflatten(1, query.shape[1:4])


@pytest.mark.parametrize(("patch", "stride"), [(7, 3), (5, 2), (3, 2), (3, 1), (1, 1)])
@pytest.mark.parametrize("shape_hw", [(16, 16), (25, 13), (4, 5)])
def test_composition_is_the_inverse_of_the_split(patch, stride, shape_hw):
    features = random(2, 3, *shape_hw)
    patches = split_patches(features, patch, stride)
    torch.testing.assert_close(compose_patches(patches, patch, stride, shape_hw), features)


def test_patches_overlap_and_are_averaged_by_hand():
    patches = split_patches(torch.tensor([1.0, 2.0, 4.0]).view(1, 1, 1, 3), 3, 2)
    assert patches[0, 0, :, 3:6].tolist() == [[0.0, 1.0, 2.0], [2.0, 4.0, 0.0]]  # middle rows
    patches[0, 0, 1, 3] = 6.0  # what the second patch says of the cell that both have
    assert compose_patches(patches, 3, 2, (1, 3)).flatten().tolist() == [1.0, 4.0, 4.0]


def test_tokens_of_refine_kitti():
    assert split_patches(torch.zeros(1, 80, 16, 16), 7, 3).shape == (1, 6, 6, 80 * 49)


@pytest.mark.parametrize(("window", "margin"), [(5, 0), (7, 2), (3, 3), (2, 4), (5, 1)])
def test_focal_attention_is_plain_where_it_sees_everything_finely(window, margin):
    """Where several windows see all, their means are no news only if they are left out."""
    single = window >= max(ROWS, COLUMNS)
    query, key, value = projected()
    seen = FocalAttention(HEADS, window, margin)(query, key, value)
    same = torch.allclose(seen, dense(query, key, value), atol=1e-5)
    assert same == single


def test_focal_attention_by_hand():
    """Two windows of two tokens in two frames: own tokens finely, the other two as their mean."""
    shape = (1, 2, 1, 4, 6)
    query, key, value = projected(shape)
    seen = FocalAttention(1, 2, 0)(query[:, :, :1], key[:, :, :1], value[:, :, :1])

    def surroundings(one, own, other):
        return torch.cat((one[0, :, 0, own].flatten(0, 1), one[0, :, 0, other].mean(dim=1)))

    left, right = slice(0, 2), slice(2, 4)
    for own, other in ((left, right), (right, left)):
        keys, values = (surroundings(one, own, other) for one in (key, value))
        weight = (query[0, :, 0, own].flatten(0, 1) @ keys.T / 6**0.5).softmax(dim=-1)
        torch.testing.assert_close(seen[0, :, 0, own].flatten(0, 1), weight @ values)


def test_the_margin_is_seen_finely_too():
    """A window of one token with a margin of one: its neighbours, and the means of all others."""
    shape = (1, 1, 1, 3, 6)
    query, key, value = projected(shape)
    seen = FocalAttention(1, 1, 1)(query, key, value)
    order = [0, 1, 2, 0, 2]  # all three finely, the outer two once more as windows
    keys, values = key[0, 0, 0, order], value[0, 0, 0, order]
    expected = (query[0, 0, 0, 1] @ keys.T / 6**0.5).softmax(dim=-1) @ values
    torch.testing.assert_close(seen[0, 0, 0, 1], expected)


def test_what_pads_the_windows_is_not_seen():
    """Equal values come out as they are; zeros from outside would make them smaller."""
    query, key, _ = projected()
    seen = FocalAttention(HEADS, 3, 1)(query, key, torch.ones_like(key))
    torch.testing.assert_close(seen, torch.ones_like(key))


@pytest.mark.parametrize("attention", [FocalAttention(HEADS, 2, 1), PillarAttention(3)])
def test_frames_are_a_set(attention):
    """No frame is earlier: another order of the frames gives the same in that order."""
    order = [2, 0, 1]
    seen = attention(*projected())
    torch.testing.assert_close(attention(*(one[:, order] for one in projected())), seen[:, order])


@pytest.mark.parametrize("later", [0, 2])
@pytest.mark.parametrize("attention", [FocalAttention(HEADS, 2, 0), PillarAttention(3)])
def test_every_frame_is_heard_by_every_other(attention, later):
    query, key, value = projected()
    changed = value.clone()
    changed[:, later] += 1.0
    differs = (attention(query, key, changed) - attention(query, key, value)).abs().amax((0, 2, 3))
    assert (differs.amax(dim=-1) > 1e-3).all()


def test_pillar_attention_is_attention_over_heights_and_frames_of_one_place():
    slots = 3
    query, key, value = projected()
    seen = PillarAttention(slots)(query, key, value)
    row, column = 3, 1

    def pillar(one):  # (B, T · slots, C / slots)
        return one[:, :, row, column].unflatten(2, (slots, -1)).flatten(1, 2)

    expected = functional.scaled_dot_product_attention(pillar(query), pillar(key), pillar(value))
    got = seen[:, :, row, column].unflatten(2, (slots, -1)).flatten(1, 2)
    torch.testing.assert_close(got, expected)


def test_pillars_do_not_see_their_neighbours():
    query, key, value = projected()
    changed = value.clone()
    changed[:, :, 0, 0] += 1.0
    differs = PillarAttention(3)(query, key, changed) != PillarAttention(3)(query, key, value)
    assert differs[:, :, 0, 0].all() and not differs[:, :, 1:].any()


def block(seed=0):
    torch.manual_seed(seed)
    return DualFlowBlock(CHANNELS, FocalAttention(HEADS, 2, 1), PillarAttention(3), 16)


def test_a_block_is_equations_4_to_6_and_an_ffn():
    one, given = block(), tokens()
    for linear in (one.from_bev, one.from_pillar):
        torch.nn.init.normal_(linear.weight, std=0.3)
    query, key, value = one.qkv(one.norm(given)).chunk(3, dim=-1)
    along_bev = FocalAttention(HEADS, 2, 1)(query, key, value) + given
    along_pillar = PillarAttention(3)(query, key, value)
    joined = one.from_pillar(along_pillar) + one.from_bev(along_bev)
    torch.testing.assert_close(one(given), joined + one.ffn(one.ffn_norm(joined)))


def test_tokens_pass_a_new_block():
    one = block()
    for linear in (one.from_pillar, one.ffn[-1]):
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    given = tokens()
    query, key, value = one.qkv(one.norm(given)).chunk(3, dim=-1)
    torch.testing.assert_close(one(given), given + one.bev(query, key, value))


@pytest.mark.parametrize("shape_hw", [(5, 4), (6, 9)])
def test_the_transformer_adds_what_it_finds_to_features_of_any_size(shape_hw):
    split, compose = SoftSplit(4, CHANNELS, 3, 2), SoftComposition(4, CHANNELS, 3, 2)
    features = random(1, 2, 4, *shape_hw)
    transformer = DualFlowTransformer(split, [block()], compose)
    torch.testing.assert_close(transformer(features), features)  # nothing is learned yet
    torch.nn.init.normal_(compose.linear.weight)
    found = compose(transformer.blocks[0](split(features)), shape_hw)
    torch.testing.assert_close(transformer(features), features + found)
