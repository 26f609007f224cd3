"""Markers equal, once decoded, those built object by object; colors, budgets and arrows by hand."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from hand_made_voxels import GRID, through_the_wire, voxels_at
from occflow_ros.msg import OccupancyFlow as OccupancyFlowMessage
from rclpy.serialization import deserialize_message
from visualization_msgs.msg import Marker, MarkerArray

from occflow_ros.messages import voxel_colors
from occflow_ros.messages.markers import VoxelMarkers, evenly
from occflow_ros.messages.voxel_arrays import cells_of
from occflow_ros.mono_config import MONO_PRESETS
from occflow_ros.node_config import DisplayConfig
from occflow_ros.ros import bench_messages, conversions
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid
from occflow_ros.viz.palette import CLASS_COLORS, UNKNOWN_CLASS, class_colors, direction_colors

NANO_PRESETS = [preset for name, preset in MONO_PRESETS.items() if "nano" in name]
PLANE = VoxelGrid((0.0, 0.0, 0.0), (80.0, 80.0, 6.4), (80, 80, 16))
PLANE_CELLS = [(x, y, 5) for x in range(80) for y in range(80)]


@pytest.fixture
def voxels():
    return conversions.voxel_arrays(bench_messages.random_prediction(300), "base_link")


def markers_for(voxels, **settings):
    return VoxelMarkers(voxels.grid, DisplayConfig(**settings))


def decoded(data):
    return deserialize_message(data, MarkerArray)


@pytest.mark.parametrize("color", ["height", "probability", "class", "speed"])
@pytest.mark.parametrize("max_voxels", [299, 40_000])
def test_cubes_decode_to_the_ordinary_message(voxels, color, max_voxels):
    display = DisplayConfig(color=color, max_voxels=max_voxels, lifetime_s=1.25)
    ordinary = bench_messages.occupancy_markers_by_object(voxels, display)
    data = VoxelMarkers(voxels.grid, display).occupancy(voxels)
    assert decoded(data) == through_the_wire(ordinary)
    assert len(ordinary.markers[1].points) == min(300, max_voxels)


@pytest.mark.parametrize("max_arrows", [77, 2000])
def test_arrows_decode_to_the_ordinary_message(voxels, max_arrows):
    display = DisplayConfig(max_arrows=max_arrows, lifetime_s=0.5)
    ordinary = bench_messages.flow_markers_by_object(voxels, display)
    data = VoxelMarkers(voxels.grid, display).flow(voxels)
    assert decoded(data) == through_the_wire(ordinary)


@pytest.mark.parametrize("frame", ["", "a", "base", "base_link", "robot_1/base"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_length_of_names_and_lists_is_padded_rightly(frame, count):
    cells = [(0, 0, 0), (1, 1, 1), (2, 2, 2)][:count]
    voxels = voxels_at(cells, (2.0, 1.0), frame=frame)
    display = DisplayConfig()
    built = VoxelMarkers(GRID, display)
    for data, by_object in (
        (built.occupancy(voxels), bench_messages.occupancy_markers_by_object),
        (built.flow(voxels), bench_messages.flow_markers_by_object),
    ):
        assert decoded(data) == through_the_wire(by_object(voxels, display))


@pytest.mark.parametrize("color", ["height", "probability", "class", "speed"])
def test_nothing_occupied_clears_the_display_and_adds_nothing(color):
    voxels = voxels_at([])
    built = markers_for(voxels, color=color)
    for data in (built.occupancy(voxels), built.flow(voxels)):
        (only,) = decoded(data).markers
        assert only.action == Marker.DELETEALL


def test_both_markers_carry_stamp_frame_and_lifetime():
    voxels = voxels_at([(1, 2, 1)], (3.0, 0.0))
    built = markers_for(voxels, lifetime_s=1.5)
    for data in (built.occupancy(voxels), built.flow(voxels)):
        clearing, listed = decoded(data).markers
        assert clearing.header == listed.header == voxels.header
        assert (clearing.action, listed.action) == (Marker.DELETEALL, Marker.ADD)
        assert (listed.lifetime.sec, listed.lifetime.nanosec) == (1, 500_000_000)


def cube_colors(voxels, mode, class_names=()):
    """Red, green, blue of the cubes, 0 to 255, in the order of the voxels."""
    built = VoxelMarkers(voxels.grid, DisplayConfig(color=mode), class_names)
    cubes = decoded(built.occupancy(voxels)).markers[1]
    assert all(color.a == 1.0 for color in cubes.colors)
    return [tuple(round(255 * getattr(color, c)) for c in "rgb") for color in cubes.colors]


def test_height_runs_from_blue_over_green_to_red():
    low, middle, high = cube_colors(voxels_at([(0, 0, 0), (1, 0, 1), (2, 0, 2)]), "height")
    assert (np.argmax(low), np.argmax(middle), np.argmax(high)) == (2, 1, 0)


def test_probability_runs_from_violet_to_yellow_whatever_the_height():
    voxels = voxels_at([(0, 0, 2), (1, 0, 0), (2, 0, 2)], probability=[0.0, 1.0, 1.0])
    assert cube_colors(voxels, "probability") == [(68, 1, 84), (253, 231, 37), (253, 231, 37)]


def test_classes_have_their_colors_and_the_unknown_is_gray():
    cells = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0)]
    names = ("vegetation", "lava", "car")
    class_id = [2, UNKNOWN_CLASS_ID, 0, 1]
    *known, foreign = cube_colors(voxels_at(cells, class_id=class_id), "class", names)
    assert known == [CLASS_COLORS["car"], UNKNOWN_CLASS, CLASS_COLORS["vegetation"]]
    assert foreign == tuple(class_colors(names)[1])
    assert cube_colors(voxels_at(cells), "class", names) == [UNKNOWN_CLASS] * 4


def test_the_message_numbers_classes_as_the_network_does_that_comes_with_the_package():
    numbers = {
        name.removeprefix("CLASS_").lower(): getattr(OccupancyFlowMessage, name)
        for name in dir(type(OccupancyFlowMessage))
        if name.startswith("CLASS_") and name != "CLASS_UNKNOWN"
    }
    (mono, *others) = (preset.model.classes for preset in NANO_PRESETS)
    assert all(other == mono for other in others)
    assert numbers == {name: number for number, name in enumerate(mono.names) if name != mono.empty}
    assert OccupancyFlowMessage.CLASS_UNKNOWN == UNKNOWN_CLASS_ID


def test_speed_runs_from_gray_to_red_at_15_mps_in_any_direction():
    cells = [(x, y, 0) for x in range(2) for y in range(3)]
    velocities_mps = [(0, 0), (3, -4), (0, 10), (-15, 0), (30, 30), (np.nan, 0)]
    standing, slow, quick, *fast, unknown = cube_colors(voxels_at(cells, velocities_mps), "speed")
    assert (standing, slow, quick) == ((110, 120, 135), (70, 160, 255), (255, 214, 64))
    assert fast == [(235, 45, 45)] * 2
    assert unknown == standing


@pytest.mark.parametrize("budget", [0, 1, 640, 1600, 6399, 6400, 7000])
def test_cubes_and_arrows_keep_exactly_to_their_budgets(budget):
    voxels = voxels_at(PLANE_CELLS, (2.0, 0.0), grid=PLANE)
    built = markers_for(voxels, max_voxels=budget, max_arrows=budget)
    assert len(built.cubes(voxels).points_m) == min(budget, 6400)
    assert len(built.arrows(voxels).points_m) == min(budget, 6400) * 6


def test_a_budget_is_spread_evenly_over_the_map():
    index = voxels_at(PLANE_CELLS, grid=PLANE).index
    kept = evenly(index, PLANE, 1600)  # a quarter
    assert (np.diff(kept) > 0).all()
    x, y, _ = cells_of(index[kept], PLANE)
    blocks = np.zeros((8, 8), int)
    np.add.at(blocks, (x // 10, y // 10), 1)
    assert 20 <= blocks.min() <= blocks.max() <= 30, "25 of the 100 of each block"
    for cells in (x, y):
        lines = np.bincount(cells)
        assert 17 <= lines.min() <= lines.max() <= 23, "20 of the 80 of each line"


def test_a_standing_scene_keeps_its_choice_and_a_voxel_that_goes_moves_one_other():
    index = voxels_at(PLANE_CELLS, grid=PLANE).index
    kept = index[evenly(index, PLANE, 1600)]
    np.testing.assert_array_equal(kept, index[evenly(index, PLANE, 1600)])
    fewer = np.setdiff1d(index, kept[::16])
    still_kept = fewer[evenly(fewer, PLANE, 1600)]
    np.testing.assert_array_equal(np.setdiff1d(kept, still_kept), kept[::16])
    assert np.isin(index[evenly(index, PLANE, 900)], kept).all(), "less is a part of more"


def test_only_voxels_that_move_fast_enough_get_an_arrow():
    cells = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0)]
    voxels = voxels_at(cells, [(0.29, 0.4), (0.3, -0.41), (0.0, 0.0), (np.nan, 9.0)])
    arrows = markers_for(voxels, flow_min_mps=0.5).arrows(voxels)
    np.testing.assert_allclose(arrows.points_m[::6], voxels.center_m[1:2])


def test_an_arrow_ends_where_the_voxel_is_a_second_later():
    voxels = voxels_at([(1, 2, 1)], (3.0, -1.0))
    start, tip, *head = decoded(markers_for(voxels).flow(voxels)).markers[1].points
    assert (start.x, start.y, start.z) == (-0.5, -1.5, 1.5)
    assert (tip.x, tip.y, tip.z) == (2.5, -2.5, 1.5)
    assert head[0] == head[2] == tip
    # A quarter of (3, -1) back, and an eighth of it to either side: (0.125, 0.375).
    left, right = ((end.x - tip.x, end.y - tip.y, end.z - tip.z) for end in (head[1], head[3]))
    assert left == pytest.approx((-0.75 + 0.125, 0.25 + 0.375, 0.0))
    assert right == pytest.approx((-0.75 - 0.125, 0.25 - 0.375, 0.0))


def test_each_of_many_arrows_is_its_own_voxels():
    velocities_mps = np.random.default_rng(0).normal(0.0, 4.0, (6400, 2))
    voxels = voxels_at(PLANE_CELLS, velocities_mps, grid=PLANE)
    arrows = markers_for(voxels, max_arrows=6400, flow_min_mps=0.0).arrows(voxels)
    ends_m = arrows.points_m.reshape(6400, 6, 3)
    np.testing.assert_allclose(ends_m[:, 0], voxels.center_m)
    np.testing.assert_allclose(ends_m[:, 1, :2] - ends_m[:, 0, :2], voxels.velocity_mps, atol=1e-5)


def test_an_arrow_has_the_color_of_its_direction():
    angles = np.linspace(-np.pi, np.pi, 721)
    velocity_mps = (np.stack((np.cos(angles), np.sin(angles)), axis=1) * 7.0).astype(np.float32)
    rows = voxel_colors.direction_rows(velocity_mps)
    colors = voxel_colors.direction_table()[rows, :3] * 255
    np.testing.assert_allclose(colors, direction_colors(velocity_mps), atol=3)


def test_arrows_of_what_stands_are_drawn_where_asked_for():
    voxels = voxels_at([(1, 2, 1)])
    arrows = markers_for(voxels, flow_min_mps=0.0).arrows(voxels)
    np.testing.assert_allclose(arrows.points_m, np.repeat(voxels.center_m, 6, axis=0))
    assert np.isfinite(arrows.colors).all()
