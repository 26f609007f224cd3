"""The picture of a network in training: colours that mean the same everywhere, and its layout."""

import numpy as np
import pytest

from occflow_ros.data.scene import VoxelScene
from occflow_ros.structures import VoxelGrid
from occflow_ros.viz.palette import PANEL, direction_colors
from occflow_ros.viz.training_pictures import (
    DYNAMIC,
    MOVABLE,
    Row,
    depth_colors,
    depth_scale,
    draw_points,
    draw_training_picture,
    motion_colors,
    overlay,
)

GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 3.0), (16, 16, 4))
WHITE, BLACK = (np.full((10, 20, 3), value, np.uint8) for value in (255, 0))


def scene(*voxels):
    occupied = np.zeros(GRID.shape, bool)
    for voxel in voxels:
        occupied[voxel] = True
    return VoxelScene(GRID, occupied, np.zeros((*GRID.shape, 2), np.float32))


def test_near_is_red_far_is_dark_and_the_sky_has_no_depth():
    near, middle, far, sky = depth_colors([2.0, 12.0, 80.0, np.inf], 2.0, 80.0).astype(int)
    assert near[0] > 2 * near[2]
    assert middle[1] > middle[[0, 2]].max()
    assert far[2] > far[1]
    assert tuple(sky) == PANEL
    np.testing.assert_array_equal(depth_colors([0.1, 500.0], 2.0, 80.0), [near, far])


def test_the_scale_has_the_colours_of_depth():
    scale = depth_scale(2.0, 80.0)
    ends = depth_colors([2.0, 80.0], 2.0, 80.0)
    np.testing.assert_array_equal(scale[0, [0, -1]], ends)


def test_hue_is_direction_and_brightness_is_length():
    colors = motion_colors([(10.0, 0.0), (5.0, 0.0), (30.0, 0.0), (0.0, 0.0), (np.nan, 0.0)], 10.0)
    full = direction_colors([1.0, 0.0])
    expected = [full, full / 2, full, (0, 0, 0), PANEL]
    np.testing.assert_allclose(colors, expected, atol=1.0)


def test_masks_of_another_size_cover_the_image_and_the_last_wins():
    left, upper = np.zeros((2, 2, 2), bool)
    left[:, 0], upper[0] = True, True
    masked = overlay(WHITE, {MOVABLE: left, DYNAMIC: upper})
    np.testing.assert_array_equal(masked[9, 19], WHITE[0, 0])
    assert len({tuple(masked[row, column]) for row in (0, 9) for column in (0, 19)}) == 3
    np.testing.assert_array_equal(masked[0, 0], masked[0, 19])
    assert (WHITE == 255).all()


def test_later_points_cover_earlier_ones_and_none_leaves_the_image():
    points = draw_points(
        (10, 20), np.array([(5, 5), (5, 5), (-9, 3)]), np.array([(1, 2, 3), (4, 5, 6), (7, 8, 9)])
    )
    np.testing.assert_array_equal(points[5, 5], (4, 5, 6))
    np.testing.assert_array_equal(points[9, 19], PANEL)
    assert not (points == (7, 8, 9)).all(axis=-1).any()


@pytest.mark.parametrize("cameras", [1, 3, 6])
def test_each_camera_has_a_column_and_truth_is_beside_prediction(cameras):
    angles = np.linspace(0, 2 * np.pi, cameras, endpoint=False)
    forward = {f"cam_{i}": (np.cos(a), np.sin(a)) for i, a in enumerate(angles)}
    images = dict.fromkeys(forward, WHITE)

    def picture(shown, truth):
        rows = [Row("Images", shown, "note", depth_scale(2.0, 80.0)), Row("Depth", shown)]
        return draw_training_picture("Step 1", rows, forward, scene((0, 0, 0)), truth)

    whole, dark = picture(images, None), picture(images | {"cam_0": BLACK}, None)
    changed = (whole != dark).any(axis=-1)
    rows, columns = changed.any(axis=1).sum(), changed.any(axis=0).sum()
    assert rows * columns == changed.sum()
    assert rows == pytest.approx(columns, abs=2)  # two rows of 1:2
    assert picture(dict.fromkeys(list(forward)[1:], WHITE), None).shape[1] == whole.shape[1]
    one, other = (picture(images, scene((x, 4, 0))) for x in (4, 9))
    assert one.shape == other.shape == whole.shape
    assert (one != other).any()
