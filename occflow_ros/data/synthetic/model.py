"""A thing on the street as a few convex parts.

The origin of a model lies on the ground below its middle, x points forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from occflow_ros.data.synthetic.materials import Material
from occflow_ros.data.synthetic.primitives import Shape
from occflow_ros.geometry.se3 import Array, from_rotation_translation

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """One convex solid of a model.

    Args:
        shape: kind of solid.
        center_m: origin of its frame in the model.
        half_m: half extents.
        material: what it is made of.
        color: linear RGB.
        taper: lean of front, rear and sides, frustums only.
        euler_xyz_rad: rotation of its frame in the model, about fixed axes.
    """

    shape: Shape
    center_m: Vector
    half_m: Vector
    material: Material
    color: Vector
    taper: Vector = (0.0, 0.0, 0.0)
    euler_xyz_rad: Vector = (0.0, 0.0, 0.0)

    @property
    def model_T_local(self) -> Array:  # noqa: N802
        """(4, 4) the solid's frame in the model."""
        rotation = Rotation.from_euler("xyz", self.euler_xyz_rad).as_matrix()
        return from_rotation_translation(rotation, self.center_m)


@dataclass(frozen=True, slots=True)
class Model:
    """A thing made of parts.

    Args:
        parts: its solids.
        class_id: of `occflow_ros.data.classes`.
        category: nuScenes name of its annotation, empty where it is not annotated.
        size_lwh_m: length, width and height of its annotated box, which stands on the ground.
    """

    parts: tuple[Part, ...]
    class_id: int
    category: str = ""
    size_lwh_m: Vector = (0.0, 0.0, 0.0)


def pick(rng: np.random.Generator, choices: tuple[Vector, ...], spread: float = 0.15) -> Vector:
    """One of several colours, brighter or darker by up to a share."""
    x, y, z = np.asarray(choices[rng.integers(len(choices))]) * rng.uniform(1 - spread, 1 + spread)
    return float(x), float(y), float(z)
