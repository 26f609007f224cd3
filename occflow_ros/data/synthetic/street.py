"""Lays out a world from a seed: houses, trees, lamps, parked cars, traffic and people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from occflow_ros.data.synthetic import actors, scenery
from occflow_ros.data.synthetic import road as cross_section
from occflow_ros.data.synthetic.model import Model, Part
from occflow_ros.data.synthetic.motion import Motion, planar_pose
from occflow_ros.data.synthetic.road import Road, make_road
from occflow_ros.data.synthetic.textures import noise_table
from occflow_ros.data.synthetic.world import Parts, World
from occflow_ros.geometry.se3 import Array

MARGIN_M = 130.0

_EGO_OFFSET_M = -0.5 * cross_section.LANE_M
_PARKING_OFFSET_M = 5.95
_BIKE_OFFSET_M = 4.05
_TREE_OFFSET_M = 7.8


@dataclass(frozen=True, slots=True)
class Law:
    """Motion of one object, see `Motion`; headings are against the tangent of the street."""

    arc_m: float
    offset_m: float
    speed_mps: float = 0.0
    surge_m: float = 0.0
    lateral_mps: float = 0.0
    offset_limits_m: tuple[float, float] = (-99.0, 99.0)
    yaw_rad: float = 0.0
    height_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the layout of one street is drawn from.

    Args:
        rng: source of every choice.
        ego: law of the base.
        length_m: of the ego's way.
        duration_s: of the drive.
        crosswalks_m: places along the street.
    """

    rng: np.random.Generator
    ego: Law
    length_m: float
    duration_s: float
    crosswalks_m: tuple[float, ...]

    def places(self, low_m: float, high_m: float) -> Iterator[float]:
        """Along the whole street, with random gaps between two bounds."""
        place = -MARGIN_M + self.rng.uniform(0.0, high_m)
        while place < self.length_m + MARGIN_M:
            yield float(place)
            place += self.rng.uniform(low_m, high_m)

    def is_clear(self, arc_m: float, gap_m: float) -> bool:
        """Whether a place keeps a distance from every crosswalk."""
        return all(abs(arc_m - place) > gap_m for place in self.crosswalks_m)


def make_world(seed: int, duration_s: float = 30.0, back: bool = False) -> World:
    """A street and its traffic for a drive from time 0 to `duration_s`.

    The same seed and duration give the same world.

    Args:
        seed: of the world.
        duration_s: of the drive.
        back: the drive begins at the other end of the same street, in the lane of oncoming traffic,
            where whoever would be in its way is left out.

    Raises:
        ValueError: where the duration is not positive.
    """
    if not duration_s > 0.0:
        raise ValueError(f"duration_s: expected a positive time, got {duration_s}")
    rng = np.random.default_rng(seed)
    speed = float(rng.uniform(6.5, 9.0))
    ego = Law(0.0, _EGO_OFFSET_M, speed, surge_m=float(rng.uniform(0.5, 1.5)))
    length = speed * duration_s
    crosswalks = tuple(float(s) for s in np.arange(rng.uniform(22.0, 40.0), length + 60.0, 75.0))
    plan = Plan(rng, ego, length, duration_s, crosswalks)
    static = [*_houses(plan), *_greenery(plan), *_furniture(plan)]
    movers = [*_parked(plan), *_traffic(plan), *_walkers(plan)]
    movers = [*movers, *_crossers(plan, [law for _, law in movers])]
    road, sun = _road(rng, length), _sun_direction(rng)
    if back:
        ego = _back(ego, length)
        movers = _out_of_its_way(movers, ego, duration_s)
    return assemble_world(seed, road, static, movers, ego, crosswalks, sun)


def _back(ego: Law, length_m: float) -> Law:
    return replace(
        ego,
        arc_m=length_m,
        offset_m=-ego.offset_m,
        speed_mps=-ego.speed_mps,
        surge_m=-ego.surge_m,
        yaw_rad=np.pi,
    )


def _out_of_its_way(
    movers: Sequence[tuple[Model, Law]], ego: Law, duration_s: float
) -> list[tuple[Model, Law]]:
    times_s = torch.arange(-1.0, duration_s + 1.0, 0.1, dtype=torch.float64)[:, None]
    arc, offset = motion_of([ego, *(law for _, law in movers)]).street_at(times_s)  # (T, 1 + K)
    close = ((arc - arc[:, :1]).abs() < 9.0) & ((offset - offset[:, :1]).abs() < 2.0)
    in_the_way = close.any(dim=0)[1:].tolist()
    return [mover for mover, meets in zip(movers, in_the_way) if not meets]


