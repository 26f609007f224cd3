"""Pictures: a known voxel shows at the known pixel, and arrows point where things move."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from occflow_ros.data.scene import VoxelScene
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid
from occflow_ros.viz import birds_eye, canvas, figure, mosaic, palette, voxel_view
from occflow_ros.viz.animation import can_animate, write_animation

GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 3.0), (16, 16, 4))


def scene(*voxels, velocity=(0.0, 0.0)):
    occupied = np.zeros(GRID.shape, dtype=bool)
    velocity_mps = np.zeros((*GRID.shape, 2), dtype=np.float32)
    for voxel in voxels:
        occupied[voxel] = True
        velocity_mps[voxel] = velocity
    return VoxelScene(GRID, occupied, velocity_mps)


def changed(image, reference):
    """Pixel (u, v) of the middle of what differs."""
    rows, columns = np.nonzero((image != reference).any(axis=-1))
    return np.array((columns.mean(), rows.mean()))


def test_forward_is_up_and_left_is_left_from_above():
    empty = birds_eye.draw_birds_eye(scene(), 160)
    ahead_left = birds_eye.draw_birds_eye(scene((15, 15, 0)), 160)
    assert ahead_left.shape == (160, 160, 3)
    # x in [7, 8), y in [7, 8) is the top left square of 10 by 10 pixels.
    np.testing.assert_allclose(changed(ahead_left, empty), (4.5, 4.5))
    ahead_right = birds_eye.draw_birds_eye(scene((15, 0, 0)), 160)
    np.testing.assert_allclose(changed(ahead_right, empty), (154.5, 4.5))


def test_a_column_shows_its_highest_voxel():
    low_and_high = birds_eye.draw_birds_eye(scene((12, 12, 0), (12, 12, 3)), 160)
    u, v = birds_eye.GroundPixels(GRID, 160).of(np.array((4.5, 4.5))).round().astype(int)
    np.testing.assert_array_equal(low_and_high[v, u], palette.height_colors(3.5 / 4))


@pytest.mark.parametrize(
    ("velocity", "step"),
    [((4.0, 0.0), (0, -1)), ((-4.0, 0.0), (0, 1)), ((0.0, 4.0), (-1, 0)), ((0.0, -4.0), (1, 0))],
)
def test_arrows_point_where_the_voxel_moves(velocity, step):
    voxel = (4, 4, 1)  # centre at x = y = -3.5 m, pixel (115, 115) less half
    image = birds_eye.draw_birds_eye(scene(voxel, velocity=velocity), 160)
    start = birds_eye.GroundPixels(GRID, 160).of(np.array((-3.5, -3.5)))
    u, v = (start + 22.0 * np.array(step)).round().astype(int)  # 22 px: within the 40 px arrow
    assert image[v, u].min() > 200
    u, v = (start - 22.0 * np.array(step)).round().astype(int)
    assert image[v, u].max() < 200


def test_standing_voxels_get_no_arrow():
    still = birds_eye.draw_birds_eye(scene((4, 4, 1), velocity=(0.4, 0.0)), 160)
    zero = birds_eye.draw_birds_eye(scene((4, 4, 1)), 160)
    np.testing.assert_array_equal(still, zero)


def test_one_object_gets_one_arrow_with_its_mean_velocity():
    cells = [(x, y, 1) for x in range(4, 8) for y in range(4, 6)]
    ((position, velocity),) = birds_eye.arrows(scene(*cells, velocity=(3.0, -1.0)))
    np.testing.assert_allclose(position, (-2.0, -3.0))
    np.testing.assert_allclose(velocity, (3.0, -1.0))


def test_opposite_directions_have_different_colours():
    forward, left, backward, right = palette.direction_colors(
        np.array([(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)])
    ).astype(int)
    assert np.abs(forward - backward).sum() > 200
    assert np.abs(left - right).sum() > 200
    np.testing.assert_array_equal(palette.direction_colors(np.array((9.0, 0.0))), forward)


def test_a_voxel_appears_where_its_centre_projects():
    view = voxel_view.Viewpoint(eye_m=(-20.0, 0.0, 10.0), target_m=(0.5, 0.5, 0.5), fov_deg=50.0)
    empty = voxel_view.draw_voxels(scene(), 120, 160, view)
    target = voxel_view.draw_voxels(scene((12, 8, 1)), 120, 160, view)
    u, v = changed(target, empty)
    # Behind the target point along x: above the middle of the picture, in its middle column.
    assert abs(u - 79.5) < 4
    assert v < 59
    left = voxel_view.draw_voxels(scene((8, 14, 1)), 120, 160, view)
    assert changed(left, empty)[0] < 60


def test_a_near_voxel_hides_a_far_one():
    view = voxel_view.Viewpoint(eye_m=(-30.0, 0.5, 0.5), target_m=(0.0, 0.5, 0.5), fov_deg=30.0)
    wall = [(2, y, z) for y in range(16) for z in range(4)]
    alone = voxel_view.draw_voxels(scene(*wall), 120, 160, view)
    hidden = voxel_view.draw_voxels(
        scene(*wall, (13, 8, 1), (14, 9, 2), velocity=(0.0, 0.0)), 120, 160, view
    )
    np.testing.assert_array_equal(alone, hidden)


def test_a_covered_voxel_has_no_faces():
    block = [(x, y, z) for x in range(4, 7) for y in range(4, 7) for z in range(3)]
    without_core = [voxel for voxel in block if voxel != (5, 5, 1)]
    np.testing.assert_array_equal(
        voxel_view.draw_voxels(scene(*block), 90, 120),
        voxel_view.draw_voxels(scene(*without_core), 90, 120),
    )


def test_surround_cameras_are_arranged_as_they_look():
    degrees = {"l": 55, "f": 0, "r": -55, "bl": 110, "b": 180, "br": -110}
    forward = {n: (np.cos(np.radians(a)), np.sin(np.radians(a))) for n, a in degrees.items()}
    rows = mosaic.arrange({name: np.array(vector) for name, vector in forward.items()})
    assert rows == [["l", "f", "r"], ["bl", "b", "br"]]


def test_a_missing_camera_leaves_its_place_empty():
    image = np.full((40, 80, 3), 200, dtype=np.uint8)
    forward = {"left": (0.7, 0.7), "right": (0.7, -0.7)}
    picture = mosaic.draw_mosaic({"right": image}, forward, 406, 200)
    assert picture.shape == (100, 406, 3)
    assert (picture[90, 300] == 200).all()
    assert (picture[90, 100] == palette.PANEL).all()


def test_text_stays_inside_the_picture():
    picture = canvas.blank(20, 30)
    canvas.draw_text(picture, "far too long for this", (-10, 12))
    assert picture.shape == (20, 30, 3)
    assert picture.max() > 150


def test_a_figure_has_a_row_for_the_truth_only_where_there_is_one():
    image = np.zeros((90, 160, 3), dtype=np.uint8)
    arguments = ({"front": image}, {"front": (1.0, 0.0)}, scene((8, 8, 1)))
    caption = figure.Caption("title")
    alone = figure.draw_figure(*arguments, None, caption)
    both = figure.draw_figure(*arguments, scene((8, 8, 1)), caption)
    assert both.shape[1] == alone.shape[1]
    assert both.shape[0] > alone.shape[0] + 300


def test_a_figure_shows_classes_beside_motion_where_the_prediction_has_them():
    image = np.zeros((90, 160, 3), dtype=np.uint8)
    caption = figure.Caption("title")
    class_id = np.full(GRID.shape, UNKNOWN_CLASS_ID, dtype=np.uint8)
    class_id[8, 8, 1] = 1
    plain = scene((8, 8, 1))
    named = replace(plain, class_id=class_id, class_names=("road", "car"))
    pictures = [
        figure.draw_figure({"front": image}, {"front": (1.0, 0.0)}, one, plain, caption)
        for one in (plain, named)
    ]
    car, road = palette.class_colors(named.class_names)[[1, 0]]
    assert pictures[1].shape[1] > pictures[0].shape[1]
    for color, there in ((car, True), (road, False)):  # in the legend; nothing is a road
        assert (pictures[1] == color).all(axis=-1).any() == there
        assert not (pictures[0] == color).all(axis=-1).any()


@pytest.mark.skipif(not can_animate(), reason="this OpenCV writes no animations")
def test_an_animation_reads_back(tmp_path):
    path = tmp_path / "a.webp"
    images = [np.full((32, 48, 3), (200, 40, level), dtype=np.uint8) for level in (0, 120, 240)]
    write_animation(path, images, frame_ms=250)
    done, animation = cv2.imreadanimation(str(path))
    assert done and len(animation.frames) == 3
    np.testing.assert_allclose(animation.frames[2][16, 24, :3], (240, 40, 200), atol=8)
    assert list(animation.durations) == [250, 250, 250]


def test_volumes_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"velocity_mps: expected shape \(16, 16, 4, 2\)"):
        VoxelScene(GRID, np.zeros(GRID.shape, bool), np.zeros((*GRID.shape, 3), np.float32))
    with pytest.raises(ValueError, match="class_names: expected them beside class_id"):
        replace(scene(), class_names=("car",))
