"""Files of a map for other programs, and its picture."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal, get_args

import cv2

from occflow_ros.geometry.camera import Image
from occflow_ros.offboard.city_map.columns import columns_of
from occflow_ros.offboard.city_map.nav import NavOptions, write_nav
from occflow_ros.offboard.city_map.octomap import write_octomap
from occflow_ros.offboard.city_map.picture import draw_map
from occflow_ros.offboard.city_map.ply import write_ply
from occflow_ros.offboard.city_map.store import CityMap
from occflow_ros.output import write_bytes

Export = Literal["ply", "bt", "nav"]
EXPORTS: tuple[Export, ...] = get_args(Export)


def export_map(
    city: CityMap, folder: Path, exports: Collection[Export], nav: NavOptions, title: str
) -> list[str]:
    """Write `map.png`, and of `map.ply`, `map.bt`, `nav.pgm` with `nav.yaml` those that are wanted.

    Args:
        city: the map, finished.
        folder: for the files.
        exports: that are wanted.
        nav: what blocks the way.
        title: of the picture.

    Returns:
        What was written, in words.

    Raises:
        ConfigError: where the voxels of the map do not fit into a format.
        DataError: where the map is damaged.
        OutputError: where a file cannot be written.
    """
    columns = columns_of(city)
    size_m = " x ".join(f"{value:g}" for value in city.info.lattice.voxel_size_m)
    picture = draw_map(city, columns, title, f"voxels of {size_m} m, x to the right, y up")
    write_bytes(folder / "map.png", _png(picture))
    written = [f"map.png: {picture.shape[1]} x {picture.shape[0]} pixels"]
    if "ply" in exports:
        written.append(f"map.ply: {write_ply(city, folder / 'map.ply')} points")
    if "bt" in exports:
        shift_m = write_octomap(city, folder / "map.bt")
        place = ", ".join(f"{value:+.3f}" for value in shift_m)
        written.append(f"map.bt: OctoMap, moved by ({place}) m onto the edges of its voxels")
    if "nav" in exports:
        known = write_nav(city, columns, folder, nav)
        written.append(f"nav.yaml, nav.pgm: {known:.0%} of the cells known")
    return written


def _png(image: Image) -> bytes:
    _, data = cv2.imencode(".png", image[..., ::-1])
    return bytes(data.tobytes())
