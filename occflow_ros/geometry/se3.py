"""Rigid transforms as 4×4 NumPy arrays in float64; `dst_T_src` maps points of src into dst."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

Array = npt.NDArray[np.float64]


def from_rotation_translation(rotation: npt.ArrayLike, translation_m: npt.ArrayLike) -> Array:
    """Rotation (3, 3) and translation (3,) to a 4×4."""
    transform = np.eye(4)
    transform[:3, :3] = rotation
    transform[:3, 3] = translation_m
    return transform


def from_quaternion_translation(quat_xyzw: npt.ArrayLike, translation_m: npt.ArrayLike) -> Array:
    """Unit quaternion (x, y, z, w) and translation (3,) to a 4×4.

    Raises:
        ValueError: where the quaternion is zero or not finite.
    """
    quat = np.asarray(quat_xyzw, dtype=np.float64)
    if not np.isfinite(quat).all() or np.linalg.norm(quat) < 1e-9:
        raise ValueError(f"expected a quaternion of non-zero length, got {quat.tolist()}")
    return from_rotation_translation(Rotation.from_quat(quat).as_matrix(), translation_m)


def to_quaternion_translation(dst_T_src: Array) -> tuple[Array, Array]:
    """A 4×4 to its unit quaternion (x, y, z, w) and translation (3,)."""
    return Rotation.from_matrix(dst_T_src[:3, :3]).as_quat(), dst_T_src[:3, 3].copy()


def from_row_major_12(values: npt.ArrayLike) -> Array:
    """The first three rows of a 4×4, row-major, to the whole rigid transform.

    Raises:
        ValueError: where there are not 12 numbers or the rotation is not orthonormal to 1e-3.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (12,):
        raise ValueError(f"expected 12 numbers (three rows of a 4x4), got shape {numbers.shape}")
    transform = np.vstack((numbers.reshape(3, 4), (0.0, 0.0, 0.0, 1.0)))
    check_rigid(transform)
    return transform


def to_row_major_12(dst_T_src: Array) -> list[float]:
    """Inverse of `from_row_major_12`."""
    return [float(value) for value in dst_T_src[:3].reshape(-1)]


def check_rigid(dst_T_src: Array, tolerance: float = 1e-3) -> None:
    """Raise ValueError unless each (..., 4, 4) is finite, its rotation proper and orthonormal."""
    if dst_T_src.shape[-2:] != (4, 4) or not np.isfinite(dst_T_src).all():
        raise ValueError(f"expected a finite 4x4 transform, got {dst_T_src.tolist()}")
    rotation = dst_T_src[..., :3, :3]
    skew = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3))  # (..., 3, 3)
    last_row = np.abs(dst_T_src[..., 3, :] - (0.0, 0.0, 0.0, 1.0))  # (..., 4)
    proper = np.linalg.det(rotation) > 0
    if not ((skew <= tolerance).all() and (last_row <= tolerance).all() and proper.all()):
        raise ValueError(f"expected a rigid transform, got {dst_T_src.tolist()}")


def inverse(dst_T_src: Array) -> Array:
    """src_T_dst of a rigid dst_T_src."""
    rotation, translation = dst_T_src[:3, :3], dst_T_src[:3, 3]
    return from_rotation_translation(rotation.T, -rotation.T @ translation)


def between(world_T_dst: Array, world_T_src: Array) -> Array:
    """dst_T_src of two poses; exactly the identity where they are equal."""
    if np.array_equal(world_T_dst, world_T_src):
        return np.eye(4)
    return inverse(world_T_dst) @ world_T_src


def transform_points(dst_T_src: Array, points_src_m: Array) -> Array:
    """Points (..., 3) of src into dst."""
    return points_src_m @ dst_T_src[:3, :3].T + dst_T_src[:3, 3]


def interpolate(first: Array, second: Array, fraction: float) -> Array:
    """Between two poses: linear in translation, slerp in rotation; fraction 0 gives the first.

    The rotation is R₀ exp(fraction · log(R₀ᵀ R₁)).
    """
    turn = Rotation.from_matrix(first[:3, :3].T @ second[:3, :3]).as_rotvec()
    return from_rotation_translation(
        first[:3, :3] @ Rotation.from_rotvec(fraction * turn).as_matrix(),
        (1.0 - fraction) * first[:3, 3] + fraction * second[:3, 3],
    )
