"""Votes of moved volumes: the kernel gives what its twin gives, and both what was worked out."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from occflow_ros.ops.voxel_vote import vote
from occflow_ros.structures import UNKNOWN_CLASS_ID, VoxelGrid

BACKENDS = [("numba", "cpu"), ("torch", "cpu")]
if torch.cuda.is_available():
    BACKENDS.append(("torch", "cuda"))
EMPTY, ROAD, TREE, CLASSES = 0, 1, 2, 4
LINE = VoxelGrid((0.0, 0.0, 0.0), (3.0, 1.0, 1.0), (3, 1, 1))


def _pose(turn_deg, translation_m):
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("zyx", turn_deg, degrees=True).as_matrix()
    pose[:3, 3] = translation_m
    return pose


def _on_a_line(volumes, shifts_m, weights=(1, 1, 1), own=(EMPTY, EMPTY, EMPTY)):
    poses = np.stack([_pose((0, 0, 0), (shift_m, 0, 0)) for shift_m in shifts_m])
    inputs = (
        torch.tensor(volumes, dtype=torch.uint8).view(-1, 3, 1, 1),  # (S, X, Y, Z)
        range(len(volumes)),
        poses,
        torch.tensor(weights, dtype=torch.int32).view(3, 1, 1),  # (X, Y, Z)
        torch.tensor(own, dtype=torch.uint8).view(3, 1, 1),  # (X, Y, Z)
    )
    found = {
        (backend, device): vote(
            *(value.to(device) if isinstance(value, torch.Tensor) else value for value in inputs),
            LINE,
            CLASSES,
            EMPTY,
            backend,
        )
        .flatten()
        .tolist()
        for backend, device in BACKENDS
    }
    first, *others = found.values()
    assert all(other == first for other in others), found
    return first


def test_most_votes_win():
    assert _on_a_line([[ROAD, ROAD, EMPTY], [ROAD, EMPTY, EMPTY], [0, 0, TREE]], [0, 0, 0]) == [
        ROAD,
        EMPTY,
        EMPTY,
    ]


def test_weights_belong_to_the_place_in_the_source():
    volumes = [[EMPTY, EMPTY, TREE], [ROAD, ROAD, ROAD]]
    assert _on_a_line(volumes, [-2, 0], weights=(3, 3, 4)) == [TREE, ROAD, ROAD]
    assert _on_a_line(volumes, [-2, 0], weights=(5, 3, 4)) == [ROAD, ROAD, ROAD]


def test_ties_go_to_the_own_class_else_to_the_smallest():
    volumes = [[TREE, TREE, ROAD], [ROAD, ROAD, TREE]]
    assert _on_a_line(volumes, [0, 0], own=(TREE, 3, EMPTY)) == [TREE, ROAD, ROAD]


def test_own_class_stays_where_nobody_votes():
    assert _on_a_line([[ROAD, ROAD, ROAD]], [2], own=(TREE, 3, TREE)) == [TREE, 3, ROAD]
    unknown = [UNKNOWN_CLASS_ID] * 3
    assert _on_a_line([unknown, [EMPTY, ROAD, TREE]], [0, 9], own=(3, 3, 3)) == [3, 3, 3]


def _random(seed, shape, count=6):
    rng = np.random.default_rng(seed)
    grid = VoxelGrid((-3.0, 1.0, -1.0), (4.0, 7.0, 1.0), shape)
    volumes = rng.choice((EMPTY, 1, 2, 3, UNKNOWN_CLASS_ID), (count, *shape), p=(0.6, *[0.1] * 4))
    turns_deg = [(0, 0, 0), (90, 0, 0), (40, 0, 0), (-170, 3, 2), (5, 90, 0), (10, 60, 70)][:count]
    poses = np.stack([_pose(turn_deg, rng.normal(0, 2.0, 3)) for turn_deg in turns_deg])
    poses[0, :3, 3] = (0.0, 0.0, 100.0) if seed % 2 else 0.0  # far away
    weights = torch.from_numpy(rng.integers(0, 1000, shape, np.int32))
    own = torch.from_numpy(rng.integers(0, CLASSES, shape).astype(np.uint8))
    return torch.from_numpy(volumes.astype(np.uint8)), poses, weights, own, grid


@pytest.mark.parametrize("shape", [(70, 60, 32), (1, 40, 3), (13, 1, 1), (300, 7, 2)])
@pytest.mark.parametrize("seed", [0, 1])
def test_kernel_and_twin_give_the_same(seed, shape):
    volumes, poses, weights, own, grid = _random(seed, shape)
    places = [4, 0, 5, 3]
    twin, *others = (
        vote(
            volumes.to(device),
            places,
            poses[places],
            weights.to(device),
            own.to(device),
            grid,
            CLASSES,
            EMPTY,
            backend,
        ).cpu()
        for backend, device in BACKENDS[::-1]
    )
    assert shape[2] < 32 or (twin != own).any()
    for other in others:
        torch.testing.assert_close(other, twin, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": torch.ones(3, 1, 1)}, "weights: expected .* torch.int32"),
        ({"own": torch.zeros(2, 1, 1, dtype=torch.uint8)}, r"own: expected \(3, 1, 1\)"),
        ({"places": [0, 7]}, r"target_T_sources: expected \(2, 4, 4\)"),
        ({"places": [7]}, r"places: expected 0 to 1, got \[7\]"),
        ({"classes": 256}, "expected 0 <= empty < classes <= 255, got 0 and 256"),
    ],
)
def test_wrong_inputs_are_refused(changes, message):
    inputs = {
        "volumes": torch.zeros(2, 3, 1, 1, dtype=torch.uint8),
        "places": [1],
        "target_T_sources": np.eye(4)[None],
        "weights": torch.ones(3, 1, 1, dtype=torch.int32),
        "own": torch.zeros(3, 1, 1, dtype=torch.uint8),
        "grid": LINE,
        "classes": CLASSES,
        "empty": EMPTY,
    }
    with pytest.raises(ValueError, match=message):
        vote(**(inputs | changes))
