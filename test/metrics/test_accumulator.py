"""Sums over frames: the same to the last bit for every split, and through JSON."""

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import add

import numpy as np
import pytest

from occflow_ros.data.classes import FREE
from occflow_ros.metrics.accumulator import Accumulator, ExactSum, ImageMean, mean_of_known, share
from occflow_ros.metrics.depth import DepthErrors, DepthMetrics, depth_errors, evaluate_depth
from occflow_ros.metrics.ray_metrics import RayEnds, RayMetrics, evaluate_rays
from occflow_ros.metrics.scene_flow import PixelScenes, SceneFlowErrors, scene_flow_errors
from occflow_ros.metrics.voxel_iou import OccupancyCounts, count_occupancy

FRAMES = 12


def ray_metrics(generator):
    def ends():
        distance_m = np.where(generator.random(200) < 0.2, np.inf, generator.uniform(1, 9, 200))
        classes = np.where(np.isinf(distance_m), FREE, generator.integers(0, FREE, 200))
        return RayEnds(distance_m, classes, generator.normal(size=(200, 2)).astype(np.float32))

    return evaluate_rays(ends(), ends())


def scene_flow(generator):
    depths_m, flows_px = generator.uniform(1, 90, (2, 50)), generator.normal(0, 9, (2, 50, 2))
    known, foreground, moving = generator.random((3, 50)) < 0.5
    predicted, true = map(PixelScenes, depths_m, flows_px)
    masks = {"flow_known": known, "foreground": foreground, "moving": moving}
    return scene_flow_errors(predicted, true, 700.0, **masks)


KINDS = {
    RayMetrics: ray_metrics,
    DepthErrors: lambda generator: depth_errors(*generator.uniform(1, 90, (2, 50))),
    DepthMetrics: lambda generator: evaluate_depth(*generator.uniform(1, 90, (2, 50))),
    SceneFlowErrors: scene_flow,
    OccupancyCounts: lambda generator: count_occupancy(*generator.random((3, 4, 4, 4)) < 0.5),
}


def frames(kind):
    generator = np.random.default_rng(7)
    return [KINDS[kind](generator) for _ in range(FRAMES)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [1, 2, 5, FRAMES])
def test_any_split_gives_the_same_sum(kind, workers):
    parts = frames(kind)
    order = np.random.default_rng(workers).permutation(FRAMES)
    split = [[parts[index] for index in order[worker::workers]] for worker in range(workers)]
    sums = [reduce(add, one, kind()) for one in split]
    assert reduce(add, sums) == reduce(add, parts)


@pytest.mark.parametrize("kind", KINDS)
def test_through_json_and_back(kind):
    total = reduce(add, frames(kind))
    assert kind.from_dict(json.loads(json.dumps(total.to_dict(), allow_nan=False))) == total
    assert kind.from_dict(kind().to_dict()) == kind()


def test_a_sum_keeps_what_floats_round_away():
    values = [1e16, 1.0, -1e16, 1e-30]
    assert float(reduce(add, map(ExactSum.of, values))) == 1.0  # a float sum gives 1e-30
    generator = np.random.default_rng(1)
    spread = generator.normal(size=300) * 10.0 ** generator.integers(-20, 20, 300)
    total = reduce(add, map(ExactSum.of, spread.tolist()))
    assert sum(map(Fraction, total.parts)) == sum(map(Fraction, spread.tolist()))
    assert float(total) == math.fsum(spread)
    assert total == reduce(add, map(ExactSum.of, spread[::-1].tolist()))


def test_sums_of_nothing_and_of_what_is_no_number():
    assert ExactSum.of(0.0) == ExactSum() == ExactSum.of(2.5) + ExactSum.of(-2.5)
    assert float(ExactSum()) == 0.0
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="expected finite numbers"):
            ExactSum.of(value)


def test_means_over_images_and_shares():
    images = [ImageMean.of(value) for value in (1.0, math.nan, 4.0)]
    assert reduce(add, images).value == 2.5
    assert math.isnan(ImageMean().value)
    assert mean_of_known((1.0, math.nan, 2.0)) == 1.5
    assert share(1, 4) == 0.25
    assert math.isnan(mean_of_known((math.nan,)))
    assert math.isnan(share(0, 0))


@dataclass(frozen=True, slots=True)
class Named(Accumulator):
    against: str = "truth"
    pairs: tuple[tuple[int, ...], ...] = ()


def test_what_does_not_belong_together_is_not_added():
    assert Named("a", ((1, 2),)) + Named("a", ((3, 4),)) == Named("a", ((4, 6),))
    with pytest.raises(ValueError, match="against: expected a, got b"):
        Named("a") + Named("b")
    with pytest.raises(ValueError, match="pairs: expected 2 values, got 1"):
        Named("a", ((1, 2),)) + Named("a", ((1,),))
    with pytest.raises(TypeError):
        Named() + OccupancyCounts()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"against": "a"}, r"Named: expected the keys \['against', 'pairs'\], got \['against'\]"),
        ({"against": "a", "pairs": [], "more": 1}, "expected the keys"),
        ([1, 2], "expected the keys"),
        ({"against": 1, "pairs": []}, "against: expected str, got 1"),
        ({"against": "a", "pairs": [[1.5]]}, "pairs: expected int, got 1.5"),
        ({"against": "a", "pairs": [[True]]}, "pairs: expected int, got True"),
        ({"against": "a", "pairs": 3}, "pairs: expected a list, got 3"),
    ],
)
def test_other_values_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Named.from_dict(values)


def test_a_tuple_of_another_length_is_refused():
    values = DepthErrors().to_dict() | {"within": [1, 2]}
    with pytest.raises(ValueError, match="within: expected 3 values, got 2"):
        DepthErrors.from_dict(values)
