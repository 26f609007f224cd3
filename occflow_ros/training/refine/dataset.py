"""Training samples: windows of recorded predictions with the true classes of their sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from occflow_ros.config import GridConfig, validate
from occflow_ros.data.drive import Drive
from occflow_ros.errors import DataError
from occflow_ros.models.refine.coordinates import relative_poses
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.recording import RecordingInfo
from occflow_ros.offboard.segments import segments
from occflow_ros.offboard.window_refiner import check_recording, window_sizes
from occflow_ros.offboard.windows import Window, WindowSizes, aligned_windows
from occflow_ros.refine_config import RefineClassesConfig, RefineConfig, RefineModelConfig
from occflow_ros.structures import UNKNOWN_CLASS_ID
from occflow_ros.training.draws import Draw, Drawn
from occflow_ros.training.mono.truth import Classes, class_truth, labelled_sets
from occflow_ros.training.refine.augment import augment
from occflow_ros.training.refine.sample import RefineSample
from occflow_ros.training.refine.truth import seen_along_the_way

_CACHE_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class RefineDrive:
    """A recording, and the drive that it is of.

    Args:
        recording: what an onboard model said.
        folder: that the drive was read from; of a data set, its root.
        drive: all its sets.
        set_of: for each frame of the recording its labelled set, None where it has none.
    """

    recording: FrameStore
    folder: Path
    drive: Drive
    set_of: tuple[int | None, ...]

    @staticmethod
    def pair(recording: FrameStore, folder: Path, drive: Drive, sets: range) -> RefineDrive:
        """Match frames and sets by their times.

        Args:
            recording: of the drive.
            folder: that the drive was read from.
            drive: all its sets.
            sets: that may be compared with.

        Raises:
            DataError: where no frame was taken when a labelled set was.
        """
        drive_of = _Labelled(folder, drive)
        index_of = {drive.sets[i].stamp_ns: i for i in labelled_sets(drive_of) if i in sets}
        info = recording.info
        set_of = tuple(index_of.get(stamp_ns) for stamp_ns in info.stamps_ns)
        if not any(index is not None for index in set_of):
            raise DataError(
                f"{info.name}: expected frames at the times of labelled sets of {folder}, got "
                f"frames from {info.stamps_ns[0]} to {info.stamps_ns[-1]} ns and "
                f"{len(index_of)} labelled sets"
            )
        return RefineDrive(recording, folder, drive, set_of)

    def is_labelled(self, places: Iterable[int]) -> bool:
        """Whether one of these frames has a truth."""
        return any(self.set_of[place] is not None for place in places)


def fit_recording(config: RefineConfig, info: RecordingInfo) -> RefineConfig:
    """The configuration with grid and classes of a recording; raises ConfigError as `validate`."""
    grid = info.grid
    model = config.model.model_dump() | {
        "grid": GridConfig(lower_m=grid.lower_m, upper_m=grid.upper_m, shape=grid.shape),
        "classes": RefineClassesConfig.of(info.vocabulary),
    }
    return config.model_copy(update={"model": validate(RefineModelConfig, model)})


AnsweringWindow = tuple[RefineDrive, Window, range]
"""A window of a recording, and the frames of it that it answers for."""


class RefineDataset(Dataset[Drawn[RefineSample]]):
    """A window can begin at each frame of a segment, where one of its local frames is labelled.

    Args:
        drives: to train on.
        config: of network and training.

    Raises:
        DataError: where a recording is on another grid or has other classes, nothing is labelled,
            or the first frame or truth of a drive cannot be read.
    """

    def __init__(self, drives: Sequence[RefineDrive], config: RefineConfig) -> None:
        self._drives, self._config, self._truths = drives, config, _Truths(config.model)
        self._sizes = window_sizes(config.model)
        for one in drives:
            check_recording(one.recording.info, config.model)
        self._places = [place for one in drives for place in _places(one, self._sizes)]
        if not self._places:
            raise DataError("expected recordings of drives with true classes, found none")
        for one in drives:
            first = next(place for place, index in enumerate(one.set_of) if index is not None)
            one.recording.load(first)
            self._truths.of(one, first)

    @property
    def config(self) -> RefineConfig:
        """Of network and training."""
        return self._config

    @property
    def windows(self) -> Sequence[AnsweringWindow]:
        """Those in which the recordings are refined, where what they answer for is labelled."""
        return [
            (one, window, answers)
            for one in self._drives
            for segment in segments(one.recording.info)
            for window, answers in aligned_windows(segment, self._sizes)
            if one.is_labelled(answers)
        ]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, draw: Draw) -> Drawn[RefineSample]:
        generator = torch.Generator().manual_seed(draw.seed)
        one, segment, first = self._places[draw.index]
        local = self._sizes.local_at(first, segment)
        window = Window(local, _draw(self._sizes, local, segment, generator))
        try:
            sample = self.load(one, window)
        except DataError as error:
            return Drawn(draw, None, str(error))
        return Drawn(draw, augment(sample, self._config.train.flip, generator))

    def load(self, one: RefineDrive, window: Window) -> RefineSample:
        """The sample of a window, nothing changed; raises DataError."""
        recording = one.recording
        classes = np.stack([frame.class_id for frame in recording.frames(window.places)])
        poses = recording.info.world_T_base[list(window.places)]
        return RefineSample(
            classes=torch.from_numpy(classes),
            pivot_T_frame=relative_poses(poses, window.pivot, recording.info.grid),
            truth=torch.from_numpy(
                np.stack([self._truths.of(one, place) for place in window.local])
            ),
        )


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A drive and its folder, as `training.mono.truth` takes them."""

    folder: Path
    drive: Drive


