"""What MonoOcc says of a drive, as files of a benchmark and as pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occflow_ros.data.classes import FREE, NAMES
from occflow_ros.data.drive import CameraSet, Drive, OccupancyTruth
from occflow_ros.data.kitti_odometry import voxel_files
from occflow_ros.data.scene import VoxelScene, truth_scene
from occflow_ros.data.semantic_kitti import EMPTY, GRID
from occflow_ros.data.semantic_kitti import NAMES as KITTI_NAMES
from occflow_ros.data.semantic_kitti_voxels import prediction_path, write_prediction
from occflow_ros.data.truth import read_truth, write_truth
from occflow_ros.engine.prediction import Prediction
from occflow_ros.errors import DataError, OutputError
from occflow_ros.evaluation.sources import Source
from occflow_ros.evaluation.subject import Subject
from occflow_ros.labels.store import label_path
from occflow_ros.metrics.resample import on_grid
from occflow_ros.output import write_bytes
from occflow_ros.viz.canvas import jpeg
from occflow_ros.viz.figure import Caption
from occflow_ros.viz.semantic_figure import draw_semantic_set

PICTURES = "pictures"

_Predicted = tuple[int, Prediction | None]
Progress = Callable[[Iterable[_Predicted], int], Iterable[_Predicted]]


@dataclass(frozen=True, slots=True)
class Written:
    """What a run left: files of predictions, and pictures."""

    predictions: tuple[Path, ...] = ()
    pictures: tuple[Path, ...] = ()


def sets_of_benchmark(subject: Subject, every: int) -> list[int]:
    """Of SemanticKITTI those with voxel files, of other drives all; of these every k-th.

    The test sequences have such files too, but no labels.
    """
    files = voxel_files(subject.folder, subject.drive.name)
    there = [index for index in subject.sets if not files or index in files]
    return there[::every]


def without_prediction(out: Path, drive: Drive, sets: Iterable[int]) -> list[int]:
    """Of some sets of a drive, those whose prediction `write_semantics` did not leave yet."""
    return [
        index
        for index in sets
        if not prediction_path(out, drive.name, index).is_file()
        and not label_path(out, drive, drive.sets[index]).is_file()
    ]


def write_semantics(
    subject: Subject,
    source: Source,
    indices: Sequence[int],
    out: Path,
    pictures: int,
    progress: Progress,
    knows_motion: bool,
) -> Written:
    """Predict for some sets of a drive and write each prediction.

    Args:
        subject: the drive.
        source: of predictions with classes.
        indices: of the sets, ascending.
        out: folder of `sequences` or of labels, and of `PICTURES`.
        pictures: how many to draw, evenly over the sets.
        progress: wraps the predictions, given how many come.
        knows_motion: whether the source says how voxels move; otherwise files say that it is
            unknown.

    Raises:
        DataError: where an image or its depth cannot be read, or no benchmark has the classes.
        OutputError: where a file cannot be written.
    """
    drive, written, drawn = subject.drive, [], []
    chosen = np.linspace(0, len(indices) - 1, min(pictures, len(indices))).round().astype(int)
    to_draw = {indices[place] for place in chosen}
    for index, prediction in progress(source.predictions(subject, indices), len(indices)):
        if prediction is None:
            continue
        written.append(_write(out, drive, index, prediction, knows_motion))
        if index in to_draw:
            drawn.append(_draw(out / PICTURES, drive, index, prediction))
    return Written(tuple(written), tuple(drawn))


def _write(out: Path, drive: Drive, index: int, prediction: Prediction, knows_motion: bool) -> Path:
    """As SemanticKITTI has it where the classes are its own, else as Occ3D has it."""
    kitti = prediction.classes_in(KITTI_NAMES, EMPTY)
    nuscenes = prediction.classes_in(NAMES, FREE)
    try:
        if kitti is not None:
            path = prediction_path(out, drive.name, index)
            _, class_id = on_grid(prediction.scene, kitti, GRID, EMPTY)
            assert class_id is not None  # some went in
            write_prediction(path, class_id)
            return path
        if nuscenes is not None:
            path = label_path(out, drive, drive.sets[index])
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, _labels(prediction.scene, nuscenes, knows_motion))
            return path
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    raise DataError(
        f"classes: expected those of SemanticKITTI ({', '.join(KITTI_NAMES)}) or of nuScenes "
        f"({', '.join(NAMES)}), whose files are known, got "
        f"{', '.join(prediction.scene.class_names) or 'none'}"
    )


def _labels(scene: VoxelScene, class_id: np.ndarray, knows_motion: bool) -> bytes:
    unknown = np.full_like(scene.velocity_mps, np.nan)
    truth = OccupancyTruth(
        semantics=class_id,
        velocity_mps=scene.velocity_mps if knows_motion else unknown,
        observed=np.ones(scene.grid.shape, bool),
        lower_m=scene.grid.lower_m,
        upper_m=scene.grid.upper_m,
    )
    file = io.BytesIO()
    write_truth(file, truth)
    return file.getvalue()


def _draw(folder: Path, drive: Drive, index: int, prediction: Prediction) -> Path:
    camera_set, scene = drive.sets[index], prediction.scene
    pose, truth = prediction.odom_T_base, _truth(camera_set)
    caption = Caption(f"{drive.name}, set {index}")
    picture = draw_semantic_set(drive, camera_set, scene, pose, truth, caption)
    path = folder / f"{drive.name}_{index:06d}.jpg"
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path, jpeg(picture))
    return path


def _truth(camera_set: CameraSet) -> VoxelScene | None:
    occupancy = camera_set.occupancy
    return None if occupancy is None else truth_scene(read_truth(occupancy))
