"""Training samples of drives: clips with the images, cues and LiDAR returns around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from occflow_ros.config import Config
from occflow_ros.cues import CueFolder, load_camera_cues
from occflow_ros.cues.cue import FlowCue
from occflow_ros.cues.images import image_of
from occflow_ros.data.clips import load_clip
from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.data.sensors import load_frame, read_lidar
from occflow_ros.errors import DataError
from occflow_ros.geometry import se3
from occflow_ros.losses.auxiliary import draw_auxiliary_frame
from occflow_ros.structures import Clip
from occflow_ros.training.augment import augment
from occflow_ros.training.draws import Draw, Drawn
from occflow_ros.training.sample import LidarReturns, OtherImages, TrainingSample


@dataclass(frozen=True, slots=True)
class TrainingDrive:
    """A drive, the part of it to train on, and its cues.

    Args:
        drive: all its sets.
        cues: optical flow of its images, and movable masks; without masks, all may move.
        indices: sets to predict for; those before and after them still serve as history and as
            other images, so leave a gap to sets that are held out.
    """

    drive: Drive
    cues: CueFolder
    indices: range


class ClipDataset(Dataset[Drawn[TrainingSample]]):
    """Every set that has one before and one after it is a sample.

    Args:
        drives: to train on.
        config: of network and training.

    Raises:
        DataError: where no drive has a sample, a drive has no optical flow where one is needed,
            lacks cues of its last sample, or has no LiDAR where LiDAR rays are asked for.
    """

    def __init__(self, drives: Sequence[TrainingDrive], config: Config) -> None:
        self._drives, self._config = tuple(drives), config
        self._places = [
            (one, index)
            for one in self._drives
            for index in one.indices
            if 0 < index < len(one.drive.sets) - 1
        ]
        if not self._places:
            raise DataError("expected a set with one before and one after it, found none")
        for one in self._drives:
            _check(one, config)
        for one, index in {id(one): (one, index) for one, index in self._places}.values():
            _check_cues(one, index)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, draw: Draw) -> Drawn[TrainingSample]:
        generator = torch.Generator().manual_seed(draw.seed)
        one, index = self._places[draw.index]
        try:
            sample = load_sample(one, index, self._config, generator)
        except DataError as error:
            return Drawn(draw, None, str(error))
        return Drawn(draw, augment(sample, self._config.train.augmentation, generator))


def load_sample(
    one: TrainingDrive, index: int, config: Config, generator: torch.Generator
) -> TrainingSample:
    """The sample for the set at `index`, nothing changed.

    Args:
        one: drive with its cues.
        index: of a set with one before and one after it.
        config: of network and training.
        generator: draws the auxiliary previous frame.

    Raises:
        DataError: where an image, a cue or a sweep is missing or damaged.
    """
    model = config.model
    clip = load_clip(one.drive, index, model.temporal.history, model.image_hw_px)
    previous = _previous_index(one.drive, index, config, generator)
    cues = [
        load_camera_cues(one.cues, one.drive, index, camera, model.image_hw_px, previous)
        if camera in one.drive.sets[index].images
        else None
        for camera in one.drive.cameras
    ]
    backward = [None if cue is None else cue.backward for cue in cues]
    forward = [None if cue is None else cue.forward for cue in cues]
    movable = torch.zeros((len(cues), *model.image_hw_px), dtype=torch.bool)
    for camera, cue in enumerate(cues):
        if cue is not None:
            known = cue.movable is not None
            movable[camera] = torch.from_numpy(cue.movable) if known else True
    current = one.drive.sets[index]
    return TrainingSample(
        clip=clip,
        images=clip.frames[-1].images,
        previous=_other(one.drive, clip, current, one.drive.sets[previous], backward, config),
        following=_other(one.drive, clip, current, one.drive.sets[index + 1], forward, config),
        movable=movable,
        lidar=_lidar(one.drive, current) if config.train.rendering.lidar_rays else None,
    )


def _check(one: TrainingDrive, config: Config) -> None:
    train, name = config.train, one.drive.name
    if train.losses.optical_flow.enabled and not one.cues.has_flow:
        raise DataError(f"{name}: expected optical flow for losses.optical_flow, got no estimator")
    if train.rendering.lidar_rays and one.drive.base_T_lidar is None:
        raise DataError(f"{name}: expected a LiDAR for rendering.lidar_rays, found none")


def _check_cues(one: TrainingDrive, index: int) -> None:
    """Of one set: `occflow cues` works through a drive in order, so the last one tells."""
    for camera in one.drive.sets[index].images:
        image, *others = (image_of(one.drive, at, camera) for at in (index, index - 1, index + 1))
        assert image is not None
        one.cues.require(image, [other for other in others if other is not None])


def _previous_index(drive: Drive, index: int, config: Config, generator: torch.Generator) -> int:
    """The auxiliary previous set; the one just before where none is in the range of ways."""
    auxiliary = config.train.auxiliary
    candidates = range(max(0, index - auxiliary.span), index)
    here_m = drive.sets[index].odom_T_base[:3, 3]
    ways_m = [
        float(np.linalg.norm(drive.sets[other].odom_T_base[:3, 3] - here_m)) for other in candidates
    ]
    chosen = draw_auxiliary_frame(
        ways_m, auxiliary.mean_m, auxiliary.std_m, auxiliary.range_m, generator
    )
    return index - 1 if chosen is None else candidates[chosen]


def _other(
    drive: Drive,
    clip: Clip,
    current: CameraSet,
    other: CameraSet,
    flows: Sequence[FlowCue | None],
    config: Config,
) -> OtherImages:
    height, width = config.model.image_hw_px
    frame = load_frame(drive, other, (height, width))
    base_T_other = se3.inverse(clip.frames[-1].odom_T_base.numpy()) @ frame.odom_T_base.numpy()
    flow_px = torch.zeros((len(flows), height, width, 2))
    known = torch.zeros((len(flows), height, width), dtype=torch.bool)
    for camera, flow in enumerate(flows):
        if flow is not None:
            flow_px[camera] = torch.from_numpy(flow.flow_px)
            known[camera] = torch.from_numpy(flow.valid)
    poses = torch.from_numpy(base_T_other) @ frame.rig.base_T_camera.double()
    return OtherImages(
        images=frame.images,
        K=frame.rig.K,
        base_T_camera=poses.float(),
        present=frame.rig.present & clip.frames[-1].rig.present,
        elapsed=_elapsed(drive, current, other, config.model.interval_s),
        flow_px=flow_px,
        known=known,
    )


def _elapsed(drive: Drive, current: CameraSet, other: CameraSet, interval_s: float) -> Tensor:
    """Time between the two images of each camera in intervals, (N,); 0 where one is missing."""
    ways_ns = [
        other.images[name].stamp_ns - current.images[name].stamp_ns
        if name in other.images and name in current.images
        else 0
        for name in drive.cameras
    ]
    return torch.tensor(ways_ns, dtype=torch.float64).mul(1e-9 / interval_s).float()


def _lidar(drive: Drive, camera_set: CameraSet) -> LidarReturns | None:
    sweep = camera_set.lidar
    if sweep is None or drive.base_T_lidar is None:
        return None
    base_T_sweep = se3.inverse(camera_set.odom_T_base) @ sweep.odom_T_base @ drive.base_T_lidar
    points_m = se3.transform_points(base_T_sweep, read_lidar(sweep.path).astype(np.float64))
    return LidarReturns(
        origin_m=torch.from_numpy(base_T_sweep[:3, 3].copy()).float(),
        points_m=torch.from_numpy(points_m).float(),
    )
