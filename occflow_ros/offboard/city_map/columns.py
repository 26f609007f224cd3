"""A map seen from above: what is worth knowing of each column of voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from occflow_ros.data.vocabulary import GROUND_NAMES, Vocabulary
from occflow_ros.offboard.city_map.lattice import Index
from occflow_ros.offboard.city_map.store import CityMap
from occflow_ros.offboard.city_map.votes import Bytes, occupied
from occflow_ros.structures import UNKNOWN_CLASS_ID

Heights = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

NOWHERE = np.iinfo(np.int32).min
"""In place of a height."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns (X, Y) of a map; heights are indices along z in its lattice.

    Args:
        top: height of the highest occupied voxel, NOWHERE where there is none.
        class_id: of that voxel, `UNKNOWN_CLASS_ID` where there is none.
        ground: height of the lowest voxel that is ground, NOWHERE where there is none.
        known: whether anything is known of the column, be it empty.
    """

    top: Heights
    class_id: Bytes
    ground: Heights
    known: Mask


def columns_of(city: CityMap) -> Columns:
    """Columns of all of a map, which holds one region at a time."""
    vocabulary, shape = city.info.vocabulary, city.info.lattice.shape[:2]
    ground_numbers = ground_of(vocabulary)
    found = Columns(
        np.full(shape, NOWHERE, np.int32),
        np.full(shape, UNKNOWN_CLASS_ID, np.uint8),
        np.full(shape, NOWHERE, np.int32),
        np.zeros(shape, bool),
    )
    for lower, mapped in city.regions():  # ascending, so a region above comes after those below
        class_id = mapped.class_id
        at = columns_at(city, lower, class_id.shape)
        known = class_id != UNKNOWN_CLASS_ID
        solid = occupied(class_id, vocabulary)
        top = class_id.shape[2] - 1 - solid[:, :, ::-1].argmax(axis=2)  # (X, Y)
        filled = solid.any(axis=2)
        top_class = np.take_along_axis(class_id, top[..., None], axis=2)[..., 0]
        found.top[at][filled] = (lower[2] + top)[filled]
        found.class_id[at][filled] = top_class[filled]
        ground = np.isin(class_id, ground_numbers)
        first = ground.any(axis=2) & (found.ground[at] == NOWHERE)
        found.ground[at][first] = (lower[2] + ground.argmax(axis=2))[first]
        found.known[at] |= known.any(axis=2)
    return found


def ground_of(vocabulary: Vocabulary) -> tuple[int, ...]:
    """Numbers of the classes that are ground, known by their names."""
    return tuple(n for n, name in enumerate(vocabulary.names) if name in GROUND_NAMES)


def columns_at(city: CityMap, lower: Index, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Where the columns of a region lie in those of the whole map."""
    start = [a - b for a, b in zip(lower[:2], city.info.lattice.lower)]
    return tuple(slice(a, a + n) for a, n in zip(start, shape))
