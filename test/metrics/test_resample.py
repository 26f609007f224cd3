"""A prediction on another grid."""

import numpy as np

from occflow_ros.data.scene import VoxelScene
from occflow_ros.metrics.resample import on_grid
from occflow_ros.structures import VoxelGrid

COARSE = VoxelGrid((0.0, 0.0, 0.0), (4.0, 2.0, 2.0), (2, 1, 1))
FINE = VoxelGrid((1.0, 0.0, 0.0), (6.0, 2.0, 2.0), (5, 2, 2))
EMPTY = 9


def scene():
    occupied = np.array([False, True]).reshape(COARSE.shape)
    velocity_mps = np.zeros((*COARSE.shape, 2), np.float32)
    velocity_mps[1] = (3.0, -1.0)
    return VoxelScene(COARSE, occupied, velocity_mps)


CLASSES = np.array([4, 7], np.uint8).reshape(COARSE.shape)


def columns(volume):
    return volume[:, 0, 0].tolist()


def test_voxels_take_what_is_around_their_centre():
    got, classes = on_grid(scene(), CLASSES, FINE, EMPTY)
    assert got.grid == FINE
    assert columns(got.occupied) == [False, True, True, False, False]
    assert columns(got.velocity_mps[..., 0]) == [0.0, 3.0, 3.0, 0.0, 0.0]
    assert columns(classes) == [4, 7, 7, EMPTY, EMPTY]
    assert (got.occupied == got.occupied[:, :1, :1]).all()


def test_its_own_grid_changes_nothing():
    one = scene()
    same, classes = on_grid(one, None, COARSE, EMPTY, np.eye(4))
    assert same is one and classes is None


def test_the_grid_may_lie_in_another_frame():
    scene_T_grid = np.eye(4)
    scene_T_grid[0, 3] = 2.0
    got, classes = on_grid(scene(), CLASSES, COARSE, EMPTY, scene_T_grid)
    assert columns(got.occupied) == [True, False]
    assert columns(classes) == [7, EMPTY]
