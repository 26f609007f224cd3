"""Completion, conditioning and cross-view attention, each against what its equation says."""

import math

import pytest
import torch
from tiny_mono import base_T_camera, tiny_mono

from occflow_ros.models.camera_view import see
from occflow_ros.models.mono.completion import Completion, VolumeSelfAttention
from occflow_ros.models.mono.cross_view import CrossViewTransformer
from occflow_ros.models.mono.encoding import CellEncoding, image_encoding
from occflow_ros.models.mono.lifting import CrossLayer
from occflow_ros.models.mono.merge import merge_cameras
from occflow_ros.models.mono.proposals import Queries
from occflow_ros.models.mono.views import CameraViews
from occflow_ros.structures import VoxelGrid

SHAPE = (6, 6, 2)
CELLS = 72
K = torch.tensor([[32.0, 0.0, 31.5], [0.0, 32.0, 15.5], [0.0, 0.0, 1.0]])


def cameras(*poses, times=1):
    count = len(poses)
    return CameraViews(
        images=torch.zeros(count, times, 3, 32, 64, dtype=torch.uint8),
        K=K.expand(count, times, 3, 3),
        base_T_camera=torch.stack(poses).unsqueeze(1).expand(count, times, 4, 4),
        present=torch.ones(count, times, dtype=torch.bool),
    )


def test_proposed_cells_hold_their_features_and_all_others_the_mask_token():
    completion = Completion([], channels=3)
    lifted = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    queries = Queries(torch.tensor([[2, 0]]), torch.tensor([[True, False]]))
    filled = completion.fill(lifted, queries, torch.zeros(1, 4, 3))[0]
    assert filled[2].tolist() == [1.0, 2.0, 3.0]
    for cell in (0, 1, 3):  # the list of queries ended before cell 0
        torch.testing.assert_close(filled[cell], completion.mask_token)


def self_attention(ahead_cells, left_cells):
    """One head and sample that looks at a fixed offset, and passes on what it finds."""
    attention = VolumeSelfAttention(SHAPE, channels=1, heads=1, points=1)
    with torch.no_grad():
        for module in (attention.sampling.offsets, attention.sampling.logits):
            module.weight.zero_()
        attention.sampling.offsets.bias.copy_(torch.tensor([ahead_cells, left_cells, 0.0]))
        for module in (attention.value, attention.output):
            module.weight.fill_(1.0)
            module.bias.zero_()
    return attention


@pytest.mark.parametrize(
    ("heading", "expected"),
    [(0.0, (3, 3)), (math.pi / 2, (1, 3)), (math.pi, (1, 1)), (-math.pi / 2, (3, 1))],
)
def test_offsets_are_ahead_and_left_of_the_camera_whatever_its_heading(heading, expected):
    tokens = torch.zeros(1, *SHAPE, 1)
    tokens[0, expected[0], expected[1], 1, 0] = 1.0
    tokens = tokens.flatten(1, 3)
    seen = self_attention(1.0, 1.0)(tokens, tokens, torch.tensor([heading]))
    found = seen.detach().view(SHAPE)
    assert found[2, 2, 1].item() == pytest.approx(1.0, abs=1e-5)
    assert found.sum().item() == pytest.approx(1.0, abs=1e-4)


def test_cells_have_the_same_position_in_a_turned_rig_and_a_lowered_grid():
    torch.manual_seed(0)
    grid = VoxelGrid((-3.0, -3.0, 0.0), (3.0, 3.0, 2.0), SHAPE)
    encoding = CellEncoding(grid, channels=5)
    ahead, left = encoding(
        cameras(base_T_camera(0.0, 1.0, 0.0), base_T_camera(math.pi / 2, 0.0, 1.0))
    ).unflatten(1, SHAPE)
    turned = ahead.rot90(1, (0, 1))  # a quarter turn of the ego counter-clockwise
    torch.testing.assert_close(left, turned)
    lowered = VoxelGrid((-3.0, -3.0, -1.7), (3.0, 3.0, 0.3), SHAPE)
    below = CellEncoding(lowered, channels=5)
    below.load_state_dict(encoding.state_dict())
    view = cameras(base_T_camera(0.3))
    torch.testing.assert_close(below(view), encoding(view))


