"""Rigid transforms as plain tuples: ten times faster than small numpy arrays in a lookup."""

import math
from typing import NamedTuple

Quaternion = tuple[float, float, float, float]  # x, y, z, w
Vector = tuple[float, float, float]  # m


class Rigid(NamedTuple):
    """`parent_T_child`: maps points of child into parent, rotation (unit, xyzw) first."""

    rotation: Quaternion
    translation: Vector


IDENTITY = Rigid((0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0))


def compose(a_T_b: Rigid, b_T_c: Rigid) -> Rigid:
    """Chain two transforms into `a_T_c`."""
    x, y, z = rotate(a_T_b.rotation, b_T_c.translation)
    tx, ty, tz = a_T_b.translation
    return Rigid(multiply(a_T_b.rotation, b_T_c.rotation), (x + tx, y + ty, z + tz))


def invert(a_T_b: Rigid) -> Rigid:
    """Reverse a transform into `b_T_a`."""
    x, y, z, w = a_T_b.rotation
    conjugate = (-x, -y, -z, w)
    tx, ty, tz = a_T_b.translation
    return Rigid(conjugate, rotate(conjugate, (-tx, -ty, -tz)))


def interpolate(start: Rigid, end: Rigid, ratio: float) -> Rigid:
    """Blend linearly in translation and along the great arc in rotation; ratio in [0, 1]."""
    sx, sy, sz = start.translation
    ex, ey, ez = end.translation
    translation = (sx + ratio * (ex - sx), sy + ratio * (ey - sy), sz + ratio * (ez - sz))
    return Rigid(slerp(start.rotation, end.rotation, ratio), translation)


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Hamilton product: the rotation that applies b, then a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def rotate(q: Quaternion, v: Vector) -> Vector:
    """Turn v by the unit quaternion q: v + 2 u × (u × v + w v), with u the vector part of q."""
    x, y, z, w = q
    vx, vy, vz = v
    cx = y * vz - z * vy + w * vx
    cy = z * vx - x * vz + w * vy
    cz = x * vy - y * vx + w * vz
    return (
        vx + 2.0 * (y * cz - z * cy),
        vy + 2.0 * (z * cx - x * cz),
        vz + 2.0 * (x * cy - y * cx),
    )


def slerp(start: Quaternion, end: Quaternion, ratio: float) -> Quaternion:
    """Spherical interpolation along the shorter of the two arcs."""
    cosine = sum(a * b for a, b in zip(start, end, strict=True))
    sign = 1.0 if cosine >= 0.0 else -1.0
    angle_rad = math.acos(min(abs(cosine), 1.0))
    if angle_rad < 1e-6:
        from_start, from_end = 1.0 - ratio, sign * ratio
    else:
        from_start = math.sin((1.0 - ratio) * angle_rad) / math.sin(angle_rad)
        from_end = sign * math.sin(ratio * angle_rad) / math.sin(angle_rad)
    x, y, z, w = (from_start * a + from_end * b for a, b in zip(start, end, strict=True))
    return normalize((x, y, z, w))


def normalize(q: Quaternion) -> Quaternion:
    """Scale to unit length and fix the sign: w > 0 above 0.5, else the largest of x, y, z > 0.

    Raises:
        ZeroDivisionError: q has no length.
    """
    x, y, z, w = q
    scale = 1.0 / math.sqrt(x * x + y * y + z * z + w * w)
    pivot = w if abs(w) * scale > 0.5 else max(x, y, z, key=abs)
    if pivot < 0.0:
        scale = -scale
    return (x * scale, y * scale, z * scale, w * scale)
