"""Columns of one set, and pictures that are not larger than asked for."""

import numpy as np

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.scene import VoxelScene
from occflow_ros.structures import VoxelGrid
from occflow_ros.viz.canvas import jpeg
from occflow_ros.viz.palette import class_table
from occflow_ros.viz.stages_figure import draw_stages

GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 1.0), (16, 16, 2))
ROAD = NAMES.index("driveable_surface")


def scene(filled):
    class_id = np.where(filled, ROAD, FREE).astype(np.uint8)
    return VoxelScene(GRID, filled, np.zeros((*GRID.shape, 2), np.float32), class_id, NAMES)


def test_each_scene_has_a_column():
    """What is empty shows nothing of the road, what is full a lot of it."""
    empty, full = (scene(np.full(GRID.shape, value)) for value in (False, True))
    picture = draw_stages("a title", [("before", empty), ("after", full)])
    body = picture[40:-40]  # between the title and the legend
    is_road = (body == class_table(NAMES)[ROAD]).all(axis=-1)
    left, right = np.array_split(is_road, 2, axis=1)
    assert not left.any()
    assert right.mean() > 0.3
    one = draw_stages("a title", [("before", empty)])
    assert one.shape[1] < picture.shape[1]


def test_a_picture_is_made_small_enough():
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    best = jpeg(noise)
    limit = round(0.6 * len(best))
    assert len(jpeg(noise, limit)) <= limit
    assert jpeg(noise, len(best)) == best
    assert jpeg(noise, 1) == jpeg(noise, 2)  # there is a lowest quality
