"""What stands: trees, hedges, lamps, signs and houses."""

from __future__ import annotations

import numpy as np

from occflow_ros.data.classes import NAMES
from occflow_ros.data.synthetic.materials import Material
from occflow_ros.data.synthetic.model import Model, Part, Vector, pick
from occflow_ros.data.synthetic.primitives import Shape

WALL_COLORS: tuple[Vector, ...] = (
    (0.42, 0.17, 0.11),
    (0.55, 0.45, 0.30),
    (0.62, 0.58, 0.50),
    (0.36, 0.20, 0.14),
    (0.50, 0.36, 0.26),
    (0.45, 0.48, 0.50),
    (0.66, 0.52, 0.30),
)
ROOF_COLORS: tuple[Vector, ...] = ((0.30, 0.10, 0.06), (0.14, 0.14, 0.16), (0.22, 0.12, 0.08))
LEAF_COLORS: tuple[Vector, ...] = (
    (0.10, 0.19, 0.04),
    (0.14, 0.21, 0.05),
    (0.07, 0.16, 0.05),
    (0.20, 0.21, 0.05),
)
STEEL: Vector = (0.24, 0.26, 0.27)


def tree(rng: np.random.Generator) -> Model:
    """A trunk and a crown of a few overlapping balls."""
    trunk, radius = rng.uniform(1.9, 2.6), rng.uniform(1.5, 2.2)
    leaf = pick(rng, LEAF_COLORS, 0.25)
    thickness = rng.uniform(0.11, 0.18)
    stem_half = 0.5 * (trunk + radius)
    stem = Part(
        Shape.CYLINDER,
        (0.0, 0.0, stem_half),
        (thickness, thickness, stem_half),
        Material.BARK,
        (0.16, 0.11, 0.08),
    )
    center = trunk + 0.9 * radius
    crown = [Part(Shape.ELLIPSOID, (0.0, 0.0, center), (0.8 * radius,) * 3, Material.LEAVES, leaf)]
    for index in range(16):
        turn, up = 2.4 * index, 1.5 * (index + 0.5) / 16 - 0.62
        out = 0.86 * np.sqrt(max(0.0, 1.0 - (up / 0.95) ** 2)) * rng.uniform(0.75, 1.05)
        size = float(rng.uniform(0.24, 0.40) * radius)
        crown.append(
            Part(
                Shape.ELLIPSOID,
                (
                    float(out * radius * np.cos(turn)),
                    float(out * radius * np.sin(turn)),
                    float(center + up * radius + rng.uniform(-0.1, 0.1)),
                ),
                (size, size, 0.75 * size),
                Material.LEAVES,
                pick(rng, (leaf,), 0.25),
            )
        )
    return Model((stem, *crown), NAMES.index("vegetation"))


def hedge(length_m: float, rng: np.random.Generator) -> Model:
    """A clipped hedge."""
    part = Part(
        Shape.FRUSTUM,
        (0.0, 0.0, 0.5),
        (0.5 * length_m, 0.32, 0.5),
        Material.LEAVES,
        pick(rng, LEAF_COLORS),
        (0.1, 0.1, 0.12),
    )
    return Model((part,), NAMES.index("vegetation"))


def lamp_post() -> Model:
    """A street lamp whose arm reaches along +x."""
    rod, box = Shape.CYLINDER, Shape.FRUSTUM
    return Model(
        (
            Part(rod, (0.0, 0.0, 3.2), (0.07, 0.07, 3.2), Material.PLAIN, STEEL),
            Part(rod, (0.0, 0.0, 0.4), (0.12, 0.12, 0.4), Material.PLAIN, STEEL),
            Part(box, (0.9, 0.0, 6.35), (0.95, 0.04, 0.04), Material.PLAIN, STEEL),
            Part(box, (1.7, 0.0, 6.30), (0.35, 0.13, 0.06), Material.PLAIN, (0.6, 0.6, 0.55)),
        ),
        NAMES.index("manmade"),
    )


def sign(rng: np.random.Generator) -> Model:
    """A round traffic sign that faces −x."""
    color = ((0.55, 0.02, 0.02), (0.02, 0.08, 0.45))[int(rng.integers(2))]
    facing = (0.0, np.pi / 2.0, 0.0)
    return Model(
        (
            Part(Shape.CYLINDER, (0.0, 0.0, 1.3), (0.035, 0.035, 1.3), Material.PLAIN, STEEL),
            Part(
                Shape.CYLINDER,
                (-0.05, 0.0, 2.35),
                (0.34, 0.34, 0.015),
                Material.SIGN,
                color,
                euler_xyz_rad=facing,
            ),
        ),
        NAMES.index("manmade"),
    )


def building(width_m: float, depth_m: float, rng: np.random.Generator) -> Model:
    """A house with a gable roof, or a taller one with a flat roof; its front faces ±y."""
    height = float(rng.uniform(5.5, 15.0))
    wall = pick(rng, WALL_COLORS)
    half = (0.5 * width_m, 0.5 * depth_m, 0.5 * height)
    parts = [Part(Shape.FRUSTUM, (0.0, 0.0, half[2]), half, Material.FACADE, wall)]
    if height < 11.0:
        rise = float(rng.uniform(0.24, 0.36)) * depth_m
        eaves = 0.5 * depth_m + 0.35
        parts.append(
            Part(
                Shape.FRUSTUM,
                (0.0, 0.0, height + 0.5 * rise),
                (half[0] + 0.1, eaves, 0.5 * rise),
                Material.ROOF,
                pick(rng, ROOF_COLORS),
                (0.0, 0.0, eaves / rise),
            )
        )
        chimney = (0.35, 0.3, 0.9)
        parts.append(
            Part(
                Shape.FRUSTUM,
                (0.3 * width_m, 0.1 * depth_m, height + rise),
                chimney,
                Material.PLAIN,
                wall,
            )
        )
    else:
        parts.append(
            Part(
                Shape.FRUSTUM,
                (0.0, 0.0, height + 0.2),
                (half[0] + 0.25, half[1] + 0.25, 0.2),
                Material.PLAIN,
                (0.45, 0.43, 0.40),
            )
        )
    return Model(tuple(parts), NAMES.index("manmade"))
