"""First occupied voxel: by hand, by definition voxel for voxel, and twin against kernel."""

import sys

import numpy as np
import pytest

from occflow_ros.ops.packed_voxels import PackedVoxels
from occflow_ros.ops.voxel_raycast import cast_rays
from occflow_ros.structures import VoxelGrid

GRID = VoxelGrid((-2.0, -1.0, 0.0), (2.0, 2.0, 1.0), (8, 6, 2))  # voxels of 0.5 m
BACKENDS = ("numba", "numpy")


def volume(*voxels, grid=GRID):
    occupied = np.zeros(grid.shape, dtype=bool)
    for voxel in voxels:
        occupied[voxel] = True
    return occupied


def cast(occupied, origin, direction, backend, grid=GRID):
    direction = np.array([direction], dtype=float)
    hits = cast_rays(
        occupied, grid, np.array([origin]), direction / np.linalg.norm(direction), backend
    )
    index = int(hits.index[0])
    voxel = None if index < 0 else tuple(int(i) for i in np.unravel_index(index, grid.shape))
    return float(hits.distance_m[0]), voxel


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("origin", "direction", "distance_m", "voxel"),
    [
        ((-1.75, -0.75, 0.25), (1, 0, 0), 2.75, (6, 0, 0)),
        ((-9.75, -0.75, 0.25), (1, 0, 0), 10.75, (6, 0, 0)),  # from outside
        ((9.75, -0.75, 0.25), (-1, 0, 0), 8.25, (6, 0, 0)),
        ((1.25, -0.75, 0.25), (0, 1, 0), 0.0, (6, 0, 0)),  # from inside the voxel
        ((1.25, 1.75, 0.25), (0, -1, 0), 2.25, (6, 0, 0)),
        ((1.25, -0.75, 7.0), (0, 0, -1), 6.5, (6, 0, 0)),
        ((0.25, -1.75, 0.25), (1, 1, 0), 0.75 * 2**0.5, (6, 0, 0)),  # along the diagonal
        ((-1.75, -0.75, 0.25), (-1, 0, 0), np.inf, None),
        ((-1.75, -0.75, 0.75), (1, 0, 0), np.inf, None),  # the layer above
        ((-9.0, 9.0, 0.25), (1, 0, 0), np.inf, None),  # passes the grid
        ((9.0, -0.75, 0.25), (1, 0, 0), np.inf, None),  # the grid lies behind
    ],
)
def test_by_hand(backend, origin, direction, distance_m, voxel):
    got_m, got_voxel = cast(volume((6, 0, 0)), origin, direction, backend)
    assert got_m == pytest.approx(distance_m)
    assert got_voxel == voxel


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_ray_in_a_face_belongs_to_the_voxel_above_it(backend):
    lower_neighbour, owner = volume((4, 1, 0)), volume((4, 2, 0))
    assert cast(lower_neighbour, (-3.0, 0.0, 0.25), (1, 0, 0), backend) == (np.inf, None)
    assert cast(owner, (-3.0, 0.0, 0.25), (1, 0, 0), backend) == (3.0, (4, 2, 0))
    assert cast(owner, (3.0, 0.0, 0.25), (-1, 0, 0), backend) == (2.5, (4, 2, 0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_upper_border_lies_outside(backend):
    everything = np.ones(GRID.shape, dtype=bool)
    assert cast(everything, (-3.0, 2.0, 0.25), (1, 0, 0), backend) == (np.inf, None)
    assert cast(everything, (-3.0, -1.0, 0.25), (1, 0, 0), backend) == (1.0, (0, 0, 0))
    assert cast(everything, (2.0, 0.25, 0.25), (-1, 0, 0), backend) == (0.0, (7, 2, 0))
    assert cast(everything, (2.0, 0.25, 0.25), (1, 0, 0), backend) == (np.inf, None)


@pytest.mark.parametrize("backend", BACKENDS)
def test_through_an_edge_into_the_voxel_across(backend):
    beside = volume((3, 2, 0), (4, 1, 0))  # the edge at (0, 0) belongs to voxel (4, 2)
    assert cast(beside, (-0.25, -0.25, 0.25), (1, 1, 0), backend) == (np.inf, None)
    assert cast(beside, (0.25, 0.25, 0.25), (-1, -1, 0), backend) == (np.inf, None)
    edge = volume((4, 2, 0))
    distance_m, voxel = cast(edge, (-0.25, 0.25, 0.25), (1, -1, 0), backend)
    assert distance_m == pytest.approx(0.25 * 2**0.5)
    assert voxel == (4, 2, 0)


def by_definition(occupied, start, slope):
    """Entry and voxel over all occupied voxels: half-open slabs, each voxel by itself."""
    best = (np.inf, True, -1)
    for voxel in np.argwhere(occupied):
        enter, leave = (0.0, False), (np.inf, True)
        for lower, at, by in zip(voxel, start, slope):
            if by == 0:
                if not lower <= at < lower + 1:
                    leave = (-np.inf, False)
                continue
            near, far = (lower, lower + 1) if by > 0 else (lower + 1, lower)
            enter = max(enter, ((near - at) / by, bool(by < 0)))
            leave = min(leave, ((far - at) / by, bool(by < 0)))
        if enter < leave:
            best = min(best, (*enter, int(np.ravel_multi_index(voxel, occupied.shape))))
    return best[0], best[2]


def random_rays(generator, grid, count):
    """Origins and directions of which many lie on faces, edges and corners."""
    lower, upper, size = (np.array(v) for v in (grid.lower_m, grid.upper_m, grid.voxel_size_m))
    origins = generator.uniform(lower - 0.5, upper + 0.5, (count, 3))
    snapped = lower + np.round((origins - lower) / size) * size
    origins = np.where(generator.random((count, 3)) < 0.5, snapped, origins)
    directions = generator.normal(size=(count, 3))
    steps = generator.integers(-1, 2, (count, 3))
    directions = np.where(generator.random((count, 1)) < 0.5, directions, steps)
    directions[~directions.any(axis=1)] = (0.0, 0.0, 1.0)
    return origins, directions / np.linalg.norm(directions, axis=1, keepdims=True)


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_every_ray_meets_what_the_definition_says(share):
    generator = np.random.default_rng(3)
    grid = VoxelGrid((-2.0, -1.0, 0.0), (0.5, 1.0, 0.75), (10, 8, 3))  # exact in binary
    occupied = generator.random(grid.shape) < share
    origins, directions = random_rays(generator, grid, 1_000)
    hits = cast_rays(occupied, grid, origins, directions)
    starts = (origins - np.array(grid.lower_m)) / np.array(grid.voxel_size_m)
    slopes = directions / np.array(grid.voxel_size_m)
    expected = [by_definition(occupied, *ray) for ray in zip(starts, slopes)]
    np.testing.assert_array_equal(hits.distance_m, [distance for distance, _ in expected])
    np.testing.assert_array_equal(hits.index, [index for _, index in expected])
    assert 20 < (hits.index >= 0).sum() < 1_000


@pytest.fixture(params=["numba", "cupy"])
def kernel(request):
    if request.param == "cupy":
        if request.getfixturevalue("device").type != "cuda":
            pytest.skip("CuPy needs pytest --device cuda")
        pytest.importorskip("cupy")
    return request.param


def assert_same(got, expected):
    np.testing.assert_array_equal(got.distance_m, expected.distance_m)
    np.testing.assert_array_equal(got.index, expected.index)


@pytest.mark.parametrize("shape", [(40, 40, 16), (7, 1, 3), (1, 1, 1), (5, 9, 70)])
@pytest.mark.parametrize("share", [0.0, 0.002, 0.1, 1.0])
def test_kernels_and_twin_give_the_same_numbers(kernel, share, shape):
    generator = np.random.default_rng(5)
    upper_m = tuple(0.4 * count - 8.0 for count in shape)  # not exact in binary
    grid = VoxelGrid((-8.0, -8.0, -8.0), upper_m, shape)
    occupied = generator.random(grid.shape) < share
    rays = random_rays(generator, grid, 2_000)
    twin = cast_rays(occupied, grid, *rays, backend="numpy")
    assert_same(cast_rays(occupied, grid, *rays, backend=kernel), twin)
    packed = PackedVoxels.pack(occupied)
    for backend in (kernel, "numpy"):
        assert_same(cast_rays(packed, grid, *rays, backend=backend), twin)


@pytest.mark.parametrize("reach_m", [0.0, 3.0, 1e3, 1e7])
def test_they_do_so_along_the_axes_and_diagonals_from_near_and_far(kernel, reach_m):
    generator = np.random.default_rng(7)
    grid = VoxelGrid((-2.0, -1.0, 0.0), (0.5, 1.0, 0.75), (10, 8, 3))  # exact in binary
    occupied = generator.random(grid.shape) < 0.05
    steps = np.stack(np.meshgrid(*[(-1.0, 0.0, 1.0)] * 3), -1).reshape(-1, 3)
    steps = np.tile(steps[steps.any(axis=1)], (100, 1))  # (26 · 100, 3)
    size_m = np.array(grid.voxel_size_m)
    targets = np.array(grid.lower_m) + generator.integers(0, grid.shape, steps.shape) * size_m
    targets += np.where(generator.random(steps.shape) < 0.3, 0.1, 0.0)  # else edges and corners
    rays = targets - reach_m * steps, steps / np.linalg.norm(steps, axis=1, keepdims=True)
    twin = cast_rays(occupied, grid, *rays, backend="numpy")
    assert_same(cast_rays(occupied, grid, *rays, backend=kernel), twin)
    assert (twin.index >= 0).any()


def test_origins_that_share_directions_are_pairs_in_turn(kernel):
    generator = np.random.default_rng(11)
    occupied = generator.random(GRID.shape) < 0.1
    origins, directions = random_rays(generator, GRID, 50)
    pairs = origins[:7].repeat(50, axis=0), np.tile(directions, (7, 1))
    expected = cast_rays(occupied, GRID, *pairs, backend="numpy")
    for backend in (kernel, "numpy"):
        assert_same(cast_rays(occupied, GRID, origins[:7, None], directions, backend), expected)
    assert len(cast_rays(occupied, GRID, np.zeros((0, 1, 3)), directions, kernel).index) == 0


def test_memory_order_does_not_matter(kernel):
    generator = np.random.default_rng(13)
    occupied = np.asfortranarray(generator.random(GRID.shape) < 0.1)
    rays = [np.asfortranarray(array) for array in random_rays(generator, GRID, 100)]
    twin = cast_rays(occupied, GRID, *rays, backend="numpy")
    assert_same(cast_rays(occupied, GRID, *rays, backend=kernel), twin)


def test_no_rays_and_one_origin_for_all():
    assert len(cast_rays(volume(), GRID, np.zeros(3), np.zeros((0, 3))).index) == 0
    directions = np.array([(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)])
    hits = cast_rays(volume((6, 0, 0)), GRID, (-1.75, -0.75, 0.25), directions)
    np.testing.assert_array_equal(hits.distance_m, [2.75, np.inf])


def test_what_is_no_ray_is_refused():
    one = np.array([(1.0, 0.0, 0.0)])
    with pytest.raises(ValueError, match="expected unit vectors"):
        cast_rays(volume(), GRID, np.zeros(3), 2.0 * one)
    with pytest.raises(ValueError, match=r"expected \(8, 6, 2\) bool"):
        cast_rays(np.zeros((2, 2, 2), bool), GRID, np.zeros(3), one)
    with pytest.raises(ValueError, match="origins_m"):
        cast_rays(volume(), GRID, np.full((1, 3), np.nan), one)
    with pytest.raises(ValueError, match=r"expected \(D, 3\)"):
        cast_rays(volume(), GRID, np.zeros(3), one[0])
    with pytest.raises(ValueError, match=r"\(1, 3\) or \(O, 1, 3\) finite, got \(1, 2, 3\)"):
        cast_rays(volume(), GRID, np.zeros((1, 2, 3)), one)
    with pytest.raises(ValueError, match=r"expected \(8, 6, 2\) bool"):
        cast_rays(PackedVoxels.pack(np.zeros((2, 2, 2), bool)), GRID, np.zeros(3), one)
    with pytest.raises(ValueError, match="expected numpy, numba, cupy, got 'torch'"):
        cast_rays(volume(), GRID, np.zeros(3), one, backend="torch")


@pytest.mark.parametrize(
    ("backend", "install"), [("numba", "numba"), ("cupy", r"'occflow_ros\[cupy\]'")]
)
def test_without_the_compiler_the_error_names_what_to_install(monkeypatch, backend, install):
    monkeypatch.setitem(sys.modules, backend, None)
    for module in ("compiled", f"voxel_raycast_{backend}"):
        monkeypatch.delitem(sys.modules, f"occflow_ros.ops.{module}", raising=False)
    one = np.array([(1.0, 0.0, 0.0)])
    with pytest.raises(ImportError, match=f"expected {backend}, got none: pip install {install}"):
        cast_rays(volume(), GRID, np.zeros(3), one, backend)
    assert cast_rays(volume(), GRID, np.zeros(3), one, backend="numpy").index[0] == -1
