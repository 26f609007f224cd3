"""Grid arithmetic and the values that cross stages, against hand-computed numbers."""

from dataclasses import replace

import pytest
import torch

from occflow_ros.structures import CameraRig, Clip, Frame, OccupancyFlow, VoxelGrid

GRID = VoxelGrid((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4), (200, 200, 16))


def test_voxel_size_is_range_over_shape():
    assert GRID.voxel_size_m == pytest.approx((0.4, 0.4, 0.4))


def test_centre_of_the_first_and_last_voxel():
    centers_m = GRID.centers_m()
    assert centers_m.shape == (200, 200, 16, 3)
    assert centers_m[0, 0, 0].tolist() == pytest.approx([-39.8, -39.8, -0.8])
    assert centers_m[-1, -1, -1].tolist() == pytest.approx([39.8, 39.8, 5.2], abs=1e-5)


@pytest.mark.parametrize(
    ("point_m", "index", "inside"),
    [
        ((-39.99, -40.0, -1.0), (0, 0, 0), True),
        ((0.39, 0.41, -0.61), (100, 101, 0), True),
        ((40.0, 0.0, 0.0), (199, 100, 2), False),
        ((-40.01, 0.0, 0.0), (0, 100, 2), False),
    ],
)
def test_index_names_the_containing_voxel(point_m, index, inside):
    found, is_inside = GRID.index_of(torch.tensor(point_m, dtype=torch.float64))
    assert tuple(found.tolist()) == index
    assert bool(is_inside) is inside


def test_every_centre_lies_in_its_own_voxel():
    grid = VoxelGrid((0.0, -3.0, -2.0), (7.0, 3.0, 1.0), (7, 4, 5))
    index, inside = grid.index_of(grid.centers_m())
    assert inside.all()
    assert torch.equal(index.flatten(0, 2), grid.unflatten_index(torch.arange(grid.num_voxels)))


def test_continuous_index_is_whole_at_centres():
    index = GRID.continuous_index(GRID.centers_m()[3, 5, 7].double())
    assert index.tolist() == pytest.approx([3.0, 5.0, 7.0], abs=1e-4)


def test_flat_index_is_row_major():
    flat = torch.tensor([0, (1 * 200 + 2) * 16 + 3, GRID.num_voxels - 1])
    assert GRID.unflatten_index(flat).tolist() == [[0, 0, 0], [1, 2, 3], [199, 199, 15]]
    centers_m = [[-39.8, -39.8, -0.8], [-39.4, -39.0, 0.4], [39.8, 39.8, 5.2]]
    assert torch.allclose(GRID.centers_of(flat), torch.tensor(centers_m, dtype=torch.double))


def test_coarsening_keeps_the_box():
    coarse = GRID.coarsen(2)
    assert coarse.shape == (100, 100, 8)
    assert (coarse.lower_m, coarse.upper_m) == (GRID.lower_m, GRID.upper_m)
    with pytest.raises(ValueError, match="divisible by 3"):
        GRID.coarsen(3)


@pytest.mark.parametrize(
    "arguments",
    [
        ((0.0, 0.0, 0.0), (1.0, 1.0, 0.0), (1, 1, 1)),
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1, 0, 1)),
        ((0.0, 0.0), (1.0, 1.0, 1.0), (1, 1, 1)),
    ],
)
def test_impossible_grids_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        VoxelGrid(*arguments)


def occupancy_flow() -> OccupancyFlow:
    grid = VoxelGrid((0.0, 0.0, 0.0), (2.0, 1.0, 1.0), (2, 1, 1))
    return OccupancyFlow(
        stamp_ns=5,
        grid=grid,
        sdf_m=torch.tensor([0.3, -0.2]).reshape(2, 1, 1),
        flow_m=torch.tensor([[9.0, 9.0], [1.0, -0.5]]).reshape(2, 1, 1, 2),
        interval_s=0.5,
        sharpness_per_m=10.0,
        level_m=0.1,
    )


def test_probability_and_occupied_follow_the_signed_distance():
    prediction = occupancy_flow()
    assert prediction.occupied.flatten().tolist() == [False, True]
    expected = [1 / (1 + 2.718281828**3), 1 / (1 + 2.718281828**-2)]
    assert prediction.probability.flatten().tolist() == pytest.approx(expected, rel=1e-5)


def test_sparse_voxels_carry_velocity_in_metres_per_second():
    voxels = occupancy_flow().sparse()
    assert voxels.index.tolist() == [1]
    assert voxels.velocity_mps.tolist() == [[2.0, -1.0]]
    assert torch.equal(voxels.probability, occupancy_flow().probability.flatten()[1:])


def test_volumes_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"flow_m: expected shape \(2, 1, 1, 2\), got \(2, 1, 1\)"):
        OccupancyFlow(
            0, occupancy_flow().grid, torch.zeros(2, 1, 1), torch.zeros(2, 1, 1), 0.5, 10.0, 0.1
        )


def test_classes_go_with_the_voxels_they_belong_to():
    class_id = torch.tensor([3, 1], dtype=torch.uint8).reshape(2, 1, 1)
    named = replace(occupancy_flow(), class_id=class_id, class_names=("a", "b", "c", "d"))
    assert named.sparse().class_id.tolist() == [1]
    assert occupancy_flow().sparse().class_id is None


@pytest.mark.parametrize(
    ("changes", "mention"),
    [
        ({"class_names": ("a",)}, "class_names: expected them beside class_id, and only there"),
        ({"class_id": torch.zeros(2, 1, 1, dtype=torch.uint8)}, "class_names: expected them"),
        (
            {"class_id": torch.zeros(2, 1, 1), "class_names": ("a",)},
            r"class_id: expected shape \(2, 1, 1\) of torch.uint8, got \(2, 1, 1\) of .*float32",
        ),
        (
            {"class_id": torch.zeros(2, 1, dtype=torch.uint8), "class_names": ("a",)},
            r"class_id: expected .* got \(2, 1\) of torch.uint8",
        ),
    ],
)
def test_classes_without_names_or_of_another_shape_are_refused(changes, mention):
    with pytest.raises(ValueError, match=mention):
        replace(occupancy_flow(), **changes)


def frame(stamp_ns: int) -> Frame:
    rig = CameraRig(
        ("a", "b"),
        torch.eye(3).expand(2, 3, 3),
        torch.eye(4).expand(2, 4, 4),
        torch.ones(2, dtype=torch.bool),
    )
    images = torch.zeros(2, 3, 4, 6, dtype=torch.uint8)
    return Frame(stamp_ns, images, rig, torch.eye(4, dtype=torch.float64))


def test_a_clip_is_in_time_order():
    assert [item.stamp_ns for item in Clip((frame(1), frame(2))).frames] == [1, 2]
    with pytest.raises(ValueError, match="increasing"):
        Clip((frame(2), frame(2)))


def test_a_clip_has_one_rig_and_one_image_size():
    larger = replace(frame(2), images=torch.zeros(2, 3, 8, 6, dtype=torch.uint8))
    renamed = replace(frame(2), rig=replace(frame(2).rig, names=("a", "c")))
    for other in (larger, renamed):
        with pytest.raises(ValueError, match="expected frames of one rig and image size"):
            Clip((frame(1), other))


def test_a_rig_names_the_field_of_the_wrong_shape():
    with pytest.raises(ValueError, match=r"K: expected shape \(1, 3, 3\)"):
        CameraRig(("a",), torch.eye(3), torch.eye(4)[None], torch.ones(1))
