"""The nuScenes protocol along rays: by hand, invariances, and against a slow reference.

The reference casts rays in exact rational arithmetic and counts ray by ray in plain loops.
"""

import math
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from itertools import permutations, product
from operator import add

import numpy as np
import pytest

from occflow_ros.data.classes import FREE, MOVABLE, NAMES
from occflow_ros.metrics.ray_ends import leaving_m, ray_ends
from occflow_ros.metrics.ray_metrics import RayEnds, RayMetrics, evaluate_rays
from occflow_ros.ops.voxel_raycast import cast_rays
from occflow_ros.structures import VoxelGrid

CAR, BUS, ROAD, TREE = (
    NAMES.index(name) for name in ("car", "bus", "driveable_surface", "vegetation")
)
SHAPE, EDGE = (6, 5, 4), Fraction(7, 10)
GRID = VoxelGrid((0.0, 0.0, 0.0), tuple(float(EDGE * size) for size in SHAPE), SHAPE)
UNIT = [(1, 2, 2, 3), (2, 3, 6, 7), (4, 4, 7, 9), (0, 3, 4, 5), (0, 0, 1, 1)]


def directions():
    """Unit vectors whose components are fractions, into all octants."""
    for *vector, length in UNIT:
        for order in sorted(set(permutations(vector))):
            for signs in product((1, -1), repeat=3):
                yield tuple(Fraction(s * v, length) for s, v in zip(signs, order))


def volume(generator, share=0.15):
    """Random classes (X, Y, Z) and velocities (X, Y, Z, 2), unknown for some voxels."""
    classes = generator.choice([CAR, BUS, ROAD, TREE], SHAPE)
    classes[generator.random(SHAPE) > share] = FREE
    velocity_mps = generator.normal(0.0, 3.0, (*SHAPE, 2)).astype(np.float32)
    return classes, velocity_mps


def frames():
    """Truth, prediction, origin and directions of three sets."""
    generator = np.random.default_rng(5)
    for _ in range(3):
        (classes, velocity_mps), guess = volume(generator), volume(generator)
        velocity_mps[generator.random(SHAPE) < 0.2] = np.nan
        mixed = np.where(generator.random(SHAPE) < 0.7, classes, guess[0])
        origin = [Fraction(int(n), 97) for n in generator.integers(50, 250, 3)]
        rays = generator.permutation(np.array(list(directions()), dtype=object))[:50]
        yield (classes, velocity_mps), (mixed, guess[1]), origin, rays


def ends(classes, velocity_mps, origin, rays, grid=GRID, known_classes=True):
    hits = cast_rays(
        classes != FREE, grid, np.array(origin, float), np.array(rays, float), backend="numpy"
    )
    return ray_ends(hits, classes if known_classes else None, velocity_mps)


def evaluated(truth, prediction, origin, rays, known_classes=True):
    return evaluate_rays(
        ends(*truth, origin, rays), ends(*prediction, origin, rays, known_classes=known_classes)
    )


def slow_meeting(lower, upper, origin, ray):
    """Where a ray enters and leaves a box; it misses one that it leaves first."""
    near, far = Fraction(0), Fraction(10**6)
    for *sides, start, slope in zip(lower, upper, origin, ray):
        if slope == 0:
            far = far if sides[0] <= start < sides[1] else Fraction(-1)
            continue
        first, last = sorted((side - start) / slope for side in sides)
        near, far = max(near, first), min(far, last)
    return near, far


def slow_end(classes, velocity_mps, origin, ray):
    """Distance, class, velocity and far side of the nearest box; None where a ray meets none."""
    best = None
    for voxel in np.argwhere(classes != FREE).tolist():
        corners = [index * EDGE for index in voxel], [(index + 1) * EDGE for index in voxel]
        near, far = slow_meeting(*corners, origin, ray)
        if near < far and (best is None or near < best[0]):
            best = near, int(classes[tuple(voxel)]), velocity_mps[tuple(voxel)].tolist(), far
    return best


