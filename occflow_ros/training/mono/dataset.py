"""Training samples of drives with true classes: images, depth, voxels and labelled pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.utils.data import Dataset

from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.data.sensors import load_frame
from occflow_ros.depth.frame_depth import FrameDepth
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.mono_config import MonoConfig
from occflow_ros.structures import VoxelGrid
from occflow_ros.training.draws import Draw, Drawn
from occflow_ros.training.mono.augment import augment, mirrors
from occflow_ros.training.mono.pixels import pixel_classes
from occflow_ros.training.mono.sample import MonoSample
from occflow_ros.training.mono.truth import (
    Classes,
    class_truth,
    labelled_sets,
    on_grid,
    read_voxel_classes,
)


@dataclass(frozen=True, slots=True)
class MonoDrive:
    """A drive and the part of it to train on.

    Args:
        folder: that it was read from; of a data set, its root.
        drive: all its sets.
        indices: sets to predict for, those of them that are labelled; sets before them still
            serve as history, so leave a gap to sets that are held out.
    """

    folder: Path
    drive: Drive
    indices: range


Place = tuple[MonoDrive, int]


class MonoDataset(Dataset[Drawn[MonoSample]]):
    """Every labelled set is a sample.

    Args:
        drives: to train on.
        config: of network and training.
        depth: of the current images.
        frames: images of a camera at most, the current one and those of the sets before it.

    Raises:
        ConfigError: where samples are to be mirrored and the grid is not its own mirror image.
        DataError: where no drive has a labelled set, or truth or depth of the first or last sample
            of a drive is missing or does not fit.
    """

    def __init__(
        self, drives: Sequence[MonoDrive], config: MonoConfig, depth: FrameDepth, frames: int
    ) -> None:
        self._config, self._depth, self._frames = config, depth, frames
        _check_mirror(config)
        self._places = [
            (one, index) for one in drives for index in labelled_sets(one) if index in one.indices
        ]
        if not self._places:
            raise DataError("expected sets with true classes of their voxels, found none")
        for one, index in _ends(self._places):
            class_truth(one, index, self.grid, config.model.classes)
            next(depth.depths(one.drive, (index,), config.model.image_hw_px))

    @property
    def grid(self) -> VoxelGrid:
        """Of the true classes."""
        return self._config.model.grid.voxels

    @property
    def config(self) -> MonoConfig:
        """Of network and training."""
        return self._config

    @property
    def places(self) -> Sequence[Place]:
        """Drive and set of each sample."""
        return self._places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, draw: Draw) -> Drawn[MonoSample]:
        generator = torch.Generator().manual_seed(draw.seed)
        one, index = self._places[draw.index]
        try:
            sample = load_sample(one, index, self._config, self._depth, self._frames, generator)
        except DataError as error:
            return Drawn(draw, None, str(error))
        return Drawn(draw, augment(sample, self._config.train.augmentation, generator))

    def classes(self, number: int) -> Classes:
        """True classes (X, Y, Z) of a sample, as it is without change; raises DataError."""
        one, index = self._places[number]
        return class_truth(one, index, self.grid, self._config.model.classes)


def load_sample(
    one: MonoDrive,
    index: int,
    config: MonoConfig,
    depth: FrameDepth,
    frames: int,
    generator: torch.Generator,
) -> MonoSample:
    """The sample for the set at `index`, nothing changed.

    Args:
        one: the drive.
        index: of a labelled set.
        config: of network and training.
        depth: of the current images.
        frames: images of a camera at most; where a drive begins there are fewer.
        generator: draws the cameras, where not all are taken.

    Raises:
        DataError: where an image, depth, the truth or a sweep is missing or damaged.
    """
    model, drive = config.model, one.drive
    cameras = _draw_cameras(drive, drive.sets[index], config.train.cameras_per_sample, generator)
    seen = with_cameras(drive, range(max(0, index - frames + 1), index + 1), cameras)
    loaded = tuple(
        load_frame(seen, camera_set, model.image_hw_px)
        for camera_set in reversed(seen.sets)
        if camera_set.images
    )
    voxels = read_voxel_classes(one, index)
    classes = on_grid(voxels, model.grid.voxels, model.classes, f"{drive.name}, set {index}")
    return MonoSample(
        frames=loaded,
        depth_m=next(depth.depths(seen, (len(seen.sets) - 1,), model.image_hw_px)),
        classes=torch.from_numpy(classes),
        pixels=pixel_classes(one, index, loaded[0], voxels, model.classes),
    )


def with_cameras(drive: Drive, sets: range, cameras: Sequence[str]) -> Drive:
    """Some sets of a drive with the images of some cameras; sets may be left without images."""
    return replace(
        drive,
        cameras={name: drive.cameras[name] for name in cameras},
        sets=tuple(
            replace(one, images={name: one.images[name] for name in cameras if name in one.images})
            for one in (drive.sets[index] for index in sets)
        ),
    )


def _draw_cameras(
    drive: Drive, camera_set: CameraSet, count: int, generator: torch.Generator
) -> list[str]:
    """So many cameras in the order of the rig, 0 takes all; such without an image come last."""
    names = list(drive.cameras)
    if not 0 < count < len(names):
        return names
    order = torch.randperm(len(names), generator=generator).tolist()
    drawn = sorted(order, key=lambda number: names[number] not in camera_set.images)[:count]
    return [names[number] for number in sorted(drawn)]


def _ends(places: Sequence[Place]) -> list[Place]:
    """First and last sample of each drive."""
    of_drive: dict[int, list[Place]] = {}
    for place in places:
        of_drive.setdefault(id(place[0]), []).append(place)
    return [place for group in of_drive.values() for place in (group[:1] + group[1:][-1:])]


def _check_mirror(config: MonoConfig) -> None:
    grid = config.model.grid.voxels
    if config.train.augmentation.flip and not mirrors(grid):
        raise ConfigError(
            "train.augmentation.flip: expected 0 for a grid that does not reach as far to the left "
            f"as to the right, got y from {grid.lower_m[1]} to {grid.upper_m[1]} m"
        )
