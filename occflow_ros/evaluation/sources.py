"""Where predictions come from: a network, the bag of a node, or label files of any model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from occflow_ros.config import Config
from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.recorded_predictions import read_predictions
from occflow_ros.data.scene import VoxelScene
from occflow_ros.data.semantic_kitti import EMPTY, GRID
from occflow_ros.data.semantic_kitti import NAMES as KITTI_NAMES
from occflow_ros.data.semantic_kitti_voxels import prediction_path, read_prediction
from occflow_ros.data.truth import read_truth
from occflow_ros.engine import checkpoint
from occflow_ros.engine.load_semantics import with_semantics
from occflow_ros.engine.prediction import Prediction
from occflow_ros.engine.streaming import OccupancyStream
from occflow_ros.engine.validation import predictions
from occflow_ros.errors import DataError
from occflow_ros.evaluation.subject import Subject
from occflow_ros.labels.store import label_path
from occflow_ros.models.build import build_network
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.readers import format_of, recording_folders
from occflow_ros.offboard.scene import recorded_scene
from occflow_ros.offboard.truth import frame_name

Predictions = Iterator[tuple[int, Prediction | None]]

_KITTI = "sequences"
_DIGEST_SIZE = 8


class Source(Protocol):
    """What an evaluation goes through."""

    @property
    def name(self) -> str:
        """Says whose predictions they are, and tells two sources apart."""

    def predictions(self, subject: Subject, sets: Sequence[int]) -> Predictions:
        """Of each of these sets, ascending, in order; None where there is none.

        Raises:
            DataError: where something cannot be read.
        """


class NetworkSource:
    """Predictions as the node makes them, from the images of a drive.

    Args:
        config: of network and stream.
        weights: checkpoint, None for random values.
        device: to compute on.
        semantics: checkpoint of MonoOcc, which says what the voxels are; None: nothing does.

    Raises:
        DataError: where the weights do not fit.
    """

    def __init__(
        self,
        config: Config,
        weights: Path | None,
        device: torch.device | str,
        semantics: Path | None = None,
    ) -> None:
        network = build_network(config.model, weights, config.train.seed)
        stream = OccupancyStream(network, config, device)
        self._config = config
        self._sharpness_per_m = checkpoint.sharpness_per_m(weights, config.model)
        self._stream = (
            stream
            if semantics is None
            else with_semantics(stream, semantics, self._sharpness_per_m)
        )
        self._name = (
            f"random weights of seed {config.train.seed}"
            if weights is None
            else f"{weights.name} {_digest(weights)}"
        )
        if semantics is not None:
            self._name += f", classes of {semantics.name} {_digest(semantics)}"

    @property
    def name(self) -> str:
        """File of the weights and hash of its bytes."""
        return self._name

    def predictions(self, subject: Subject, sets: Sequence[int]) -> Predictions:
        """The sets before them and between them are history."""
        model = self._config.model
        streamed = predictions(
            self._stream,
            subject.drive,
            model.image_hw_px,
            self._sharpness_per_m,
            range(sets[0], sets[-1] + 1),
            model.temporal.history,
        )
        return ((index, prediction) for index, prediction in streamed if index in sets)


class BagSource:
    """What a node said while a bag was recorded, by the stamp of the set's first camera.

    Args:
        path: the rosbag2 folder.

    Raises:
        DataError: where it cannot be read or has no predictions.
    """

    def __init__(self, path: Path) -> None:
        self._scenes = read_predictions(path)
        self._path = path
        if not self._scenes:
            raise DataError(f"{path}: expected predictions of a node, found none")

    @property
    def name(self) -> str:
        """Folder and number of predictions."""
        return f"{self._path}, {len(self._scenes)} predictions"

    def predictions(self, subject: Subject, sets: Sequence[int]) -> Predictions:
        """None for sets that the node has not processed."""
        reference = next(iter(subject.drive.cameras))
        for index in sets:
            camera_set = subject.drive.sets[index]
            frame = camera_set.images.get(reference)
            scene = None if frame is None else self._scenes.get(frame.stamp_ns)
            if scene is None or frame is None:
                yield index, None
            else:
                yield index, Prediction.of_voxels(scene, frame.odom_T_base)


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Files of any model: `sequences/XX/predictions/*.label`, or named as by `occflow labels`.

    Args:
        folder: with either.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    def predictions(self, subject: Subject, sets: Sequence[int]) -> Predictions:
        """None for sets without a file."""
        of = self._of_kitti if (self.folder / _KITTI).is_dir() else self._of_labels
        for index in sets:
            yield index, of(subject, index)

    def _of_kitti(self, subject: Subject, index: int) -> Prediction | None:
        path = prediction_path(self.folder, subject.drive.name, index)
        if not path.is_file():
            return None
        classes = read_prediction(path)
        standing = np.zeros((*GRID.shape, 2), np.float32)
        scene = VoxelScene(GRID, classes != EMPTY, standing, classes, KITTI_NAMES)
        return Prediction.of_voxels(scene, subject.drive.sets[index].odom_T_base)

    def _of_labels(self, subject: Subject, index: int) -> Prediction | None:
        camera_set = subject.drive.sets[index]
        path = label_path(self.folder, subject.drive, camera_set)
        if not path.is_file():
            return None
        found = read_truth(path)
        velocity_mps = np.nan_to_num(found.velocity_mps)
        occupied = found.semantics != FREE
        scene = VoxelScene(found.grid, occupied, velocity_mps, found.semantics, NAMES)
        return Prediction.of_voxels(scene, camera_set.odom_T_base)


class RecordingSource:
    """Recordings of OccFiner's stages, by the names of drive and frame.

    Args:
        folder: a recording, or one with a recording of each drive.

    Raises:
        DataError: where one cannot be read, or two are of the same drive.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stores: dict[str, FrameStore] = {}
        for path in recording_folders(folder):
            store = FrameStore(path)
            if self._stores.setdefault(store.info.name, store) is not store:
                raise DataError(
                    f"{folder}: expected recordings of different drives, got two of "
                    f"{store.info.name}"
                )

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    def predictions(self, subject: Subject, sets: Sequence[int]) -> Predictions:
        """None for sets without a frame."""
        store = self._stores.get(subject.drive.name)
        names = () if store is None else store.info.frame_names
        places = {name: place for place, name in enumerate(names)}
        for index in sets:
            camera_set = subject.drive.sets[index]
            place = places.get(frame_name(camera_set))
            if store is None or place is None or not store.has(place):
                yield index, None
                continue
            scene = recorded_scene(store.load(place), store.info)
            yield index, Prediction.of_voxels(scene, camera_set.odom_T_base)


def open_predictions(path: Path) -> Source:
    """The source that a path given as `--predictions` holds.

    Raises:
        DataError: where it is none.
    """
    path = path.expanduser()
    try:
        found = format_of(path)
    except DataError as error:
        raise DataError(f"{error}, or a class prior as .npz") from None
    match found:
        case "bag":
            return BagSource(path)
        case "frames":
            return RecordingSource(path)
        case _:
            return LabelSource(path)


def _digest(path: Path) -> str:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=_DIGEST_SIZE).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