def slow_numbers(sets, aware):
    """The numbers of the protocol, ray by ray; `aware`: the predicted class has to be right."""
    rows, errors_tp, errors_all = [], {}, {}
    for truth, prediction, origin, rays in sets:
        pairs = [(slow_end(*truth, origin, r), slow_end(*prediction, origin, r)) for r in rays]
        pairs = [(true, guess) for true, guess in pairs if true]
        everywhere, found = [], set()
        for true, guess in pairs:
            guess_class = (guess[1] if guess else None) if aware else true[1]
            off = abs(true[0] - guess[0]) if guess else math.inf
            rows.append((true[1], guess_class, off))
            if math.isnan(true[2][0]):
                continue
            everywhere.append(math.dist(true[2], guess[2] if guess else (0, 0)))
            if true[1] in MOVABLE and guess_class == true[1] and off < 2:
                found.add(true[1])
                errors_tp.setdefault(true[1], []).append(everywhere[-1])
        for number in found:
            errors_all.setdefault(number, []).extend(everywhere)
    by_class = []
    for limit in (1, 2, 4):
        ious = []
        for number in range(FREE):
            true = sum(row[0] == number for row in rows)
            guessed = sum(row[1] == number for row in rows)
            hits = sum(row[0] == row[1] == number and row[2] < limit for row in rows)
            if true + guessed:
                ious.append(hits / (true + guessed - hits))
        by_class.append(sum(ious) / len(ious))
    pooled = [sum(row[2] < limit for row in rows) for limit in (1, 2, 4)]
    pooled = [hits / (2 * len(rows) - hits) for hits in pooled]

    def mean(errors):
        return np.mean([np.mean(values) for values in errors.values()])

    return by_class, pooled, mean(errors_tp), mean(errors_all)


def test_the_definition_in_exact_arithmetic_gives_the_same():
    sets = list(frames())
    got = reduce(add, [evaluated(*one) for one in sets]).numbers()
    for aware, prefix in ((False, "agnostic_"), (True, "")):
        by_class, pooled, mave_tp, mave = slow_numbers(sets, aware)
        at = [got[f"{prefix}ray_iou_at_{limit}m"] for limit in (1, 2, 4)]
        assert at == pytest.approx(by_class)
        assert got[f"{prefix}ray_iou"] == pytest.approx(sum(by_class) / 3)
        assert [got[f"pooled_ray_iou_at_{limit}m"] for limit in (1, 2, 4)] == pytest.approx(pooled)
        assert got[f"{prefix}mave_tp_mps"] == pytest.approx(mave_tp, rel=1e-6)
        assert got[f"{prefix}mave_mps"] == pytest.approx(mave, rel=1e-6)
        assert 0.05 < got[f"{prefix}ray_iou"] < 0.95
        score = 0.9 * sum(by_class) / 3 + 0.1 * max(1 - mave_tp, 0)
        assert got[f"{prefix}occ_score"] == pytest.approx(score)


def test_sums_do_not_depend_on_order_or_parts():
    first, second, third = (evaluated(*one) for one in frames())
    assert (first + second) + third == third + (second + first)


def test_perfect_empty_and_nothing_to_compare():
    (classes, velocity_mps), _, origin, rays = next(frames())
    truth = classes, np.nan_to_num(velocity_mps)
    perfect = evaluated(truth, truth, origin, rays).numbers()
    best = {name: 0.0 if "mave" in name else pytest.approx(1.0) for name in perfect}
    assert perfect == best
    nothing = np.full(SHAPE, FREE), np.zeros((*SHAPE, 2), np.float32)
    empty = evaluated(truth, nothing, origin, rays)
    assert {v for name, v in empty.numbers().items() if "iou" in name} == {0.0}
    assert "mave_mps" in empty.reasons()
    assert "no ray meets" in empty.reasons()["mave_mps"]
    blank = evaluated(nothing, truth, origin, rays)
    assert blank == RayMetrics()
    assert set(blank.reasons()) == set(blank.numbers())
    assert set(blank.reasons().values()) == {"no ray hits anything in the truth"}


def test_a_prediction_without_classes():
    truth, prediction, origin, rays = next(frames())
    got = evaluated(truth, prediction, origin, rays, known_classes=False)
    with_classes = evaluated(truth, prediction, origin, rays)
    assert got.agnostic == with_classes.agnostic
    assert got.agnostic_velocity == with_classes.agnostic_velocity
    assert got.reasons()["ray_iou"] == "the prediction has no classes"
    assert "agnostic_ray_iou" not in got.reasons()


def test_without_classes_the_names_of_the_prediction_do_not_matter():
    truth, (classes, velocity_mps), origin, rays = next(frames())
    others = np.where(classes == FREE, FREE, TREE)
    got = evaluated(truth, (others, velocity_mps), origin, rays)
    want = evaluated(truth, (classes, velocity_mps), origin, rays)
    assert (got.pooled, got.agnostic) == (want.pooled, want.agnostic)
    assert got.aware != want.aware


