"""Class numbers of annotated categories of nuScenes, KITTI and similar data sets."""

from __future__ import annotations

from occflow_ros.data.classes import NAMES

_PREFIXES = {
    "human.pedestrian": "pedestrian",
    "movable_object.barrier": "barrier",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
}
"""Beginnings of nuScenes' own names."""

_OTHERS = (
    "human.pedestrian.personal_mobility",
    "human.pedestrian.stroller",
    "human.pedestrian.wheelchair",
)
"""What nuScenes-lidarseg does not count among pedestrians."""

_WORDS = {
    "cyclist": "bicycle",
    "bus/rv/caravan": "bus",
    "van": "car",
    "vehicle": "car",
    "person": "pedestrian",
    "person_sitting": "pedestrian",
}
"""Names of KITTI and other sources; the names of the classes themselves hold too."""


def class_of(category: str) -> int:
    """Number of the class in `occflow_ros.data.classes`, that of `others` for unknown names."""
    name = category.strip().lower()
    if name.startswith(_OTHERS):
        return NAMES.index("others")
    for prefix, class_name in _PREFIXES.items():
        if name == prefix or name.startswith(f"{prefix}."):
            return NAMES.index(class_name)
    word = _WORDS.get(name, name)
    return NAMES.index(word) if word in _PREFIXES.values() else NAMES.index("others")
