"""Pictures of the sets that came out worst."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from occflow_ros.data.drive import CameraSet, Drive
from occflow_ros.data.scene import VoxelScene
from occflow_ros.engine.prediction import Prediction
from occflow_ros.evaluation.protocol import Key
from occflow_ros.evaluation.records import Record, having
from occflow_ros.evaluation.run import THIS, Evaluator
from occflow_ros.evaluation.sources import Source, open_predictions
from occflow_ros.evaluation.subject import Subject
from occflow_ros.geometry.camera import Image
from occflow_ros.output import write_bytes
from occflow_ros.viz.canvas import jpeg
from occflow_ros.viz.figure import Caption, draw_set
from occflow_ros.viz.semantic_figure import draw_semantic_set
from occflow_ros.viz.stages_figure import draw_stages

FOLDER = "worst"

_MOST_BYTES = 300_000


def draw_gallery(
    out: Path,
    evaluator: Evaluator,
    records: Sequence[Record],
    count: int,
    beside: Mapping[str, Path] | None = None,
) -> list[Path]:
    """Draw `worst/<rank>_<drive>_<set>.jpg` of the worst sets; their predictions are made again.

    Pictures of an earlier look at the evaluation are removed.

    Args:
        out: folder of the evaluation.
        evaluator: of the evaluation.
        records: of its sets.
        count: how many to draw at most.
        beside: other recorded predictions by their names, drawn as columns before this one.

    Returns:
        what was written, the worst one first.

    Raises:
        DataError: where an image cannot be read.
        OutputError: where a picture cannot be written.
    """
    key = evaluator.protocol.key
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    others = {name: open_predictions(path) for name, path in (beside or {}).items()}
    for earlier in folder.glob("[0-9][0-9]_*.jpg"):
        earlier.unlink()
    paths = []
    for rank, record in enumerate(worst(records, key, count), start=1):
        subject = evaluator.subjects[record.drive]
        sets = range(record.index, record.index + 1)
        _, prediction = next(evaluator.source.predictions(subject, sets))
        if prediction is None:
            continue
        reference = evaluator.protocol.reference(subject, record.index, prediction)
        title = (
            f"{record.drive}, set {record.index}: {key.label}"
            f" {record.numbers[key.name]:.3f}, {rank} of the worst"
        )
        path = folder / f"{rank:02d}_{record.drive}_{record.index:06d}.jpg"
        camera_set = subject.drive.sets[record.index]
        if others:
            rows = [*_scenes(others, subject, sets), (THIS, prediction.scene)]
            rows += [] if reference is None else [("truth", reference)]
            picture = draw_stages(title, rows)
        else:
            caption = Caption(title)
            picture = draw_prediction(subject.drive, camera_set, prediction, reference, caption)
        write_bytes(path, jpeg(picture, _MOST_BYTES if others else None))
        paths.append(path)
    return paths


def _scenes(
    sources: Mapping[str, Source], subject: Subject, sets: range
) -> Iterator[tuple[str, VoxelScene]]:
    """Of one set, by those that have it."""
    for name, source in sources.items():
        _, prediction = next(source.predictions(subject, sets))
        if prediction is not None:
            yield name, prediction.scene


def draw_prediction(
    drive: Drive,
    camera_set: CameraSet,
    prediction: Prediction,
    reference: VoxelScene | None,
    caption: Caption,
) -> Image:
    """By class where the prediction has classes, else by height and motion; raises DataError."""
    scene = prediction.scene
    if scene.class_id is None:
        return draw_set(drive, camera_set, scene, reference, caption)
    pose = prediction.odom_T_base
    return draw_semantic_set(drive, camera_set, scene, pose, reference, caption)


def worst(records: Sequence[Record], key: Key, count: int) -> list[Record]:
    """The worst ones first; sets without the number are left out."""
    sign = 1.0 if key.high_is_good else -1.0
    return sorted(having(records, key.name), key=lambda one: sign * one.numbers[key.name])[:count]