def test_renaming_classes_on_both_sides_changes_nothing():
    truth, prediction, origin, rays = next(frames())
    renamed = np.arange(FREE + 1)
    renamed[[CAR, BUS, ROAD, TREE]] = BUS, CAR, TREE, ROAD
    got = evaluated(
        (renamed[truth[0]], truth[1]), (renamed[prediction[0]], prediction[1]), origin, rays
    ).numbers()
    want = evaluated(truth, prediction, origin, rays).numbers()
    assert got == {name: pytest.approx(value, nan_ok=True) for name, value in want.items()}


def test_the_answer_moves_with_the_world():
    truth, prediction, origin, rays = next(frames())
    moved_m = np.array((16.0, -8.0, 4.0))
    lower, upper = (tuple(corner + moved_m) for corner in (GRID.lower_m, GRID.upper_m))
    there, there_m = VoxelGrid(lower, upper, SHAPE), np.array(origin, float) + moved_m
    got = evaluate_rays(*(ends(*one, there_m, rays, there) for one in (truth, prediction)))
    assert got == evaluated(truth, prediction, origin, rays)


def test_the_mirrored_world_scores_the_same():
    truth, prediction, origin, rays = next(frames())
    back = [SHAPE[1] * EDGE - origin[1]]
    there, away = [origin[0], *back, origin[2]], [(x, -y, z) for x, y, z in rays]
    mirrored = [(c[:, ::-1], v[:, ::-1] * np.float32((1, -1))) for c, v in (truth, prediction)]
    got, want = evaluated(*mirrored, there, away), evaluated(truth, prediction, origin, rays)
    assert got.numbers() == {
        name: pytest.approx(value, nan_ok=True) for name, value in want.numbers().items()
    }


@pytest.mark.parametrize("each_all", [False, True])
def test_where_rays_leave_by_hand(each_all):
    classes = np.full(SHAPE, FREE)
    classes[3, 2, 1] = CAR
    toward, up = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
    origin, rays = np.array((0.35, 1.75, 1.05)), np.array((toward, up, (0.0, -0.6, 0.8)))
    origin = origin[None, None] if each_all else origin
    hits = cast_rays(classes != FREE, GRID, origin, rays, backend="numpy")
    # Through voxel 3, from 2.1 to 2.8 m; out of the top at 2.8 m, twice.
    expected = [2.8 - 0.35, 2.8 - 1.05, 1.75 / 0.8]
    assert hits.distance_m == pytest.approx([2.1 - 0.35, math.inf, math.inf])
    assert leaving_m(hits, GRID, origin, rays) == pytest.approx(expected)


def test_where_rays_leave_in_exact_arithmetic():
    truth, _, origin, rays = next(frames())
    start, slopes = np.array(origin, float), np.array(rays, float)
    hits = cast_rays(truth[0] != FREE, GRID, start, slopes, backend="numpy")
    border = [0] * 3, [size * EDGE for size in SHAPE]
    ended = [slow_end(*truth, origin, ray) for ray in rays]
    far = [
        end[3] if end else slow_meeting(*border, origin, ray)[1] for end, ray in zip(ended, rays)
    ]
    assert leaving_m(hits, GRID, start, slopes) == pytest.approx([float(value) for value in far])
    assert 0 < sum(end is None for end in ended) < len(rays)


def test_as_published_code_ends_rays_a_miss_at_the_border_counts():
    classes = np.full(SHAPE, FREE)
    classes[5, 2, 1] = CAR
    origin, rays = np.array((0.35, 1.75, 1.05)), np.array(((1.0, 0.0, 0.0),))
    scores = []
    for one in (classes, np.full(SHAPE, FREE)):
        hits = cast_rays(one != FREE, GRID, origin, rays, backend="numpy")
        found = ray_ends(hits, one, np.zeros((*SHAPE, 2), np.float32))
        scores.append((found, replace(found, distance_m=leaving_m(hits, GRID, origin, rays))))
    here, there = (evaluate_rays(*pair).numbers() for pair in zip(*scores))
    assert (here["pooled_ray_iou"], there["pooled_ray_iou"]) == (0.0, 1.0)
    assert (here["ray_iou"], there["ray_iou"]) == (0.0, 0.0)


def test_other_rays_are_refused():
    one = RayEnds(np.ones(2), None, np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="true: expected classes"):
        evaluate_rays(one, one)
    with pytest.raises(ValueError, match=r"expected rays \(R,\) and velocities"):
        RayEnds(np.ones(2), None, np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match=r"expected classes \(2,\), got \(3,\)"):
        RayEnds(np.ones(2), np.zeros(3, int), np.zeros((2, 2), np.float32))
