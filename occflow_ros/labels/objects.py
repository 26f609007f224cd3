"""The points of each annotated object over a whole drive, in the frame of its box."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from occflow_ros.geometry import se3
from occflow_ros.labels.sweeps import Sweep, thin

_MAX_UNTHINNED = 20_000

Objects = Mapping[str, se3.Array]


def collect_objects(sweeps: Iterable[Sweep], cell_m: float) -> Objects:
    """Points (N, 3) of each object by its track, one in each cell.

    Memory is bounded by the surfaces of the objects, not by the number of sweeps.
    """
    collected: dict[str, list[se3.Array]] = defaultdict(list)
    for sweep in sweeps:
        for track, (knot, mask) in sweep.objects.items():
            parts = collected[track]
            box_T_odom = se3.inverse(knot.odom_T_box)
            parts.append(se3.transform_points(box_T_odom, sweep.points_m[mask]))
            if sum(map(len, parts[1:])) > _MAX_UNTHINNED:
                parts[:] = [thin(np.concatenate(parts), cell_m)]
    return {track: thin(np.concatenate(parts), cell_m) for track, parts in collected.items()}
