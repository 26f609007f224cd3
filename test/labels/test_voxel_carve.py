"""Voxels that segments cross: by hand, by definition voxel for voxel, and twin against kernel."""

import sys

import numpy as np
import pytest

from occflow_ros.ops.voxel_carve import carve
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-2.0, -1.0, 0.0), (2.0, 2.0, 1.0), (8, 6, 2))  # voxels of 0.5 m
BACKENDS = ("numba", "numpy")
NOTHING = np.zeros(GRID.shape, dtype=bool)


def row(*x, y=0):
    return {(i, y, 0) for i in x}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("origin", "end", "crossed"),
    [
        ((-1.75, -0.75, 0.25), (0.25, -0.75, 0.25), row(0, 1, 2, 3)),  # not the one at the end
        ((-1.75, -0.75, 0.25), (-1.6, -0.6, 0.4), set()),  # within one voxel
        ((-9.75, -0.75, 0.25), (0.25, -0.75, 0.25), row(0, 1, 2, 3)),  # from outside
        ((-9.75, -0.75, 0.25), (9.0, -0.75, 0.25), row(*range(8))),  # right through
        ((0.75, -0.75, 0.25), (9.0, -0.75, 0.25), row(5, 6, 7)),
        ((-9.75, -0.75, 0.25), (-3.0, -0.75, 0.25), set()),  # ends before the grid
        ((-9.75, 5.0, 0.25), (9.0, 5.0, 0.25), set()),  # beside it
        ((-0.75, -0.75, 0.25), (0.0, -0.75, 0.25), row(2, 3)),  # a face is of the voxel above
        ((1.25, -0.75, 0.25), (0.0, -0.75, 0.25), row(6, 5)),
        ((0.0, -0.75, 0.25), (-0.75, -0.75, 0.25), row(4, 3)),
        ((-0.25, -0.25, 0.25), (0.25, 0.25, 0.25), {(3, 1, 0)}),  # through an edge, across
        ((0.25, 0.25, 0.25), (-0.25, -0.25, 0.25), {(4, 2, 0)}),
        ((-0.25, 0.25, 0.25), (0.25, -0.25, 0.25), {(3, 2, 0), (4, 2, 0)}),  # its owner
        ((-0.75, 0.0, 0.25), (0.25, 0.0, 0.25), row(2, 3, y=2)),  # in a face
    ],
)
def test_by_hand(backend, origin, end, crossed):
    mask = carve(NOTHING, GRID, np.array(origin), np.array([end]), backend)
    assert {tuple(map(int, voxel)) for voxel in np.argwhere(mask)} == crossed


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_blocked_voxel_is_the_last(backend):
    blocked = NOTHING.copy()
    blocked[2, 0, 0] = True
    ends = np.array([(9.0, -0.75, 0.25), (-1.25, -0.75, 0.25)])
    mask = carve(blocked, GRID, (-1.75, -0.75, 0.25), ends, backend)
    assert {tuple(map(int, voxel)) for voxel in np.argwhere(mask)} == row(0, 1, 2)


def by_definition(shape, start, end):
    """Voxels of which a segment has a point, but for the one of its end: half-open slabs."""
    slope, last = end - start, tuple(np.floor(end).astype(int))
    for voxel in np.ndindex(shape):
        enter, leave = (0.0, False), (1.0, True)
        for lower, at, by in zip(voxel, start, slope):
            if by == 0:
                leave = leave if lower <= at < lower + 1 else (-np.inf, False)
                continue
            near, far = (lower, lower + 1) if by > 0 else (lower + 1, lower)
            enter = max(enter, ((near - at) / by, bool(by < 0)))
            leave = min(leave, ((far - at) / by, bool(by < 0)))
        if enter < leave and voxel != last:
            yield voxel


def random_segments(generator, grid, count):
    """Origins and ends of which many lie on faces, edges and corners."""
    lower, upper, size = (np.array(v) for v in (grid.lower_m, grid.upper_m, grid.voxel_size_m))
    points = generator.uniform(lower - 0.5, upper + 0.5, (2, count, 3))
    snapped = lower + np.round((points - lower) / size) * size
    points = np.where(generator.random((2, count, 3)) < 0.5, snapped, points)
    same = generator.random((count, 3)) < 0.2
    points[1] = np.where(same, points[0], points[1])
    return points


def test_each_segment_crosses_what_the_definition_says():
    generator = np.random.default_rng(3)
    grid = VoxelGrid((-1.0, -1.0, 0.0), (0.5, 1.0, 0.75), (6, 8, 3))  # exact in binary
    nothing = np.zeros(grid.shape, dtype=bool)
    lower, size = np.array(grid.lower_m), np.array(grid.voxel_size_m)
    total = 0
    for origin, end in zip(*random_segments(generator, grid, 150)):
        got = {tuple(map(int, v)) for v in np.argwhere(carve(nothing, grid, origin, end[None]))}
        expected = set(by_definition(grid.shape, (origin - lower) / size, (end - lower) / size))
        assert got == expected
        total += len(got)
    assert total > 300


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2])
def test_kernel_and_twin_give_the_same_voxels(share):
    generator = np.random.default_rng(5)
    grid = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 5.4), (40, 40, 16))  # not exact in binary
    blocked = generator.random(grid.shape) < share
    for count in (1, 3, 100):  # few, so that most voxels are crossed by one segment alone
        segments = random_segments(generator, grid, count)
        kernel, twin = (carve(blocked, grid, *segments, backend=backend) for backend in BACKENDS)
        np.testing.assert_array_equal(kernel, twin)
    assert 100 < kernel.sum() < kernel.size


def test_no_segments_cross_nothing():
    assert not carve(NOTHING, GRID, np.zeros(3), np.zeros((0, 3))).any()


def test_what_is_no_segment_is_refused():
    one = np.zeros((1, 3))
    with pytest.raises(ValueError, match=r"expected \(8, 6, 2\) bool"):
        carve(np.zeros((2, 2, 2), bool), GRID, np.zeros(3), one)
    with pytest.raises(ValueError, match="origins_m"):
        carve(NOTHING, GRID, np.zeros((2, 3)), one)
    with pytest.raises(ValueError, match=r"ends_m: expected \(R, 3\) finite"):
        carve(NOTHING, GRID, np.zeros(3), np.full((1, 3), np.inf))


def test_without_numba_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    for module in ("compiled", "voxel_carve_numba"):
        monkeypatch.delitem(sys.modules, f"occflow_ros.ops.{module}", raising=False)
    one = np.array([(1.25, 0.25, 0.25)])
    with pytest.raises(ImportError, match="pip install numba"):
        carve(NOTHING, GRID, np.zeros(3), one)
    assert carve(NOTHING, GRID, (0.25, 0.25, 0.25), one, backend="numpy").sum() == 2
