"""A map from recordings, region by region, by as many processes as there are."""

from __future__ import annotations

import pickle
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from occflow_ros.errors import ConfigError, DataError
from occflow_ros.measurement import peak_bytes
from occflow_ros.offboard.city_map.lattice import Index, Lattice, frame_boxes, lattice_around
from occflow_ros.offboard.city_map.store import CityMap, MapInfo, RegionCounts
from occflow_ros.offboard.city_map.votes import Voters, map_region
from occflow_ros.offboard.engines import Engine
from occflow_ros.offboard.propagation import PropagationOptions, vote_weights
from occflow_ros.offboard.recording import Recording, RecordingInfo
from occflow_ros.offboard.sight import SightedRecording
from occflow_ros.ops.lattice_vote import Votes

Progress = Callable[[Iterable[Any], int, str, str], Iterable[Any]]
"""Wraps so many items of a unit under a title, and yields them on."""

_RIGS = 16
_SMALLEST_M = 0.02


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How a map is made.

    Args:
        voxel_size_m: edge of its voxels; None for the size of those of the recordings. Each is
            what the voxel of a frame around its centre is, so thin things get lost where it is
            larger than those.
        region_shape: voxels of the parts that are mapped by themselves, and of chunks on disk.
        weights: of the votes of a frame, of which `sensor`, what belongs to it and `free` count
            here.

    Raises:
        ConfigError: where a size is out of range.
    """

    voxel_size_m: float | None = None
    region_shape: Index = (256, 256, 32)
    weights: PropagationOptions = field(default_factory=PropagationOptions)

    def __post_init__(self) -> None:
        if self.voxel_size_m is not None and not _SMALLEST_M <= self.voxel_size_m < np.inf:
            raise ConfigError(
                f"voxel_size_m: expected at least {_SMALLEST_M} m, got {self.voxel_size_m}"
            )
        if any(count < 1 for count in self.region_shape):
            raise ConfigError(f"region_shape: expected positive numbers, got {self.region_shape}")

    @property
    def settings(self) -> dict[str, Any]:
        """What the votes depend on, as JSON has it."""
        weights, sensor = self.weights, self.weights.sensor
        if sensor == "camera":
            names = ["frustum", "near_box", "camera_weights", "near_box_m"]
        else:
            names = ["lidar_weights"] if sensor == "lidar" else []
        return {
            "free": weights.free,
            "sensor": sensor,
            **{name: getattr(weights, name) for name in names},
        }


@dataclass(frozen=True, slots=True)
class MapReport:
    """What a run did.

    Args:
        made: regions that were mapped now.
        kept: regions that were there.
        frames: votes of whole frames, a frame counted once for each region that it reaches into.
        seconds: that the regions took.
        peak_bytes: most memory of a process that mapped regions.
    """

    made: int
    kept: int
    frames: int
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class RegionPart:
    """A region to map.

    Args:
        folder: of the map.
        number: of the region.
        sources: recordings, each with the places of the frames that reach into the region.
        options: of the map.
    """

    folder: Path
    number: Index
    sources: tuple[tuple[Recording, tuple[int, ...]], ...]
    options: MapOptions

    def __str__(self) -> str:
        return f"region {'.'.join(map(str, self.number))} of {self.folder}"

    def __call__(self) -> tuple[RegionCounts, int]:
        """What the region holds, and the peak memory of the process; raises as `map_region`."""
        city = CityMap(self.folder)
        voters = [
            Voters(self._voting(recording), places, _weights(recording.info, self.options.weights))
            for recording, places in self.sources
        ]
        mapped = map_region(voters, city.info.lattice, self.number)
        frames = sum(len(places) for _, places in self.sources)
        return city.write(self.number, mapped, frames), peak_bytes("cpu")

    def _voting(self, recording: Recording) -> Recording:
        return SightedRecording(recording) if self.options.weights.free == "seen" else recording


def begin_map(infos: Sequence[RecordingInfo], folder: Path, options: MapOptions) -> CityMap:
    """The map of recordings in a folder, without content or as far as it was made.

    Args:
        infos: of the recordings, whose poses are in one fixed frame.
        folder: for it.
        options: how it is made.

    Raises:
        DataError: where there is no recording, or they differ in their grids or classes, or lack
            the cameras that weights are made of.
        OutputError: where the folder cannot be written or holds another map.
    """
    _check(infos, options)
    info = MapInfo(
        lattice=lattice_around(infos, options.voxel_size_m, options.region_shape),
        vocabulary=infos[0].vocabulary,
        drives=tuple((one.name, len(one)) for one in infos),
        world_T_base=np.concatenate([one.world_T_base for one in infos]),
        settings=options.settings,
    )
    return CityMap.create(folder, info)


def build_map(
    city: CityMap,
    recordings: Sequence[Recording],
    options: MapOptions,
    engine: Engine,
    progress: Progress,
) -> MapReport:
    """Map the regions that are not finished; what is finished stays.

    Each region is mapped by itself, so neither their size nor their order nor the number of
    processes changes a voxel, and memory is that of one region and two frames for each process.

    Args:
        city: of these recordings, from `begin_map`.
        recordings: that can be read from other processes.
        options: as there.
        engine: that does the regions.
        progress: wraps them.

    Raises:
        DataError: where a frame cannot be read.
        OutputError: where the map cannot be written.
        PartError: where processes die again and again.
    """
    begun_s = time.monotonic()
    sources = frames_by_region([one.info for one in recordings], city.info.lattice)
    left = sorted(sources.keys() - set(city.finished))
    parts = [
        RegionPart(
            city.folder,
            number,
            tuple((recordings[i], places) for i, places in sources[number].items()),
            options,
        )
        for number in left
    ]
    done = [one for _, one in progress(engine.run(parts), len(parts), "map", "region")]
    return MapReport(
        made=len(left),
        kept=len(sources) - len(left),
        frames=sum(counts.frames for counts, _ in done),
        seconds=time.monotonic() - begun_s,
        peak_bytes=max((peak for _, peak in done), default=0),
    )


def frames_by_region(
    infos: Sequence[RecordingInfo], lattice: Lattice
) -> Mapping[Index, Mapping[int, tuple[int, ...]]]:
    """For each region that frames may reach into, their places by the number of the recording."""
    found: dict[Index, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, info in enumerate(infos):
        boxes = frame_boxes(info, lattice.voxel_size_m, lattice.phase_m)
        for place, box in enumerate(boxes):
            for region in lattice.regions_of(box):
                found[region][number].append(place)
    return {
        region: {number: tuple(places) for number, places in by_recording.items()}
        for region, by_recording in found.items()
    }


def _check(infos: Sequence[RecordingInfo], options: MapOptions) -> None:
    if not infos:
        raise DataError("map: expected at least one recording, got none")
    for info in infos[1:]:
        for what in ("grid", "vocabulary"):
            expected, got = getattr(infos[0], what), getattr(info, what)
            if got != expected:
                raise DataError(
                    f"{info.name}: expected the {what} of {infos[0].name}, {expected}, got {got}"
                )
    for info in infos:
        if options.weights.sensor == "camera" and not info.cameras:
            raise DataError(
                f"{info.name}: expected cameras to weight votes by, got a recording without; "
                "give the sensor lidar or none"
            )


def _weights(info: RecordingInfo, options: PropagationOptions) -> Votes:
    """(X, Y, Z) int32 of the votes of every frame, computed once in each process."""
    first = replace(
        info,
        name="",
        frame_names=info.frame_names[:1],
        stamps_ns=info.stamps_ns[:1],
        world_T_base=np.eye(4)[None],
    )
    return _weights_of_rig(pickle.dumps((first, options)))


@lru_cache(maxsize=_RIGS)
def _weights_of_rig(rig: bytes) -> Votes:
    weights: Votes = vote_weights(*pickle.loads(rig)).numpy()
    return weights