def test_features_of_several_images_are_averaged_over_those_that_see_the_query():
    """Equation 2: with the other image blank, the mean of two is half of the one."""
    torch.manual_seed(0)
    layer = CrossLayer(channels=4, heads=1, levels=1, points=1, ffn_channels=4)
    with torch.no_grad():
        layer.image.output.bias.zero_()
        layer.value.bias.zero_()
    features = torch.rand(2, 4, 8, 16)
    features[1] = 0.0
    point_m = torch.tensor([4.0, 0.0, 1.0]).expand(1, 1, 1, 3)
    query = torch.zeros(1, 1, 4)

    def answer(times):
        view = cameras(base_T_camera(0.0), times=times)
        seen = see(point_m, view.K, view.base_T_camera, view.present, (32, 64))
        maps = [layer.value(features[:times]).permute(0, 2, 3, 1).unflatten(3, (1, -1))]
        return layer.image(query, maps, seen)

    torch.testing.assert_close(answer(2), answer(1) / 2)


def test_conditioning_changes_only_what_the_image_sees():
    """Equation 6: without it the image has no say after the lifting."""
    torch.manual_seed(0)
    layer = CrossLayer(channels=4, heads=1, levels=1, points=2, ffn_channels=4)
    view = cameras(base_T_camera(0.0))
    points_m = torch.tensor([[4.0, 0.0, 1.0], [-4.0, 0.0, 1.0]]).unsqueeze(0)  # ahead, behind
    seen = see(points_m, view.K, view.base_T_camera, view.present, (32, 64))
    tokens, encoding = torch.rand(1, 2, 4), torch.zeros(1, 2, 4)
    first, second = (
        layer(tokens, encoding, [torch.rand(1, 4, 8, 16)], seen).detach() for _ in range(2)
    )
    assert not torch.allclose(first[0, 0], second[0, 0])
    torch.testing.assert_close(first[0, 1], second[0, 1])


def test_merged_cells_are_means_over_the_cameras_that_see_them():
    volumes = torch.tensor([1.0, 3.0, 8.0]).view(1, 3, 1, 1).expand(1, 3, 4, 1)
    seen = torch.tensor(
        [[True, True, False, False], [False, True, False, False], [False, True, True, False]]
    )[None]
    present = torch.tensor([[True, True, False]])
    merged = merge_cameras(volumes, seen, present).squeeze()
    assert merged.tolist() == [1.0, 2.0, 2.0, 2.0]  # an absent camera sees nothing


def test_one_camera_stays_as_it_is():
    volumes = torch.rand(1, 1, 5, 2)
    seen = torch.tensor([[[True, False, True, False, False]]])
    torch.testing.assert_close(merge_cameras(volumes, seen, torch.tensor([[True]])), volumes[:, 0])


def cross_view():
    torch.manual_seed(0)
    return CrossViewTransformer(channels=8, heads=2, levels=1, ffn_channels=8).eval()


def test_frames_hear_of_their_neighbours_at_the_coarse_levels_only():
    transformer = cross_view()
    fine, coarse = torch.rand(3, 8, 4, 4), torch.rand(3, 8, 2, 2)
    changed = coarse.clone()
    changed[2] += 1.0  # the oldest
    before, after = (transformer([fine, level], times=3) for level in (coarse, changed))
    torch.testing.assert_close(before[0], fine)
    assert not torch.allclose(before[1][0], after[1][0])  # through the one between


def test_equal_frames_stay_equal():
    level = torch.rand(1, 8, 2, 3).expand(2, 8, 2, 3)
    (found,) = cross_view()([level], times=2)
    torch.testing.assert_close(found[0], found[1])


def test_a_place_in_a_map_has_an_encoding_of_its_own():
    encoding = image_encoding(8, 3, 5, torch.device("cpu"))
    assert encoding.shape == (15, 8)
    assert torch.cdist(encoding, encoding).add(torch.eye(15)).min() > 0.1
    with pytest.raises(ValueError, match="multiple of 4, got 6"):
        image_encoding(6, 3, 5, torch.device("cpu"))


def test_the_head_gives_each_child_of_a_cell_its_own_classes():
    head = tiny_mono().head
    torch.manual_seed(0)
    volume = torch.rand(1, 8, 3, 2, 1)
    logits = head(volume).detach()
    assert logits.shape == (1, 3, 6, 4, 2)
    torch.testing.assert_close(logits[:, :, 0, 0, 0], logits[:, :, 1, 1, 1])  # alike at the start
    with torch.no_grad():
        head.project.weight[0, :, 1, 0, 0] += 1.0
    changed = head(volume).detach()
    torch.testing.assert_close(changed[:, :, 0, 0, 0], changed[:, :, 1, 1, 1])
    assert not torch.allclose(changed[:, :, 0, 0, 0], changed[:, :, 1, 0, 0])
