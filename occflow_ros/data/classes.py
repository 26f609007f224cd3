"""Class numbers of voxels and pixels: the 17 of nuScenes-lidarseg/Occ3D, and FREE."""

from __future__ import annotations

NAMES = (
    "others",
    "barrier",
    "bicycle",
    "bus",
    "car",
    "construction_vehicle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "trailer",
    "truck",
    "driveable_surface",
    "other_flat",
    "sidewalk",
    "terrain",
    "manmade",
    "vegetation",
    "free",
)
FREE = NAMES.index("free")
MOVABLE = tuple(
    NAMES.index(name)
    for name in (
        "bicycle",
        "bus",
        "car",
        "construction_vehicle",
        "motorcycle",
        "pedestrian",
        "trailer",
        "truck",
    )
)
GROUND = tuple(
    NAMES.index(name) for name in ("driveable_surface", "other_flat", "sidewalk", "terrain")
)

OPENOCC_NAMES = (
    "car",
    "truck",
    "trailer",
    "bus",
    "construction_vehicle",
    "bicycle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "barrier",
    "driveable_surface",
    "other_flat",
    "sidewalk",
    "terrain",
    "manmade",
    "vegetation",
    "free",
)
"""The same classes in the order in which OpenOcc numbers them; it has no `others`."""
