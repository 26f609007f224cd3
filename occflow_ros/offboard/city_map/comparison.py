"""Maps of one place beside each other and the truth: OccFiner, table 7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from occflow_ros.data.drive import OCC3D_GRID
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.errors import DataError
from occflow_ros.metrics.semantic_iou import ClassCounts
from occflow_ros.offboard.city_map.build import MapOptions, Progress, begin_map, build_map
from occflow_ros.offboard.city_map.score import score_map
from occflow_ros.offboard.city_map.store import CityMap
from occflow_ros.offboard.city_map.truth import TrueRecording
from occflow_ros.offboard.engines import Engine
from occflow_ros.offboard.propagation import PropagationOptions
from occflow_ros.structures import VoxelGrid
from occflow_ros.table import Table, number


def true_map(
    data: Sequence[Path], like: CityMap, folder: Path, engine: Engine, progress: Progress
) -> CityMap:
    """What a map of the same drives should have been: the truth of all that a camera saw.

    Args:
        data: folders of the drives, with dense truth over the box of Occ3D.
        like: map whose voxels and drives it has.
        folder: for it.
        engine: that does the regions.
        progress: wraps them.

    Raises:
        DataError: where a drive of the map is not there, or has no truth.
        OutputError: where the folder cannot be written or holds another map.
        PartError: where processes die again and again.
    """
    wanted = [name for name, _ in like.info.drives]
    drives = {one.name: one for path in data for one in open_drives(path, Selection())}
    if missing := sorted(set(wanted) - drives.keys()):
        raise DataError(
            f"expected the true drives {', '.join(wanted)} of the map, lack {', '.join(missing)}"
        )
    lattice = like.info.lattice
    lower_m, upper_m = np.array(OCC3D_GRID.lower_m), np.array(OCC3D_GRID.upper_m)
    x, y, z = np.rint((upper_m - lower_m) / lattice.voxel_size_m).astype(int).tolist()
    grid = VoxelGrid(OCC3D_GRID.lower_m, OCC3D_GRID.upper_m, (x, y, z))
    recordings = [TrueRecording.of_drive(drives[name], grid) for name in wanted]
    options = MapOptions(
        region_shape=lattice.region_shape, weights=PropagationOptions(sensor="none", free="all")
    )
    city = begin_map([one.info for one in recordings], folder, options)
    build_map(city, recordings, options, engine, progress)
    return city


def comparison(maps: Mapping[str, CityMap], true: CityMap) -> Table:
    """A row for each map, a column for each class that is truly there, IoU and mIoU.

    Args:
        maps: by name.
        true: what they should have been.

    Raises:
        DataError: where one has other voxels or classes, or is damaged.
    """
    counts = {name: score_map(one, true) for name, one in maps.items()}
    names = next(iter(counts.values())).true_names
    rows = tuple((name, *_cells(one, names)) for name, one in counts.items())
    header = ("map", *names, "IoU", "mIoU")
    note = (
        "Percent, over the voxels that a camera saw in any set; static classes that are truly "
        "there, IoU of occupied voxels whatever their class."
    )
    return Table("City-level map", header, rows, note, numbers=len(header) - 1)


def _cells(counts: ClassCounts, names: Sequence[str]) -> list[str]:
    iou = counts.iou
    values = (*(iou[name] for name in names), counts.completion.iou, counts.mean_iou_of_true)
    return [number(100 * value, 2) for value in values]