def assemble_world(
    seed: int,
    road: Road,
    static: Sequence[tuple[Model, Law]],
    movers: Sequence[tuple[Model, Law]],
    ego: Law,
    crosswalks_m: Sequence[float],
    sun: Array,
) -> World:
    """Put models where their laws say; `seed` draws the textures.

    Args:
        static: stand on the sidewalk or the grass and belong to the street.
        movers: objects, numbered from 1.
        sun: (3,) unit vector towards the sun.

    Raises:
        ValueError: where there is nothing to put.
    """
    if not static and not movers:
        raise ValueError("expected at least one model, got none")
    models = [model for model, _ in movers]
    sizes = [(0.0, 0.0, 0.0), *(model.size_lwh_m for model in models)]
    return World(
        seed=seed,
        road=road,
        parts=_parts(static, models, road, np.random.default_rng(seed)),
        motion=motion_of([Law(0.0, 0.0), *(law for _, law in movers)]),
        categories=("", *(model.category for model in models)),
        sizes_lwh_m=torch.tensor(sizes, dtype=torch.float64),
        ego=motion_of([ego]),
        crosswalks_m=torch.tensor(crosswalks_m, dtype=torch.float64),
        sun=torch.from_numpy(sun),
        noise=noise_table(torch.Generator().manual_seed(seed)),
    )


def _road(rng: np.random.Generator, length_m: float) -> Road:
    return make_road(
        amplitudes_m=(float(rng.uniform(9.0, 14.0)), float(rng.uniform(1.0, 2.2))),
        wavelengths_m=(float(rng.uniform(240.0, 300.0)), float(rng.uniform(100.0, 130.0))),
        phases_rad=(float(rng.uniform(0.0, 6.28)), float(rng.uniform(0.0, 6.28))),
        first_x_m=-MARGIN_M - 500.0,
        last_x_m=length_m + MARGIN_M + 500.0,
    )


def _sun_direction(rng: np.random.Generator) -> Array:
    azimuth, elevation = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.6, 0.9)
    level = np.cos(elevation)
    return np.array((level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)))


def _houses(plan: Plan) -> Iterator[tuple[Model, Law]]:
    rng = plan.rng
    for side in (-1.0, 1.0):
        place = -MARGIN_M - 40.0
        while place < plan.length_m + MARGIN_M + 60.0:
            width, depth = rng.uniform(9.0, 17.0), rng.uniform(8.0, 12.0)
            setback = rng.uniform(12.2, 14.5)
            law = Law(float(place + 0.5 * width), float(side * (setback + 0.5 * depth)))
            yield scenery.building(float(width), float(depth), rng), law
            gap = rng.uniform(5.0, 14.0) if rng.random() < 0.45 else rng.uniform(0.8, 2.0)
            place += width + gap


def _greenery(plan: Plan) -> Iterator[tuple[Model, Law]]:
    rng = plan.rng
    for side in (-1.0, 1.0):
        for place in plan.places(8.0, 15.0):
            if plan.is_clear(place, 3.5):
                turn = float(rng.uniform(0.0, 6.28))
                yield scenery.tree(rng), Law(place, side * _TREE_OFFSET_M, yaw_rad=turn)
        for place in plan.places(6.0, 16.0):
            length = float(rng.uniform(2.5, 5.5))
            yield scenery.hedge(length, rng), Law(place, side * 11.3)
        for place in plan.places(12.0, 30.0):
            yield scenery.tree(rng), Law(place, side * float(rng.uniform(26.0, 34.0)))


def _furniture(plan: Plan) -> Iterator[tuple[Model, Law]]:
    for side in (-1.0, 1.0):
        for place in plan.places(26.0, 30.0):
            law = Law(place, side * 7.45, yaw_rad=-side * np.pi / 2.0)
            yield scenery.lamp_post(), law
        for place in plan.crosswalks_m:
            heading = 0.0 if side < 0 else np.pi
            law = Law(place + side * 3.0, side * 7.4, yaw_rad=heading)
            yield scenery.sign(plan.rng), law


def _parked(plan: Plan) -> Iterator[tuple[Model, Law]]:
    for side in (-1.0, 1.0):
        for place in plan.places(6.2, 11.0):
            if plan.is_clear(place, 7.0):
                offset = side * float(_PARKING_OFFSET_M + plan.rng.uniform(-0.1, 0.05))
                yaw = 0.0 if side < 0 else np.pi
                yaw += float(plan.rng.uniform(-0.03, 0.03))
                yield actors.car(plan.rng), Law(place, offset, yaw_rad=yaw)


