"""Tri-perspective view: geometry of planes and cameras by hand, what each camera contributes."""

from dataclasses import replace

import pytest
import torch
from tiny_network import HW_PX, batch, frame, ring, tiny_config

from occflow_ros.models.build import build_network
from occflow_ros.models.camera_view import see
from occflow_ros.models.lifter import ImageCrossAttention
from occflow_ros.models.tpv import PLANES, line_points, other_planes, sum_planes, to_metres
from occflow_ros.structures import VoxelGrid


@pytest.fixture(scope="module")
def network():
    return build_network(tiny_config().model)


def lift(network, item):
    with torch.inference_mode():
        return network.lift(*batch(item))


def with_cameras(item, order):
    rig = item.rig
    return replace(
        item,
        images=item.images[order],
        rig=replace(
            rig,
            names=tuple(rig.names[i] for i in order),
            K=rig.K[order],
            base_T_camera=rig.base_T_camera[order],
            present=rig.present[order],
        ),
    )


def test_each_plane_attends_to_the_other_two():
    assert PLANES == ((0, 1), (2, 0), (1, 2))
    assert [other_planes(plane) for plane in PLANES] == [[1, 2], [0, 2], [0, 1]]


def test_points_lie_on_the_line_behind_the_cell():
    grid = VoxelGrid((0.0, 0.0, -1.0), (4.0, 6.0, 1.0), (4, 3, 2))
    line_m = to_metres(line_points((1, 2), grid.shape, points=2), grid)  # rows y, columns z
    assert line_m.shape == (2, 6, 3)
    assert line_m[:, 0].tolist() == [[1.0, 1.0, -0.5], [3.0, 1.0, -0.5]]
    assert line_m[1, 5].tolist() == [3.0, 5.0, 0.5]


def test_planes_are_repeated_along_their_missing_axis_and_summed():
    shape = (2, 3, 4)
    hw, zh, wz = torch.randn(1, 6, 5), torch.randn(1, 8, 5), torch.randn(1, 12, 5)
    volume = sum_planes((hw, zh, wz), shape)
    assert volume.shape == (1, 5, 2, 3, 4)
    expected = hw[0, 1 * 3 + 2] + zh[0, 3 * 2 + 1] + wz[0, 2 * 4 + 3]
    torch.testing.assert_close(volume[0, :, 1, 2, 3], expected)


def test_a_point_ahead_projects_to_the_principal_point_of_the_front_camera_only():
    rig = ring(4)
    ahead_m = torch.tensor([[[6.0, 0.0, 1.5]]])  # (P = 1, Q = 1, 3)
    view = see(ahead_m, rig.K[None], rig.base_T_camera[None], rig.present[None], HW_PX)
    assert view.hits.tolist() == [[1]]
    assert view.visible[0, :, 0, 0].tolist() == [True, False, False, False]
    assert view.location[0, 0, 0, 0].tolist() == pytest.approx([0.5, 0.5])


def test_a_point_behind_a_camera_is_not_seen():
    """Not even on the line through the centre of pixel (0, 0), which scaling leaves where it is."""
    rig = ring(1)
    ray = rig.base_T_camera[0, :3, :3] @ torch.linalg.inv(rig.K[0]) @ torch.tensor([0.0, 0.0, 1.0])
    points_m = rig.base_T_camera[0, :3, 3] + torch.tensor([[[6.0], [-6.0]]]) * ray  # (1, Q, 3)
    view = see(points_m, rig.K[None], rig.base_T_camera[None], rig.present[None], HW_PX)
    assert view.hits.tolist() == [[1, 0]]


def test_the_list_of_a_camera_names_the_queries_it_sees():
    rig = ring(4)
    points_m = torch.tensor([[[6.0, 0.0, 1.5], [0.0, 6.0, 1.5], [0.0, 0.0, 50.0], [5.0, 1.0, 1.5]]])
    view = see(points_m, rig.K[None], rig.base_T_camera[None], rig.present[None], HW_PX)
    assert view.hits.tolist() == [[1, 1, 0, 1]]
    assert view.query.shape == (1, 4, 2)
    assert view.query[0, 0].tolist() == [0, 3]
    assert view.query[0, 1, 0].item() == 1
    answers = torch.arange(8.0).view(4, 2, 1) * view.visible[0, :, :, 0, None]
    assert view.mean_over_cameras(answers)[0, :, 0].tolist() == [0.0, 2.0, 0.0, 1.0]


def test_a_query_gets_the_mean_of_the_cameras_that_see_it():
    """Both see +30°, only the front one −20°, none what is behind; equation 3's hits by hand.

    The second point on each line is behind both: what is not visible takes no part in the mean.
    """
    rig = ring(6)
    yaw_rad = torch.deg2rad(torch.tensor([30.0, -20.0, 180.0]))
    first = torch.stack((6 * yaw_rad.cos(), 6 * yaw_rad.sin(), torch.full((3,), 1.5)), dim=-1)
    points_m = torch.stack((first, torch.tensor([-6.0, 0.0, 1.5]).expand(3, 3)))  # (P, Q, 3)
    cameras = (rig.K[:2], rig.base_T_camera[:2], rig.present[:2])  # at 0° and 60°, 90° wide
    view = see(points_m, *(value[None] for value in cameras), HW_PX)
    assert view.hits.tolist() == [[2, 1, 0]]

    attention = ImageCrossAttention(channels=4, heads=2, levels=2, radii_cells=[0.5, 0.5])
    torch.nn.init.eye_(attention.output.weight)
    torch.nn.init.constant_(attention.output.bias, 0.5)
    says = torch.tensor([1.0, 5.0]).view(2, 1, 1, 1, 1)  # the same everywhere in a camera's maps
    maps = [says.expand(2, *size, 2, 2) for size in ((32, 64), (16, 32))]
    with torch.inference_mode():
        answers = attention(torch.randn(1, 3, 4), maps, view)  # (B, Q, C)
    expected = torch.tensor([(1.0 + 5.0) / 2 + 0.5, 1.0 + 0.5, 0.0])
    torch.testing.assert_close(answers[0], expected[:, None].expand(3, 4))


def test_with_no_camera_at_all_the_volume_is_what_the_queries_say(network):
    images, K, base_T_camera, present = batch(frame(0))
    nobody = torch.zeros_like(present)
    with torch.inference_mode():
        blind = network.lift(images, K, base_T_camera, nobody)
        assert torch.equal(network.lift(255 - images, K, base_T_camera, nobody), blind)
    assert blind.isfinite().all()


def test_what_a_camera_sees_changes_only_where_it_looks():
    """With one layer, a front camera's image cannot reach cells that no line of sight touches."""
    config = tiny_config().model
    one_layer = config.model_copy(update={"lifter": config.lifter.model_copy(update={"layers": 1})})
    network = build_network(one_layer)
    item = with_cameras(frame(0, cameras=4), [0])
    brighter = replace(item, images=255 - item.images)
    change = (lift(network, item) - lift(network, brighter)).abs().amax(dim=(0, 1, 4))  # (X, Y)
    assert change[7, 3] > 1e-4
    behind = change[0]
    assert behind.max() < change[7].max()
