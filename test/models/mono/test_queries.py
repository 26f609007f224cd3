"""Depth to voxels to queries, with places and numbers worked out by hand."""

import math

import pytest
import torch
from tiny_mono import base_T_camera, views

from occflow_ros.models.mono.proposals import ProposalNetwork, Queries, select, voxelize
from occflow_ros.models.mono.views import CameraViews
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((0.0, -4.0, -1.0), (8.0, 4.0, 3.0), (8, 8, 4))


def camera(yaw=0.0, present=True):
    """One pixel wide in depth, looking level from 1 m above the origin."""
    K = torch.tensor([[32.0, 0.0, 31.5], [0.0, 32.0, 15.5], [0.0, 0.0, 1.0]])
    return CameraViews(
        images=torch.zeros(1, 1, 3, 32, 64, dtype=torch.uint8),
        K=K.expand(1, 1, 3, 3),
        base_T_camera=base_T_camera(yaw).expand(1, 1, 4, 4),
        present=torch.tensor([[present]]),
    )


def filled(volume):
    return [tuple(index) for index in volume[0].nonzero().tolist()]


def test_one_pixel_fills_the_voxel_that_it_sees():
    depth_m = torch.full((1, 1, 1), 5.5)  # the one cell's centre is the middle of the image
    assert filled(voxelize(depth_m, camera(), GRID)) == [(5, 4, 2)]


def test_left_of_the_image_is_left_of_the_ego():
    depth_m = torch.tensor([[[4.0, 0.0]]])  # centre of the left half: 16 px left of the middle
    assert filled(voxelize(depth_m, camera(), GRID)) == [(4, 6, 2)]  # 4 m ahead, 2 m to the left


def test_a_camera_that_looks_to_the_left_fills_the_left():
    depth_m = torch.full((1, 1, 1), 2.5)
    assert filled(voxelize(depth_m, camera(math.pi / 2), GRID)) == [(0, 6, 2)]


@pytest.mark.parametrize("unknown", [0.0, -1.0, math.nan, math.inf, 0.05])
def test_unknown_depth_fills_nothing(unknown):
    depth_m = torch.full((1, 2, 2), unknown)
    assert filled(voxelize(depth_m, camera(), GRID)) == []


def test_an_absent_camera_and_what_lies_outside_fill_nothing():
    assert filled(voxelize(torch.full((1, 1, 1), 5.5), camera(present=False), GRID)) == []
    assert filled(voxelize(torch.full((1, 1, 1), 80.0), camera(), GRID)) == []


def test_those_above_the_threshold_are_taken_the_most_probable_first():
    logits = torch.full((2, 2, 1, 2), -5.0)
    logits[0, 0, 0, 1], logits[0, 1, 0, 0], logits[1, 1, 0, 1] = 1.0, 3.0, 2.0
    queries = select(logits, threshold=0.5, max_queries=10)
    assert queries.cell[0].tolist() == [2, 1]
    assert queries.valid.tolist() == [[True, True], [True, False]]
    assert queries.cell[1, 0].item() == 3


def test_at_most_so_many_are_taken_and_none_is_no_error():
    logits = torch.arange(8.0).view(1, 2, 2, 2)
    assert select(logits, 0.5, max_queries=3).cell.tolist() == [[7, 6, 5]]
    assert not select(logits - 100.0, 0.5, max_queries=3).valid.any()


def test_gathering_takes_each_camera_s_own_cells():
    queries = Queries(torch.tensor([[2, 0], [1, 1]]), torch.ones(2, 2, dtype=torch.bool))
    shared = torch.arange(3.0).unsqueeze(1)  # (Q, 1)
    own = torch.stack((shared, shared + 10.0))
    assert queries.gather(shared).squeeze(-1).tolist() == [[2.0, 0.0], [1.0, 1.0]]
    assert queries.gather(own).squeeze(-1).tolist() == [[2.0, 0.0], [11.0, 11.0]]


@pytest.mark.parametrize("shape", [(8, 8, 4), (100, 100, 8), (20, 12, 2)])
def test_the_correcting_network_halves_the_resolution_of_any_grid(shape):
    x, y, z = shape
    network = ProposalNetwork(VoxelGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), shape), channels=4)
    assert network(torch.zeros(2, *shape)).shape == (2, x // 2, y // 2, z // 2)


def test_the_correcting_network_can_close_a_hole():
    """It learns that the middle of a filled ring is filled too."""
    torch.manual_seed(0)
    network = ProposalNetwork(GRID, channels=8)
    ring = torch.zeros(1, *GRID.shape)
    ring[:, 2:6, 2:6] = 1.0
    target = torch.zeros(1, 4, 4, 2)
    target[:, 1:3, 1:3] = 1.0
    holed = ring.clone()
    holed[:, 2:4, 2:4] = 0.0
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        logits = network(holed)
        torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
        optimizer.step()
    assert ((network(holed) > 0) == target.bool()).all()


def test_views_that_do_not_belong_together_are_named():
    whole = views(times=2)
    with pytest.raises(ValueError, match=r"K: expected \(B, 2, 1, …\)"):
        type(whole)(whole.images, whole.K[:, :1], whole.current_T_camera, whole.present)
    with pytest.raises(ValueError, match="positive focal lengths"):
        type(whole)(whole.images, -whole.K, whole.current_T_camera, whole.present)
