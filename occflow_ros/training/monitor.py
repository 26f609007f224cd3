"""What a run shows and keeps beside its weights: bar, logs, validation, pictures, TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from occflow_ros.data.sensors import encode_image
from occflow_ros.engine.validation import Scores
from occflow_ros.evaluation.subject import Subject
from occflow_ros.output import append_text, write_bytes, write_text
from occflow_ros.table import as_text
from occflow_ros.training.held_out import early, score, stream_of
from occflow_ros.training.pictures import draw_progress
from occflow_ros.training.sample import TrainingSample
from occflow_ros.training.trainer import StepReport, Trainer

LOG = "log.jsonl"
VALIDATION = "validation.jsonl"
PICTURES = "pictures"
_LOG_EVERY = 20


@dataclass(frozen=True, slots=True)
class Validation:
    """What a run is validated with.

    Args:
        drives: held out; the first one is shown in pictures.
        every: compare every k-th of their sets.
        sample: of the training data, shown in pictures with its cues.
    """

    drives: tuple[Subject, ...]
    every: int
    sample: TrainingSample


class ProgressMonitor:
    """Bar and tables on the console; logs, pictures and TensorBoard in the folder of the run.

    All is done in the one process that writes; the others wait for it at their next step.

    Args:
        out: folder of the run.
        validation: None: the run is not validated.
    """

    def __init__(self, out: Path, validation: Validation | None = None) -> None:
        self._out, self._validation = out, validation
        self._recent: list[StepReport] = []

    def on_start(self, trainer: Trainer) -> None:
        """Open bar and logs, without what came after the step to go on from, and validate early.

        Raises:
            DataError: where a held-out drive cannot be read or compared.
            OutputError: where the folder cannot be written.
        """
        if not trainer.process.writes:
            return
        done = trainer.progress.step
        keep_log(self._out / LOG, done)
        trainer.metrics = keep_log(self._out / VALIDATION, done)
        _keep_pictures(self._out / PICTURES, done)
        self._board = SummaryWriter(str(self._out / "tensorboard"), purge_step=done + 1)
        self._bar = tqdm(
            total=trainer.config.train.steps, initial=done, desc="training", unit="step"
        )
        if self._validation is not None and done < trainer.config.train.steps:
            self._validate_early(trainer, self._validation)

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        """Move the bar; every so often write what happened since, and validate.

        Raises:
            DataError: where a held-out drive cannot be read.
            OutputError: where a log or a picture cannot be written.
        """
        if not trainer.process.writes:
            return
        self._recent.append(report)
        rays_per_s = report.rays / max(report.step_s, 1e-9)
        self._bar.set_postfix_str(
            f"loss {report.loss:.4f}, {rays_per_s:,.0f} rays/s", refresh=False
        )
        self._bar.update()
        if report.step % _LOG_EVERY == 0:
            self._write(report)
        if self._validation is not None and _is_due(trainer, report.step):
            self._validate(trainer, self._validation)

    def on_saved(self, trainer: Trainer) -> None:
        """Nothing is to be done."""

    def _write(self, last: StepReport) -> None:
        count = len(self._recent)
        means = {
            "loss": sum(report.loss for report in self._recent) / count,
            "gradient_norm": sum(report.gradient_norm for report in self._recent) / count,
            "step_s": sum(report.step_s for report in self._recent) / count,
            "load_s": sum(report.load_s for report in self._recent) / count,
            "skipped": sum(report.skipped for report in self._recent),
            "rate": last.rate,
            "sharpness_per_m": last.sharpness_per_m,
        }
        for name in last.parts:
            values = [report.parts[name] for report in self._recent if name in report.parts]
            means[f"loss/{name}"] = sum(values) / len(values)
        self._keep(LOG, last.step, means)
        self._recent.clear()

    def _validate_early(self, trainer: Trainer, validation: Validation) -> None:
        """A few sets only, so that what is broken shows before hours of training; not logged."""
        (self._out / PICTURES).mkdir(exist_ok=True)
        scores = self._score(trainer, early(validation.drives), every=1)
        self._show(trainer, scores, "an early look")
        self._draw(trainer, validation)

    def _validate(self, trainer: Trainer, validation: Validation) -> None:
        step = trainer.progress.step
        scores = self._score(trainer, validation.drives, validation.every)
        known = {name: value for name, value in scores.numbers().items() if math.isfinite(value)}
        self._show(trainer, scores, "validation")
        self._keep(VALIDATION, step, known, "validation/")
        self._draw(trainer, validation)
        trainer.metrics = {"step": step, **known}

    def _score(self, trainer: Trainer, drives: Sequence[Subject], every: int) -> Scores:
        with stream_of(trainer.model.network, trainer.config, trainer.process.device) as stream:
            return score(stream, drives, trainer.config, trainer.sharpness_per_m, every)

    def _show(self, trainer: Trainer, scores: Scores, what: str) -> None:
        self._bar.write(f"\nStep {trainer.progress.step}, {what}\n{as_text(scores.table())}\n")

    def _draw(self, trainer: Trainer, validation: Validation) -> None:
        step = trainer.progress.step
        with stream_of(trainer.model.network, trainer.config, trainer.process.device) as stream:
            picture = draw_progress(
                f"Step {step}",
                stream,
                validation.drives[0],
                validation.sample,
                trainer.config,
                trainer.sharpness_per_m,
            )
        self._board.add_image("validation", picture, step, dataformats="HWC")
        write_bytes(self._out / PICTURES / f"step-{step:06d}.jpg", encode_image(picture, ".jpg"))

    def _keep(self, log: str, step: int, numbers: Mapping[str, float], prefix: str = "") -> None:
        for name, value in numbers.items():
            self._board.add_scalar(f"{prefix}{name}", value, step)
        append_text(self._out / log, json.dumps({"step": step, **numbers}) + "\n")


def keep_log(path: Path, step: int) -> dict[str, float]:
    """Drop the entries of a log that a run which goes on at `step` will write again.

    A last line without an end is that of a process that was killed, and is dropped too.

    Returns:
        The last entry that stays, empty where there is none.
    """
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    kept = [line for line in whole if json.loads(line)["step"] <= step]
    write_text(path, "".join(kept))
    last: dict[str, float] = json.loads(kept[-1]) if kept else {}
    return last


def _keep_pictures(folder: Path, step: int) -> None:
    """As `keep_log`."""
    for path in folder.glob("step-*.jpg"):
        if int(path.stem.removeprefix("step-")) > step:
            path.unlink()


def _is_due(trainer: Trainer, step: int) -> bool:
    every = trainer.options.validate_every
    return step == trainer.config.train.steps or (every > 0 and step % every == 0)
