"""How much of a map is right: OccFiner, table 7."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np

from occflow_ros.errors import DataError
from occflow_ros.metrics.semantic_iou import ClassCounts, count_classes, no_counts
from occflow_ros.offboard.city_map.store import CityMap
from occflow_ros.structures import UNKNOWN_CLASS_ID


def score_map(predicted: CityMap, true: CityMap) -> ClassCounts:
    """Compare a map with that of true frames, such as those of `TrueRecording`.

    Voxels that the true map knows count. What is unknown in the prediction counts as empty there,
    since a map that lacks something has not found it. Movable classes are in no map and therefore
    in no mean; take `mean_iou_of_true` to compare maps of the same place.

    Args:
        predicted: the map.
        true: one with the same classes and voxels of the same size, anywhere.

    Raises:
        DataError: where their voxels or classes differ, or one is damaged.
    """
    _check(predicted, true)
    vocabulary = true.info.vocabulary
    names, empty = vocabulary.names, vocabulary.names[vocabulary.empty]
    parts = []
    for lower, mapped in true.regions():
        found = predicted.read(lower, mapped.class_id.shape).class_id
        known = mapped.class_id != UNKNOWN_CLASS_ID
        found = np.where(found == UNKNOWN_CLASS_ID, vocabulary.empty, found)
        parts.append(count_classes(found, mapped.class_id, known, names, empty))
    return reduce(add, parts, no_counts(names, empty))


def _check(predicted: CityMap, true: CityMap) -> None:
    for what, expected, got in (
        ("classes", true.info.vocabulary.names, predicted.info.vocabulary.names),
        ("voxel size", true.info.lattice.voxel_size_m, predicted.info.lattice.voxel_size_m),
        ("phase", true.info.lattice.phase_m, predicted.info.lattice.phase_m),
    ):
        if expected != got:
            raise DataError(
                f"{predicted.folder}: expected the {what} of the true map, {expected}, got {got}"
            )
