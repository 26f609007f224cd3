"""A map as points in a binary PLY file, which Open3D, MeshLab and CloudCompare read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from occflow_ros.offboard.city_map.lattice import Index
from occflow_ros.offboard.city_map.store import CityMap
from occflow_ros.offboard.city_map.votes import Bytes, Mapped, occupied
from occflow_ros.output import output_file
from occflow_ros.viz.palette import class_table

_POINT = np.dtype(
    [
        *((name, "<f8") for name in ("x", "y", "z")),
        *((name, "u1") for name in ("red", "green", "blue", "class_id", "confidence")),
    ]
)
_TYPES = {"<f8": "double", "|u1": "uchar"}


def write_ply(city: CityMap, path: Path) -> int:
    """Write the centres of occupied voxels in the fixed frame, in metres, holding one region.

    Beside the color of its class, a point has `class_id`, whose names are in the comments of the
    head, and `confidence`, 255 for all votes.

    Args:
        city: the map.
        path: of the file.

    Returns:
        Number of points.

    Raises:
        DataError: where the map is damaged.
        OutputError: where the file cannot be written.
    """
    vocabulary = city.info.vocabulary
    total = sum(city.counts(number).occupied(vocabulary) for number in city.finished)
    colors = class_table(vocabulary.names)
    with output_file(path) as partial, partial.open("wb") as file:
        file.write(_head(vocabulary.names, total).encode("ascii", "replace"))
        for lower, mapped in city.regions():
            file.write(_points(city, lower, mapped, colors).tobytes())
    return total


def _head(names: tuple[str, ...], total: int) -> str:
    kinds = {name: _TYPES[_POINT[name].str] for name in _POINT.names or ()}
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment class {number} {name}" for number, name in enumerate(names)),
        f"element vertex {total}",
        *(f"property {kind} {name}" for name, kind in kinds.items()),
        "end_header",
    ]
    return "\n".join(lines) + "\n"


def _points(city: CityMap, lower: Index, mapped: Mapped, colors: Bytes) -> npt.NDArray[np.void]:
    class_id = mapped.class_id
    index = np.argwhere(occupied(class_id, city.info.vocabulary))  # (M, 3)
    at = tuple(index.T)
    points = np.empty(len(index), _POINT)
    centers_m = city.info.lattice.centers_m(index + lower)
    for axis, name in enumerate("xyz"):
        points[name] = centers_m[:, axis]
    points["class_id"], points["confidence"] = class_id[at], mapped.confidence[at]
    for channel, name in enumerate(("red", "green", "blue")):
        points[name] = colors[class_id[at], channel]
    return points
