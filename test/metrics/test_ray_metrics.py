"""RayIoU and velocity at ray hits: counts by hand, and against a slow reference."""

import math
from functools import reduce
from operator import add

import numpy as np
import pytest

from occflow_ros.data.classes import FREE, MOVABLE, NAMES
from occflow_ros.geometry import se3
from occflow_ros.metrics.ray_iou import (
    ClassRayCounts,
    RayCounts,
    count_class_rays,
    count_rays,
    ray_directions,
    ray_origins,
    ray_set,
)
from occflow_ros.metrics.velocity import RayVelocityErrors, occ_score, ray_velocity_errors

CAR, BUS, ROAD = (NAMES.index(name) for name in ("car", "bus", "driveable_surface"))
INF = math.inf


def test_the_pattern_has_39_pitches_and_360_azimuths():
    directions = ray_directions()
    assert directions.shape == (39 * 360, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    pitch = np.arcsin(directions[::360, 2])
    np.testing.assert_allclose(np.tan(pitch[:10]), -1.0 / np.arange(1, 11))
    np.testing.assert_allclose(np.diff(pitch[8:]), pitch[9] - pitch[8])
    assert pitch[-2] < 0.21 <= pitch[-1]
    np.testing.assert_allclose(directions[90, :2] / np.cos(pitch[0]), (0.0, 1.0), atol=1e-12)


def test_origins_are_spread_over_the_near_ones_in_the_ego_frame():
    pose = se3.from_quaternion_translation((0, 0, math.sqrt(0.5), math.sqrt(0.5)), (100, 0, 0))
    along_y = np.array([(100.0, 10.0 * step, 2.0) for step in range(10)])  # ego x after the turn
    np.testing.assert_allclose(
        ray_origins(pose, along_y), [(10.0 * step, 0.0, 2.0) for step in range(4)], atol=1e-12
    )
    dense = np.array([(100.0, float(step), 2.0) for step in range(100)])
    spread = ray_origins(pose, dense)
    np.testing.assert_allclose(spread[:, 0], [0, 5, 11, 16, 22, 27, 33, 38], atol=1e-9)
    assert ray_origins(pose, along_y + 1000.0).shape == (0, 3)
    origins, directions = ray_set(spread)
    assert (origins.shape, directions.shape) == ((8, 1, 3), (14_040, 3))


TRUE_M = np.array([10.0, 10.0, 10.0, 10.0, INF, 10.0])
PREDICTED_M = np.array([10.0, 10.999, 11.0, 12.5, 3.0, INF])


def test_class_agnostic_counts_by_hand():
    counts = count_rays(TRUE_M, PREDICTED_M)
    assert counts == RayCounts(rays=5, within=(2, 3, 4))
    assert counts.iou == pytest.approx((2 / 8, 3 / 7, 4 / 6))
    assert counts.ray_iou == pytest.approx((2 / 8 + 3 / 7 + 4 / 6) / 3)
    chosen = np.array([True, False, True, False, True, False])
    assert count_rays(TRUE_M, PREDICTED_M, chosen) == RayCounts(2, (1, 2, 2))


def test_perfect_zero_and_no_rays():
    assert count_rays(TRUE_M, TRUE_M).ray_iou == 1.0
    assert count_rays(TRUE_M, np.full(6, INF)).ray_iou == 0.0
    assert math.isnan(count_rays(np.full(6, INF), PREDICTED_M).ray_iou)
    assert math.isnan(RayCounts().ray_iou)
    assert math.isnan(ClassRayCounts().ray_iou)


def test_counts_by_class_by_hand():
    true = np.array([CAR, CAR, ROAD, ROAD, FREE, CAR])
    predicted = np.array([CAR, ROAD, ROAD, ROAD, CAR, FREE])
    counts = count_class_rays(TRUE_M, PREDICTED_M, true, predicted)
    assert (counts.true[CAR], counts.true[ROAD]) == (3, 2)
    assert (counts.predicted[CAR], counts.predicted[ROAD]) == (1, 3)
    assert [hits[CAR] for hits in counts.within] == [1, 1, 1]
    assert [hits[ROAD] for hits in counts.within] == [0, 1, 2]
    assert [of_class[CAR] for of_class in counts.iou] == pytest.approx([1 / 3] * 3)
    assert counts.mean_iou == pytest.approx((1 / 6, (1 / 3 + 1 / 4) / 2, (1 / 3 + 2 / 3) / 2))
    assert math.isnan(counts.iou[0][BUS])
    assert counts.by_name()["car"] == pytest.approx((1 / 3,) * 3)
    assert count_class_rays(TRUE_M, TRUE_M, true, true).ray_iou == 1.0


def random_rays(seed, count=500):
    generator = np.random.default_rng(seed)
    true_m, predicted_m = generator.uniform(0.0, 20.0, (2, count))
    predicted_m = np.where(generator.random(count) < 0.5, true_m + 0.2, predicted_m)
    true_m[generator.random(count) < 0.1] = INF
    predicted_m[generator.random(count) < 0.1] = INF
    true, predicted = generator.choice([CAR, BUS, ROAD], (2, count))
    true[np.isinf(true_m)] = predicted[np.isinf(predicted_m)] = FREE
    return true_m, predicted_m, true, predicted


def slow_ray_iou(true_m, predicted_m, true, predicted):
    """Straight from the definition, ray by ray."""
    scores = []
    for limit in (1, 2, 4):
        of_classes = []
        for number in range(FREE):
            hits = in_true = in_predicted = 0
            for at, guess, here, there in zip(true_m, predicted_m, true, predicted):
                if here != FREE:
                    in_true += here == number
                    in_predicted += there == number
                    hits += here == number == there and abs(at - guess) < limit
            if in_true + in_predicted:
                of_classes.append(hits / (in_true + in_predicted - hits))
        scores.append(sum(of_classes) / len(of_classes))
    return sum(scores) / 3


def test_the_definition_ray_by_ray_gives_the_same():
    rays = random_rays(1)
    assert count_class_rays(*rays).ray_iou == pytest.approx(slow_ray_iou(*rays))


@pytest.mark.parametrize("count", [count_class_rays, lambda t, p, *_: count_rays(t, p)])
def test_sums_do_not_depend_on_order_or_parts(count):
    parts = [random_rays(seed) for seed in range(4)]
    whole = count(*(np.concatenate(arrays) for arrays in zip(*parts)))
    assert reduce(add, [count(*part) for part in parts]) == whole
    assert reduce(add, [count(*part) for part in reversed(parts)]) == whole


def test_velocity_by_class_by_hand():
    true = np.array([CAR, CAR, BUS, ROAD, FREE, BUS])
    true_mps = np.tile(np.array((3.0, 4.0), np.float32), (6, 1))
    predicted_mps = np.zeros_like(true_mps)
    predicted_mps[0] = (3.0, 3.0)
    errors = ray_velocity_errors(TRUE_M, PREDICTED_M, true, true, true_mps, predicted_mps)
    # Within 2 m: cars of rays 0 and 1 (errors 1 and 5) and the bus of ray 2 (error 5).
    assert errors.mave_tp_mps == pytest.approx((3.0 + 5.0) / 2)
    assert errors.mave_mps == pytest.approx(21.0 / 5)  # five rays hit: errors 1, 5, 5, 5 and 5
    assert [errors.all_rays[MOVABLE.index(number)].voxels for number in (CAR, BUS)] == [5, 5]
    assert errors.true_positives[MOVABLE.index(BUS)].voxels == 1
    assert errors.by_name()["bus"] == pytest.approx((5.0, 21.0 / 5))
    assert all(map(math.isnan, errors.by_name()["truck"]))
    perfect = ray_velocity_errors(TRUE_M, TRUE_M, true, true, true_mps, true_mps)
    assert perfect.mave_tp_mps == perfect.mave_mps == 0.0
    assert (errors + perfect).true_positives[MOVABLE.index(CAR)].mean_mps == pytest.approx(6 / 4)


def test_velocity_counts_on_the_same_class_only():
    true, predicted = np.full(6, CAR), np.array([BUS, BUS, CAR, CAR, CAR, FREE])
    true_mps, still = np.ones((6, 2), np.float32), np.zeros((6, 2), np.float32)
    errors = ray_velocity_errors(TRUE_M, PREDICTED_M, true, predicted, true_mps, still)
    assert errors.true_positives[MOVABLE.index(CAR)].voxels == 1  # ray 2; ray 3 ends 2.5 m off
    none = ray_velocity_errors(TRUE_M, PREDICTED_M, true, np.full(6, BUS), true_mps, still)
    assert none == RayVelocityErrors()


def test_unknown_velocity_does_not_count():
    unknown, cars = np.full((6, 2), np.nan, np.float32), np.full(6, CAR)
    still = np.zeros_like(unknown)
    errors = ray_velocity_errors(TRUE_M, PREDICTED_M, cars, cars, unknown, still)
    assert math.isnan(errors.mave_mps)
    assert math.isnan(RayVelocityErrors().mave_tp_mps)
    with pytest.raises(ValueError, match="expected finite velocities, got 5"):
        ray_velocity_errors(TRUE_M, TRUE_M, cars, cars, still, unknown)


@pytest.mark.parametrize(
    ("ray_iou", "mave_mps", "score"),
    [(1.0, 0.0, 1.0), (0.4, 0.5, 0.41), (0.4, 1.6, 0.36), (0.0, 0.0, 0.1)],
)
def test_the_score_of_the_challenge(ray_iou, mave_mps, score):
    assert occ_score(ray_iou, mave_mps) == pytest.approx(score)
    assert math.isnan(occ_score(ray_iou, math.nan))
    assert math.isnan(occ_score(math.nan, mave_mps))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="expected rays"):
        count_rays(TRUE_M, PREDICTED_M[:3])
    with pytest.raises(ValueError, match="expected classes"):
        count_class_rays(TRUE_M, PREDICTED_M, np.zeros(3, int), np.zeros(6, int))
