"""A map as the 2D image and YAML file that Nav2's map server publishes as an `OccupancyGrid`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from occflow_ros.errors import ConfigError
from occflow_ros.offboard.city_map.columns import (
    NOWHERE,
    Columns,
    columns_at,
    ground_of,
)
from occflow_ros.offboard.city_map.store import CityMap, MapInfo
from occflow_ros.offboard.city_map.votes import occupied
from occflow_ros.output import write_bytes, write_text
from occflow_ros.structures import UNKNOWN_CLASS_ID

FREE, UNKNOWN, OCCUPIED = 254, 205, 0
"""Gray levels of map_server."""

_OCCUPIED_THRESHOLD = 0.65
_FREE_THRESHOLD = 0.196  # just below (255 - UNKNOWN) / 255


@dataclass(frozen=True, slots=True)
class NavOptions:
    """What blocks the way.

    Args:
        band_m: lowest and highest height over the ground, by the centres of voxels.

    Raises:
        ConfigError: where they are not above the ground and in order.
    """

    band_m: tuple[float, float] = (0.2, 2.0)

    def __post_init__(self) -> None:
        low, high = self.band_m
        if not 0.0 < low < high < np.inf:
            raise ConfigError(f"band_m: expected 0 < lowest < highest, got {self.band_m}")


def write_nav(city: CityMap, columns: Columns, folder: Path, options: NavOptions) -> float:
    """Write `nav.pgm` and `nav.yaml`.

    A cell is occupied where a voxel in the band is, other than ground; free where all voxels in the
    band are known to be empty or ground; else unknown, as where a car stood. Heights count from the
    lowest voxel of ground in the column, or in the nearest column with one; in a map without
    classes of ground, from the base of the vehicle where it came nearest.

    Args:
        city: the map.
        columns: of it.
        folder: for the files.
        options: what blocks the way.

    Returns:
        Share of cells that are known.

    Raises:
        ConfigError: where cells are no squares, or no voxel lies in the band.
        DataError: where the map is damaged.
        OutputError: where a file cannot be written.
    """
    info = city.info
    size_x_m, size_y_m, _ = info.lattice.voxel_size_m
    if not np.isclose(size_x_m, size_y_m, rtol=1e-6):
        raise ConfigError(
            f"nav: expected square cells, got {size_x_m} by {size_y_m} m; give a voxel size"
        )
    cells = _cells(city, columns, _band(info, options))
    image = np.ascontiguousarray(cells.T[::-1])  # (Y, X), row 0 at the largest y
    head = f"P5\n{image.shape[1]} {image.shape[0]}\n255\n"
    write_bytes(folder / "nav.pgm", head.encode() + image.tobytes())
    write_text(folder / "nav.yaml", yaml.safe_dump(_description(info), sort_keys=False))
    return float((cells != UNKNOWN).mean())


def _description(info: MapInfo) -> dict[str, object]:
    x_m, y_m, _ = info.lattice.lower_m.tolist()
    return {
        "image": "nav.pgm",
        "mode": "trinary",
        "resolution": info.lattice.voxel_size_m[0],
        "origin": [x_m, y_m, 0.0],
        "negate": 0,
        "occupied_thresh": _OCCUPIED_THRESHOLD,
        "free_thresh": _FREE_THRESHOLD,
    }


def _band(info: MapInfo, options: NavOptions) -> tuple[int, int]:
    """First and last voxel over that of the ground whose centres lie in the band."""
    size_m = info.lattice.voxel_size_m[2]
    low, high = options.band_m
    first, last = int(np.ceil(low / size_m - 1e-6)), int(np.floor(high / size_m + 1e-6))
    if first > last:
        raise ConfigError(
            f"nav: expected a band that voxels of {size_m} m reach into, got {low} to {high} m"
        )
    return first, last


def _cells(city: CityMap, columns: Columns, band: tuple[int, int]) -> npt.NDArray[np.uint8]:
    vocabulary = city.info.vocabulary
    ground, ground_numbers = _ground_everywhere(city, columns), ground_of(vocabulary)
    blocked = np.zeros(ground.shape, bool)
    clear = np.zeros(ground.shape, np.int64)  # voxels of the band that are
    for lower, mapped in city.regions():
        class_id = mapped.class_id
        at = columns_at(city, lower, class_id.shape)
        over = lower[2] + np.arange(class_id.shape[2]) - ground[at][..., None]  # (X, Y, Z)
        in_band = (over >= band[0]) & (over <= band[1])
        solid = occupied(class_id, vocabulary) & ~np.isin(class_id, ground_numbers)
        blocked[at] |= (solid & in_band).any(axis=2)
        clear[at] += (in_band & ~solid & (class_id != UNKNOWN_CLASS_ID)).sum(axis=2)
    cells = np.full(ground.shape, UNKNOWN, np.uint8)
    cells[clear == band[1] - band[0] + 1] = FREE
    cells[blocked] = OCCUPIED
    return cells


def _ground_everywhere(city: CityMap, columns: Columns) -> npt.NDArray[np.int64]:
    """Height of the ground (X, Y), as an index along z."""
    missing = columns.ground == NOWHERE
    if missing.all():
        return _base_heights(city.info)
    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    return columns.ground[tuple(nearest)].astype(np.int64)


def _base_heights(info: MapInfo) -> npt.NDArray[np.int64]:
    """Height of the base (X, Y) where it came nearest."""
    lattice = info.lattice
    index = np.moveaxis(np.indices((*lattice.shape[:2], 1)), 0, -1)[:, :, 0]  # (X, Y, 3)
    cells_m = lattice.centers_m(index + lattice.lower)[..., :2]  # (X, Y, 2)
    positions_m = info.world_T_base[:, :3, 3]
    _, nearest = cKDTree(positions_m[:, :2]).query(cells_m)
    heights = np.floor((positions_m[:, 2] - lattice.phase_m[2]) / lattice.voxel_size_m[2])
    return heights.astype(np.int64)[nearest]
