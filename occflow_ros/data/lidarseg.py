"""Classes of nuScenes-lidarseg: 32 numbers, of which its challenge makes 16 classes.

    lidarseg/v1.0-mini/<token>_lidarseg.bin    uint8: number of each point; the sweep's own token

Numbers and names are those of the data set's own table of categories, classes those of the lidar
segmentation challenge (Fong et al., Panoptic nuScenes, RA-L 2022). What it ignores has no class.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FOLDER = "lidarseg"
SUFFIX = "_lidarseg.bin"

CATEGORIES: Mapping[str, str | None] = {
    "noise": None,
    "animal": None,
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.personal_mobility": None,
    "human.pedestrian.police_officer": "pedestrian",
    "human.pedestrian.stroller": None,
    "human.pedestrian.wheelchair": None,
    "movable_object.barrier": "barrier",
    "movable_object.debris": None,
    "movable_object.pushable_pullable": None,
    "movable_object.trafficcone": "traffic_cone",
    "static_object.bicycle_rack": None,
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.emergency.ambulance": None,
    "vehicle.emergency.police": None,
    "vehicle.motorcycle": "motorcycle",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
    "flat.driveable_surface": "driveable_surface",
    "flat.other": "other_flat",
    "flat.sidewalk": "sidewalk",
    "flat.terrain": "terrain",
    "static.manmade": "manmade",
    "static.other": None,
    "static.vegetation": "vegetation",
    "vehicle.ego": None,
}
"""Class of each category (`occflow_ros.data.classes`), by their numbers from 0."""


def label_path(dataroot: Path, version: str, token: str) -> Path:
    """File of the point labels of a sweep.

    Args:
        dataroot: folder of the data set.
        version: of its tables.
        token: of the sweep in the table sample_data.
    """
    return dataroot / FOLDER / version / f"{token}{SUFFIX}"
