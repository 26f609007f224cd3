"""Voxels over an image: where each lies, what hides what, and which color it has."""

import numpy as np
import pytest

from occflow_ros.data.scene import VoxelScene
from occflow_ros.engine.assemble import View
from occflow_ros.structures import VoxelGrid
from occflow_ros.viz.palette import CLASS_COLORS
from occflow_ros.viz.semantic_overlay import draw_overlay

GRID = VoxelGrid((0.0, -8.0, -1.0), (16.0, 8.0, 3.0), (16, 16, 4))  # voxels of 1 m
NAMES = ("car", "vegetation", "free")
OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0.45], [0, 0, 0, 1]])
HW_PX, FOCAL_PX = (60, 80), 40.0
K = np.array([[FOCAL_PX, 0.0, 39.5], [0.0, FOCAL_PX, 29.5], [0.0, 0.0, 1.0]])


def scene_of(**voxels):
    class_id = np.full(GRID.shape, NAMES.index("free"), np.uint8)
    for name, index in voxels.items():
        class_id[index] = NAMES.index(name)
    standing = np.zeros((*GRID.shape, 2), np.float32)
    return VoxelScene(GRID, class_id != NAMES.index("free"), standing, class_id, NAMES)


def drawn(scene, odom_T_base=None, pose=None):
    image = np.full((*HW_PX, 3), 100, np.uint8)
    pose = np.eye(4) if pose is None else pose
    return draw_overlay(
        View(image, K, OPTICAL, pose), pose if odom_T_base is None else odom_T_base, scene
    )


def box_of(picture):
    """First and last row and column that are not the image's."""
    rows, columns = np.nonzero((picture != 100).any(axis=-1))
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_a_voxel_lies_where_it_is_projected():
    """Its front at 8 m spans 40/8 px: from 2.75 above the axis on, and left of it."""
    picture = drawn(scene_of(car=(8, 8, 1)))
    assert box_of(picture) == (27, 31, 35, 39)
    inside = picture[29, 37].astype(float)  # mixed 40 : 60 with the shade of its front
    np.testing.assert_allclose(inside, 40 + 0.6 * 0.72 * np.array(CLASS_COLORS["car"]), atol=1)


def test_the_nearest_voxel_hides_what_is_behind():
    picture = drawn(scene_of(car=(8, 8, 1), vegetation=(12, 8, 1)))
    alone = drawn(scene_of(car=(8, 8, 1)))
    np.testing.assert_array_equal(picture, alone)


def test_the_camera_may_have_moved_since():
    """2 m ahead of the pose that the voxels belong to, the front at 8 m is 6 m away."""
    ahead = np.eye(4)
    ahead[0, 3] = 2.0
    rows = box_of(drawn(scene_of(car=(8, 8, 1)), odom_T_base=np.eye(4), pose=ahead))
    assert rows[1] - rows[0] + 1 == pytest.approx(40 / 6, abs=1)


def test_what_is_nearer_than_the_hood_is_left_out():
    picture = drawn(scene_of(car=(slice(0, 1), slice(None), slice(None))))
    assert (picture == 100).all()


def test_scenes_without_classes_are_refused():
    bare = scene_of(car=(8, 8, 1))
    bare = VoxelScene(GRID, bare.occupied, bare.velocity_mps)
    with pytest.raises(ValueError, match="expected classes"):
        drawn(bare)
