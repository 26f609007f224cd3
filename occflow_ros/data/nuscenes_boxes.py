"""Annotated boxes of a nuScenes keyframe, with velocities from the neighbouring keyframes."""

from __future__ import annotations

import numpy as np

from occflow_ros.data.drive import Box
from occflow_ros.data.nuscenes_scene import SceneTables
from occflow_ros.data.nuscenes_tables import Annotation
from occflow_ros.geometry import se3

MAX_INTERVAL_S = 1.5


def boxes_of(tables: SceneTables, sample_token: str, base_T_map: se3.Array) -> tuple[Box, ...]:
    """Boxes of one keyframe in base at its reference time."""
    return tuple(
        _box(tables, annotation, base_T_map)
        for annotation in tables.annotations.values()
        if annotation.sample_token == sample_token
    )


def _box(tables: SceneTables, annotation: Annotation, base_T_map: se3.Array) -> Box:
    width_m, length_m, height_m = annotation.size
    velocity_map_mps = _velocity_map_mps(tables, annotation)
    velocity_mps = None
    if velocity_map_mps is not None:
        x, y, _ = base_T_map[:3, :3] @ velocity_map_mps
        velocity_mps = (float(x), float(y))
    instance = tables.instances[annotation.instance_token]
    return Box(
        id=annotation.instance_token,
        category=tables.categories[instance.category_token].name,
        base_T_box=base_T_map @ annotation.transform,
        size_lwh_m=(length_m, width_m, height_m),
        velocity_mps=velocity_mps,
    )


def _velocity_map_mps(tables: SceneTables, annotation: Annotation) -> se3.Array | None:
    """Central difference over the neighbouring keyframes, one-sided at the ends of a track.

    None where the object was annotated once, or over more than 1.5 s a side: the rule of
    nuscenes-devkit.
    """
    first = tables.annotations[annotation.prev] if annotation.prev else annotation
    last = tables.annotations[annotation.next] if annotation.next else annotation
    sides = bool(annotation.prev) + bool(annotation.next)
    interval_s = 1e-6 * (
        tables.samples[last.sample_token].timestamp - tables.samples[first.sample_token].timestamp
    )
    if not 0.0 < interval_s <= sides * MAX_INTERVAL_S:
        return None
    return (np.array(last.translation) - np.array(first.translation)) / interval_s