class _Truths:
    """True classes on the grid of the network; as many are kept as there is room for.

    A set is in several windows, and reading it takes longer than the rest of a sample. Where a set
    has no voxel files of SemanticKITTI, which already are of all that is seen along the way, it is
    put together with the others of its segment.
    """

    def __init__(self, config: RefineModelConfig) -> None:
        self._grid, self._classes = config.grid.voxels, config.classes
        self._most = _CACHE_BYTES // self._grid.num_voxels
        self._kept: dict[tuple[str, Path, str, int], Classes] = {}

    def of(self, one: RefineDrive, place: int) -> Classes:
        """(X, Y, Z), unknown where the frame is not labelled; raises DataError."""
        index = one.set_of[place]
        if index is None:
            return np.full(self._grid.shape, UNKNOWN_CLASS_ID, np.uint8)
        if one.drive.sets[index].occupancy is None:
            return self._seen(one, index)
        return self._once("way", one, index, lambda: self._along_the_way(one, place))

    def _along_the_way(self, one: RefineDrive, place: int) -> Classes:
        info = one.recording.info
        segment = next(segment for segment in segments(info) if place in segment)
        labelled = [other for other in segment if one.set_of[other] is not None]
        sets = [index for other in labelled if (index := one.set_of[other]) is not None]
        return seen_along_the_way(
            [self._seen(one, index) for index in sets],
            self._grid,
            info.world_T_base[labelled],
            labelled.index(place),
            info.vocabulary.movable,
        )

    def _seen(self, one: RefineDrive, index: int) -> Classes:
        """Of what the sensors of the set see."""
        return self._once(
            "seen", one, index, lambda: class_truth(one, index, self._grid, self._classes)
        )

    def _once(
        self, what: str, one: RefineDrive, index: int, make: Callable[[], Classes]
    ) -> Classes:
        key = what, one.folder, one.drive.name, index
        if (kept := self._kept.get(key)) is not None:
            return kept
        made = make()
        if len(self._kept) < self._most:
            self._kept[key] = made
        return made


def _places(one: RefineDrive, sizes: WindowSizes) -> Iterator[tuple[RefineDrive, range, int]]:
    for segment in segments(one.recording.info):
        for first in sizes.first_places(segment):
            if one.is_labelled(sizes.local_at(first, segment)):
                yield one, segment, first


def _draw(
    sizes: WindowSizes, local: range, segment: range, generator: torch.Generator
) -> tuple[int, ...]:
    """References by chance, ascending; all where there are not enough."""
    candidates = sizes.candidates(local, segment)
    order = torch.randperm(len(candidates), generator=generator).tolist()
    return tuple(sorted(candidates[number] for number in order[: sizes.references]))
