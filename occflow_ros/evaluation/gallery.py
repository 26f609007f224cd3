"""Pictures of the sets that came out worst."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from occflow_ros.evaluation.protocol import Key
from occflow_ros.evaluation.records import Record, having
from occflow_ros.evaluation.run import Evaluator
from occflow_ros.output import write_bytes
from occflow_ros.viz.canvas import jpeg
from occflow_ros.viz.figure import Caption, draw_set

FOLDER = "worst"


def draw_gallery(
    out: Path, evaluator: Evaluator, records: Sequence[Record], count: int
) -> list[Path]:
    """Draw `worst/<rank>_<drive>_<set>.jpg` of the worst sets; their predictions are made again.

    Pictures of an earlier look at the evaluation are removed.

    Args:
        out: folder of the evaluation.
        evaluator: of the evaluation.
        records: of its sets.
        count: how many to draw at most.

    Returns:
        what was written, the worst one first.

    Raises:
        DataError: where an image cannot be read.
        OutputError: where a picture cannot be written.
    """
    key = evaluator.protocol.key
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
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
        caption = Caption(
            title=f"{record.drive}, set {record.index}: {key.label}"
            f" {record.numbers[key.name]:.3f}, {rank} of the worst"
        )
        path = folder / f"{rank:02d}_{record.drive}_{record.index:06d}.jpg"
        camera_set = subject.drive.sets[record.index]
        picture = draw_set(subject.drive, camera_set, prediction.scene, reference, caption)
        write_bytes(path, jpeg(picture))
        paths.append(path)
    return paths


def worst(records: Sequence[Record], key: Key, count: int) -> list[Record]:
    """The worst ones first; sets without the number are left out."""
    sign = 1.0 if key.high_is_good else -1.0
    return sorted(having(records, key.name), key=lambda one: sign * one.numbers[key.name])[:count]
