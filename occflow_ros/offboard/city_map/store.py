"""A map on disk: sparse chunks of bytes in a Zarr group, one for each region.

map.zarr            group with the arrays `class_id` and `confidence` (X, Y, Z) uint8 along x, y, z
                    of the fixed frame, and `world_T_base` (T, 4, 4) of all frames; chunks without
                    content are not there
map.zarr/zarr.json  attributes: `origin_m`, the corner of voxel 0, 0, 0, `voxel_size_m`,
                    `class_names`, `empty`, `movable`, `unknown`, `drives` ...
regions/0.1.0.json  what a region holds, written after its chunks: it is finished
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from occflow_ros.data.vocabulary import Vocabulary
from occflow_ros.errors import ConfigError, DataError, OutputError
from occflow_ros.geometry.se3 import Array
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.offboard.city_map.lattice import Index, Lattice
from occflow_ros.offboard.city_map.votes import Mapped
from occflow_ros.output import output_folder, write_text
from occflow_ros.structures import UNKNOWN_CLASS_ID

GROUP = "map.zarr"
_REGIONS = "regions"
_FORMAT = "occflow_ros city map 1"


@dataclass(frozen=True, slots=True)
class MapInfo:
    """What is known of a map before a voxel of it.

    Args:
        lattice: its voxels and regions.
        vocabulary: of all drives.
        drives: name and number of frames of each drive.
        world_T_base: (T, 4, 4) poses of all frames, drive after drive.
        settings: how votes were weighted, as JSON has it.
    """

    lattice: Lattice
    vocabulary: Vocabulary
    drives: tuple[tuple[str, int], ...]
    world_T_base: Array
    settings: Mapping[str, Any]

    @property
    def ways_m(self) -> Iterator[Array]:
        """Positions (T, 3) of each drive in the fixed frame."""
        ends = np.cumsum([frames for _, frames in self.drives])
        return iter(np.split(self.world_T_base[:, :3, 3], ends[:-1]))


@dataclass(frozen=True, slots=True)
class RegionCounts(Accumulator):
    """What a region holds.

    Args:
        frames: that voted in it.
        voxels: of each class by its number.
    """

    frames: int
    voxels: tuple[int, ...]

    def occupied(self, vocabulary: Vocabulary) -> int:
        """Voxels that hold something."""
        return sum(self.voxels) - self.voxels[vocabulary.empty]


class CityMap:
    """A map in a folder, written region by region, by several processes at once.

    Args:
        folder: that `create` made.

    Raises:
        DataError: where there is no map, or it is damaged.
        ConfigError: where zarr is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._group = _zarr().open_group(store=str(folder / GROUP), mode="r+")
            self._info = _read_info(self._group)
        except FileNotFoundError:
            raise DataError(f"{folder}: expected a map with {GROUP}, found none") from None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{folder / GROUP}: expected a map: {error}") from None

    @staticmethod
    def create(folder: Path, info: MapInfo) -> CityMap:
        """A map without content; one of the same drives and settings is gone on with.

        Raises:
            OutputError: where the folder cannot be written or holds another map.
            ConfigError: where zarr is not installed.
        """
        zarr = _zarr()
        if not (folder / GROUP).exists():
            with output_folder(folder / GROUP) as partial:
                _write_info(zarr, partial, info)
        made = CityMap(folder)
        if _attributes(made.info) != _attributes(info) or not np.array_equal(
            made.info.world_T_base, info.world_T_base
        ):
            raise OutputError(f"{folder}: holds another map; give another folder")
        return made

    @property
    def info(self) -> MapInfo:
        """Of the map, whether it is finished or not."""
        return self._info

    @property
    def finished(self) -> tuple[Index, ...]:
        """Numbers of the regions that are done, ascending."""
        paths = (self.folder / _REGIONS).glob("*.json")
        numbers = (tuple(map(int, path.stem.split("."))) for path in paths)
        return tuple(sorted((x, y, z) for x, y, z in numbers))

    def counts(self, number: Index) -> RegionCounts:
        """Of a finished region; raises DataError where it is not finished."""
        path = self._path(number)
        try:
            return RegionCounts.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: expected counts of a region: {error}") from None

    def write(self, number: Index, mapped: Mapped, frames: int) -> RegionCounts:
        """Write a region, then that it is finished.

        Raises:
            OutputError: where it cannot be written; then it is not finished.
        """
        lower, shape = self.info.lattice.region(number)
        at = self._slices(lower, shape)
        try:
            self._group["class_id"][at] = mapped.class_id
            self._group["confidence"][at] = mapped.confidence
            (self.folder / _REGIONS).mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be written: {error.strerror}") from None
        voxels = np.bincount(mapped.class_id.reshape(-1), minlength=UNKNOWN_CLASS_ID)
        counts = RegionCounts(frames, tuple(voxels[: len(self.info.vocabulary.names)].tolist()))
        write_text(self._path(number), json.dumps(counts.to_dict()) + "\n")
        return counts

    def read(self, lower: Sequence[int], shape: Sequence[int]) -> Mapped:
        """A box of voxels, unknown where the map ends.

        Args:
            lower: smallest index (x, y, z) in the lattice.
            shape: number of voxels along x, y and z.

        Raises:
            DataError: where a chunk is damaged.
        """
        lattice = self.info.lattice
        first = np.maximum(lower, lattice.lower)
        last = np.minimum(np.add(lower, shape), np.add(lattice.lower, lattice.shape))
        class_id = np.full(shape, UNKNOWN_CLASS_ID, np.uint8)
        confidence = np.zeros(shape, np.uint8)
        if (first < last).all():
            here = tuple(slice(a, b) for a, b in zip(first - lower, last - lower))
            there = self._slices(first.tolist(), (last - first).tolist())
            try:
                class_id[here] = self._group["class_id"][there]
                confidence[here] = self._group["confidence"][there]
            except (OSError, RuntimeError, ValueError) as error:
                raise DataError(f"{self.folder / GROUP}: damaged: {error}") from None
        return Mapped(class_id, confidence)

    def regions(self) -> Iterator[tuple[Index, Mapped]]:
        """Smallest index and content of the finished regions, one at a time."""
        for number in self.finished:
            lower, shape = self.info.lattice.region(number)
            yield lower, self.read(lower, shape)

    def _slices(self, lower: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
        start = np.subtract(lower, self.info.lattice.lower)
        return tuple(slice(a, a + n) for a, n in zip(start.tolist(), shape))

    def _path(self, number: Index) -> Path:
        return self.folder / _REGIONS / f"{'.'.join(map(str, number))}.json"


def _zarr() -> Any:
    try:
        return importlib.import_module("zarr")
    except ImportError as error:
        raise ConfigError(
            f"map: expected the package zarr ({error}); install the extra: "
            "pip install 'occflow_ros[map]'"
        ) from None


def _write_info(zarr: Any, folder: Path, info: MapInfo) -> None:
    group = zarr.create_group(store=str(folder), attributes=_attributes(info), zarr_format=3)
    lattice = info.lattice
    for name, fill in (("class_id", UNKNOWN_CLASS_ID), ("confidence", 0)):
        group.create_array(
            name,
            shape=lattice.shape,
            chunks=lattice.region_shape,
            dtype="uint8",
            fill_value=fill,
            dimension_names=("x", "y", "z"),
        )
    group.create_array("world_T_base", data=info.world_T_base)


def _attributes(info: MapInfo) -> dict[str, Any]:
    lattice, vocabulary = info.lattice, info.vocabulary
    return {
        "format": _FORMAT,
        "origin_m": lattice.lower_m.tolist(),
        "voxel_size_m": list(lattice.voxel_size_m),
        "phase_m": list(lattice.phase_m),
        "lower": list(lattice.lower),
        "class_names": list(vocabulary.names),
        "empty": vocabulary.empty,
        "movable": list(vocabulary.movable),
        "unknown": UNKNOWN_CLASS_ID,
        "drives": [list(drive) for drive in info.drives],
        "settings": json.loads(json.dumps(dict(info.settings))),
    }


def _read_info(group: Any) -> MapInfo:
    values, array = dict(group.attrs), group["class_id"]
    if values["format"] != _FORMAT:
        raise ValueError(f"expected the format {_FORMAT!r}, got {values['format']!r}")
    lattice = Lattice(
        voxel_size_m=tuple(values["voxel_size_m"]),
        phase_m=tuple(values["phase_m"]),
        lower=tuple(values["lower"]),
        shape=tuple(array.shape),
        region_shape=tuple(array.chunks),
    )
    vocabulary = Vocabulary(tuple(values["class_names"]), values["empty"], tuple(values["movable"]))
    drives = tuple((name, int(frames)) for name, frames in values["drives"])
    return MapInfo(lattice, vocabulary, drives, group["world_T_base"][:], values["settings"])
