"""What a set does not see is known from the others along the way, but for what may have moved."""

import numpy as np
import pytest

from occflow_ros.geometry import se3
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid
from occflow_ros.training.refine.truth import seen_along_the_way

GRID = VoxelGrid((0.0, 0.0, 0.0), (4.0, 1.0, 1.0), (4, 1, 1))
CAR, ROAD, TREE, FREE, NO = 0, 1, 2, 3, UNKNOWN_CLASS_ID


def _along(truths, ways_m, target):
    poses = np.stack([se3.from_rotation_translation(np.eye(3), (x, 0, 0)) for x in ways_m])
    volumes = [np.array(one, np.uint8).reshape(GRID.shape) for one in truths]
    return seen_along_the_way(volumes, GRID, poses, target, movable=(CAR,)).flatten().tolist()


@pytest.mark.parametrize(
    ("truths", "ways_m", "expected"),
    [
        ([[ROAD, NO, NO, NO], [TREE, FREE, ROAD, NO]], (0.0, 1.0), [ROAD, TREE, FREE, ROAD]),
        ([[ROAD, NO, NO, NO], [CAR, CAR, ROAD, NO]], (0.0, 1.0), [ROAD, NO, NO, ROAD]),
        ([[CAR, NO, NO, FREE], [ROAD, ROAD, ROAD, ROAD]], (0.0, 0.0), [CAR, ROAD, ROAD, FREE]),
        ([[NO] * 4, [TREE] * 4], (0.0, 9.0), [NO] * 4),
        ([[NO] * 4, [TREE, NO, NO, NO], [ROAD] * 4], (0.0,) * 3, [TREE, ROAD, ROAD, ROAD]),
    ],
    ids=["carried", "a car is not", "what it sees itself stays", "out of reach", "nearest first"],
)
def test_what_others_saw_is_carried(truths, ways_m, expected):
    assert _along(truths, ways_m, target=0) == expected
