"""What moves: cars, lorries, people on foot and on bicycles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from occflow_ros.data.classes import NAMES
from occflow_ros.data.synthetic.materials import Material
from occflow_ros.data.synthetic.model import Model, Part, Vector, pick
from occflow_ros.data.synthetic.primitives import Shape

CAR_COLORS: tuple[Vector, ...] = (
    (0.62, 0.62, 0.62),
    (0.75, 0.75, 0.73),
    (0.03, 0.03, 0.035),
    (0.16, 0.17, 0.19),
    (0.45, 0.03, 0.03),
    (0.03, 0.09, 0.32),
    (0.05, 0.20, 0.16),
    (0.55, 0.33, 0.05),
    (0.28, 0.36, 0.42),
)
CLOTH_COLORS: tuple[Vector, ...] = (
    (0.50, 0.08, 0.06),
    (0.06, 0.12, 0.35),
    (0.65, 0.60, 0.50),
    (0.05, 0.05, 0.06),
    (0.60, 0.42, 0.05),
    (0.10, 0.30, 0.12),
    (0.40, 0.15, 0.35),
    (0.70, 0.70, 0.72),
)
SKIN_COLORS: tuple[Vector, ...] = ((0.58, 0.36, 0.26), (0.30, 0.16, 0.10), (0.68, 0.47, 0.36))
DARK: Vector = (0.03, 0.03, 0.035)

# Parts that touch reach into each other, so that no light falls through the seam.
_OVERLAP_M = 0.04


def _wheels(axles_m: tuple[float, ...], half_track_m: float, radius_m: float) -> tuple[Part, ...]:
    lying = (np.pi / 2.0, 0.0, 0.0)
    return tuple(
        Part(
            Shape.CYLINDER,
            (x, side * half_track_m, radius_m),
            (radius_m, radius_m, 0.11),
            Material.WHEEL,
            DARK,
            euler_xyz_rad=lying,
        )
        for x in axles_m
        for side in (-1.0, 1.0)
    )


def car(rng: np.random.Generator) -> Model:
    """A saloon, an estate or an off-roader."""
    length, width = rng.uniform(4.1, 4.8), rng.uniform(1.74, 1.88)
    kind = rng.integers(3)
    height = (1.42, 1.47, 1.68)[kind]
    sill, waist = (0.20, 0.82) if kind < 2 else (0.28, 1.0)
    color = pick(rng, CAR_COLORS)
    start, end = ((0.24, 0.14), (0.25, 0.02), (0.24, 0.02))[kind]
    rear_lean = (0.95, 0.35, 0.25)[kind]
    cabin_half = 0.5 * length * (1.0 - start - end)
    cabin_x = 0.5 * length * (end - start)
    rise = 0.5 * (height - waist + _OVERLAP_M)
    body = Part(
        Shape.FRUSTUM,
        (0.0, 0.0, 0.5 * (sill + waist)),
        (0.5 * length, 0.5 * width, 0.5 * (waist - sill)),
        Material.CAR_BODY,
        color,
        (0.20, 0.10, 0.06),
    )
    cabin = Part(
        Shape.FRUSTUM,
        (cabin_x, 0.0, height - rise),
        (cabin_half, 0.5 * width - 0.07, rise),
        Material.CAR_CABIN,
        color,
        (1.25, rear_lean, 0.30),
    )
    mirrors = tuple(
        Part(
            Shape.ELLIPSOID,
            (cabin_x + cabin_half - 0.55, side * 0.5 * width, waist + 0.08),
            (0.07, 0.12, 0.07),
            Material.PLAIN,
            color,
        )
        for side in (-1.0, 1.0)
    )
    wheels = _wheels((-0.29 * length, 0.32 * length), 0.5 * width - 0.10, 0.33)
    return Model(
        (body, cabin, *mirrors, *wheels),
        NAMES.index("car"),
        "vehicle.car",
        (length, width, height),
    )


def truck(rng: np.random.Generator) -> Model:
    """A delivery lorry: cab, chassis and cargo box."""
    length, width, height = rng.uniform(6.8, 8.2), 2.4, rng.uniform(3.0, 3.4)
    paint, cargo = (
        pick(rng, CAR_COLORS),
        pick(rng, ((0.72, 0.72, 0.70), (0.6, 0.45, 0.1), (0.1, 0.25, 0.5))),
    )
    nose, back = 0.5 * length, -0.5 * length
    cab_length = 1.8
    cab_low = Part(
        Shape.FRUSTUM,
        (nose - 0.5 * cab_length, 0.0, 0.95),
        (0.5 * cab_length, 0.5 * width - 0.05, 0.50),
        Material.CAR_BODY,
        paint,
        (0.05, 0.0, 0.0),
    )
    cab_high = Part(
        Shape.FRUSTUM,
        (nose - 0.5 * cab_length - 0.02, 0.0, 1.95 - 0.5 * _OVERLAP_M),
        (0.5 * cab_length - 0.03, 0.5 * width - 0.06, 0.50 + 0.5 * _OVERLAP_M),
        Material.CAR_CABIN,
        paint,
        (0.22, 0.0, 0.05),
    )
    box_half = 0.5 * (length - cab_length - 0.15)
    box = Part(
        Shape.FRUSTUM,
        (back + box_half, 0.0, 0.5 * (height + 0.95)),
        (box_half, 0.5 * width, 0.5 * (height - 0.95)),
        Material.CARGO,
        cargo,
    )
    chassis = Part(
        Shape.FRUSTUM, (0.0, 0.0, 0.70), (0.5 * length - 0.1, 0.42, 0.25), Material.PLAIN, DARK
    )
    wheels = _wheels((back + 1.3, nose - 1.0), 0.5 * width - 0.14, 0.46)
    return Model(
        (cab_low, cab_high, box, chassis, *wheels),
        NAMES.index("truck"),
        "vehicle.truck",
        (length, width, height),
    )


def _person(rng: np.random.Generator, stride_rad: float) -> tuple[Part, ...]:
    shirt, trousers = pick(rng, CLOTH_COLORS), pick(rng, CLOTH_COLORS, 0.5)
    skin, hair = pick(rng, SKIN_COLORS), pick(rng, ((0.03, 0.02, 0.015), (0.20, 0.12, 0.05)))
    ball, rod = Shape.ELLIPSOID, Shape.CYLINDER
    torso = Part(ball, (0.0, 0.0, 1.17), (0.145, 0.215, 0.36), Material.PLAIN, shirt)
    hips = Part(ball, (0.0, 0.0, 0.88), (0.13, 0.175, 0.17), Material.PLAIN, trousers)
    neck = Part(rod, (0.01, 0.0, 1.50), (0.055, 0.055, 0.06), Material.PLAIN, skin)
    head = Part(ball, (0.02, 0.0, 1.62), (0.105, 0.082, 0.13), Material.PLAIN, skin)
    cap = Part(ball, (-0.005, 0.0, 1.655), (0.108, 0.09, 0.115), Material.PLAIN, hair)
    limbs = []
    for side in (-1.0, 1.0):
        swing = side * stride_rad
        reach = 0.42 * np.sin(swing)
        leg = Part(
            rod,
            (-float(reach), side * 0.095, 0.45),
            (0.075, 0.075, 0.43),
            Material.PLAIN,
            trousers,
            euler_xyz_rad=(0.0, swing, 0.0),
        )
        shoe = Part(
            ball,
            (-2.0 * float(reach) + 0.06, side * 0.095, 0.05),
            (0.14, 0.055, 0.055),
            Material.PLAIN,
            DARK,
        )
        arm = Part(
            ball,
            (0.30 * float(np.sin(swing)), side * 0.255, 1.10),
            (0.06, 0.055, 0.34),
            Material.PLAIN,
            shirt,
            euler_xyz_rad=(0.0, -swing, -side * 0.05),
        )
        limbs += [leg, shoe, arm]
    return (torso, hips, neck, head, cap, *limbs)


def _lift(part: Part, up_m: float, forward_m: float = 0.0) -> Part:
    x, y, z = part.center_m
    return replace(part, center_m=(x + forward_m, y, z + up_m))


def pedestrian(rng: np.random.Generator) -> Model:
    """A grown-up in mid-stride."""
    parts = _person(rng, rng.uniform(0.25, 0.42))
    return Model(parts, NAMES.index("pedestrian"), "human.pedestrian.adult", (0.85, 0.62, 1.77))


def bicycle(rng: np.random.Generator) -> Model:
    """A bicycle with its rider."""
    lying = (np.pi / 2.0, 0.0, 0.0)
    wheels = tuple(
        Part(
            Shape.CYLINDER,
            (x, 0.0, 0.34),
            (0.34, 0.34, 0.025),
            Material.SPOKES,
            DARK,
            euler_xyz_rad=lying,
        )
        for x in (-0.52, 0.52)
    )
    paint = pick(rng, CAR_COLORS)
    tubes = tuple(
        Part(Shape.FRUSTUM, center, half, Material.PLAIN, paint, euler_xyz_rad=(0.0, pitch, 0.0))
        for center, half, pitch in (
            ((0.12, 0.0, 0.56), (0.36, 0.022, 0.025), -0.65),
            ((0.10, 0.0, 0.80), (0.34, 0.022, 0.022), -0.05),
            ((-0.17, 0.0, 0.60), (0.022, 0.022, 0.33), -0.25),
            ((0.46, 0.0, 0.66), (0.022, 0.022, 0.36), -0.25),
            ((0.36, 0.0, 1.02), (0.025, 0.27, 0.02), 0.0),
            ((-0.26, 0.0, 0.95), (0.12, 0.07, 0.035), 0.0),
        )
    )
    rider = tuple(_lift(part, 0.22, -0.18) for part in _person(rng, 0.35))
    return Model(
        (*wheels, *tubes, *rider), NAMES.index("bicycle"), "vehicle.bicycle", (1.75, 0.62, 1.99)
    )
