"""Colors of classes by name: official, alike where names mean the same, and of foreign names."""

import numpy as np
import pytest

from occflow_ros.data import classes, semantic_kitti
from occflow_ros.structures import UNKNOWN_CLASS_ID
from occflow_ros.viz.palette import (
    BACKGROUND,
    CLASS_COLORS,
    UNKNOWN_CLASS,
    class_colors,
    class_table,
)

FOREIGN = tuple(f"thing {number}" for number in range(40))


def least_distance(colors):
    """Between any two of them."""
    differences = colors[:, None].astype(float) - colors.astype(float)
    distances = np.linalg.norm(differences, axis=-1)
    return distances[~np.eye(len(colors), dtype=bool)].min()


@pytest.mark.parametrize(
    ("name", "bgr"),  # as the data set's official semantic-kitti.yaml writes them
    [
        ("car", (245, 150, 100)),
        ("truck", (180, 30, 80)),
        ("road", (255, 0, 255)),
        ("other-ground", (75, 0, 175)),
        ("building", (0, 200, 255)),
        ("trunk", (0, 60, 135)),
    ],
)
def test_the_colors_of_semantic_kitti_are_its_own(name, bgr):
    assert tuple(class_colors([name])[0]) == bgr[::-1]


@pytest.mark.parametrize("names", [classes.NAMES, semantic_kitti.NAMES])
def test_every_class_of_a_data_set_has_a_color_of_its_own(names):
    assert set(names) <= CLASS_COLORS.keys()
    assert len(np.unique(class_colors(names), axis=0)) == len(names)


@pytest.mark.parametrize(
    ("nuscenes", "kitti"),
    [
        ("driveable_surface", "road"),
        ("other_flat", "other-ground"),
        ("pedestrian", "person"),
        ("manmade", "building"),
        ("barrier", "fence"),
        ("construction_vehicle", "other-vehicle"),
        ("free", "empty"),
    ],
)
def test_what_means_the_same_looks_the_same(nuscenes, kitti):
    assert CLASS_COLORS[nuscenes] == CLASS_COLORS[kitti]


def test_foreign_names_get_colors_that_can_be_told_apart_and_stay():
    names = ("car", *FOREIGN)
    colors = class_colors(names)
    assert tuple(colors[0]) == CLASS_COLORS["car"]
    assert least_distance(np.vstack((colors, BACKGROUND, UNKNOWN_CLASS))) >= 40
    np.testing.assert_array_equal(class_colors(names), colors)
    np.testing.assert_array_equal(class_colors(names[:9]), colors[:9])
    np.testing.assert_array_equal(
        class_colors(("lava",)), class_colors(("car", "lava", "sky"))[1:2]
    )


def test_numbers_without_a_name_are_unknown():
    table = class_table(("car", "lava"))
    assert table.shape == (256, 3)
    assert tuple(table[0]) == CLASS_COLORS["car"]
    assert (table[2:] == UNKNOWN_CLASS).all()
    assert tuple(table[UNKNOWN_CLASS_ID]) == UNKNOWN_CLASS