def _traffic(plan: Plan) -> Iterator[tuple[Model, Law]]:
    rng, ego = plan.rng, plan.ego
    lead = ego.arc_m + rng.uniform(17.0, 24.0)
    for place in (lead, lead + rng.uniform(14.0, 22.0), ego.arc_m - rng.uniform(14.0, 20.0)):
        surge = ego.surge_m + float(rng.uniform(-0.8, 0.8))
        law = Law(float(place), ego.offset_m, ego.speed_mps, surge)
        yield actors.car(rng), law
    oncoming = float(rng.uniform(6.5, 9.5))
    place, end = -60.0, (ego.speed_mps + oncoming) * plan.duration_s + 90.0
    while (place := place + float(rng.uniform(16.0, 42.0))) < end:
        model = actors.truck(rng) if rng.random() < 0.3 else actors.car(rng)
        yield model, Law(place, -ego.offset_m, -oncoming, yaw_rad=np.pi)
    for side, speed in ((-1.0, float(rng.uniform(3.8, 5.0))), (1.0, -float(rng.uniform(3.8, 5.0)))):
        place, end = -20.0, (ego.speed_mps - speed) * plan.duration_s + 60.0
        while (place := place + float(rng.uniform(12.0, 38.0))) < end:
            yaw = 0.0 if speed > 0 else np.pi
            yield actors.bicycle(rng), Law(place, side * _BIKE_OFFSET_M, speed, yaw_rad=yaw)


def _walkers(plan: Plan) -> Iterator[tuple[Model, Law]]:
    rng = plan.rng
    for side in (-1.0, 1.0):
        for place in plan.places(6.0, 18.0):
            speed = float(rng.uniform(0.9, 1.6) * rng.choice((-1.0, 1.0)))
            yaw = 0.0 if speed > 0 else np.pi
            offset = side * float(rng.uniform(8.5, 10.0))
            law = Law(place, offset, speed, yaw_rad=yaw, height_m=cross_section.KERB_HEIGHT_M)
            yield actors.pedestrian(rng), law


def _crossers(plan: Plan, others: list[Law]) -> Iterator[tuple[Model, Law]]:
    """People on the crosswalks, timed so that nobody runs into them."""
    rng = plan.rng
    edge = cross_section.KERB_M - 0.3
    times_s = torch.arange(-5.0, plan.duration_s + 5.0, 0.1, dtype=torch.float64)[:, None]
    arc, offset = motion_of([plan.ego, *others]).street_at(times_s)
    for place in plan.crosswalks_m:
        for _ in range(12):
            speed = float(rng.uniform(1.1, 1.6) * rng.choice((-1.0, 1.0)))
            reach_s = place / plan.ego.speed_mps + rng.uniform(-10.0, 6.0)
            law = Law(
                place + float(rng.uniform(-1.3, 1.3)),
                -speed * float(reach_s),
                lateral_mps=speed,
                offset_limits_m=(-edge, edge),
                yaw_rad=float(np.copysign(np.pi / 2.0, speed)),
            )
            own_arc, own_offset = motion_of([law]).street_at(times_s)
            walks = own_offset.abs() < edge
            close = ((arc - own_arc).abs() < 5.5) & ((offset - own_offset).abs() < 1.8)
            if not (close & walks).any():
                yield actors.pedestrian(rng), law


def motion_of(laws: Sequence[Law]) -> Motion:
    """The laws of K objects as one batch."""

    def column(name: str) -> torch.Tensor:
        return torch.tensor([getattr(law, name) for law in laws], dtype=torch.float64)

    return Motion(
        column("arc_m"),
        column("speed_mps"),
        column("surge_m"),
        column("offset_m"),
        column("lateral_mps"),
        column("offset_limits_m"),
        column("yaw_rad"),
        column("height_m"),
    )


def _static_pose(law: Law, road: Road) -> Array:
    """Pose in the world of what stands on sidewalk or grass."""
    arc, offset = (torch.tensor(v, dtype=torch.float64) for v in (law.arc_m, law.offset_m))
    position, yaw, _ = road.pose_at(arc, offset)
    height = torch.tensor(cross_section.KERB_HEIGHT_M, dtype=torch.float64)
    return planar_pose(position, height, yaw + law.yaw_rad).numpy()


def _parts(
    static: Sequence[tuple[Model, Law]],
    movers: Sequence[Model],
    road: Road,
    rng: np.random.Generator,
) -> Parts:
    rows: list[tuple[int, int, Part, Array]] = []
    for model, law in static:
        pose = _static_pose(law, road)
        rows += [(0, model.class_id, part, pose @ part.model_T_local) for part in model.parts]
    for index, model in enumerate(movers, start=1):
        rows += [(index, model.class_id, part, part.model_T_local) for part in model.parts]
    parts = [part for _, _, part, _ in rows]
    return Parts(
        owner=torch.tensor([owner for owner, _, _, _ in rows]),
        object_T_local=torch.from_numpy(np.stack([pose for _, _, _, pose in rows])),
        half_m=torch.tensor([part.half_m for part in parts], dtype=torch.float32),
        taper=torch.tensor([part.taper for part in parts], dtype=torch.float32),
        shape=torch.tensor([int(part.shape) for part in parts]),
        material=torch.tensor([int(part.material) for part in parts]),
        color=torch.tensor([part.color for part in parts], dtype=torch.float32),
        variant=torch.from_numpy(rng.random(len(parts)).astype(np.float32)),
        class_id=torch.tensor([class_id for _, class_id, _, _ in rows]),
    )
