"""What a run shows and keeps beside its weights: bar, logs, validation, pictures, TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from occflow_ros.data.sensors import encode_image
from occflow_ros.geometry.camera import Image
from occflow_ros.output import append_text, write_bytes, write_text
from occflow_ros.table import Table, as_text
from occflow_ros.training.trainer import StepReport, Trainer

LOG = "log.jsonl"
VALIDATION = "validation.jsonl"
PICTURES = "pictures"
_LOG_EVERY = 20


class Validation(Protocol):
    """What the network in training is worth; leaves the learner as it was.

    Each is told the number of steps that are done, and raises DataError where data cannot be read
    or compared.
    """

    def early(self, step: int) -> Table:
        """Of a few samples, before the first step: shows whether all can be read and compared."""

    def score(self, step: int) -> tuple[Table, Mapping[str, float]]:
        """Of all that is held out, for people and by name; NaN where a number is not known."""

    def picture(self, step: int) -> Image | None:
        """(H, W, 3) RGB, None where there is nothing to see."""


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

    def on_start(self, trainer: Trainer[Any]) -> None:
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
        steps = trainer.learner.steps
        self._bar = tqdm(total=steps, initial=done, desc="training", unit="step")
        if self._validation is not None and done < steps:
            self._validate_early(trainer, self._validation)

    def on_step(self, trainer: Trainer[Any], report: StepReport) -> None:
        """Move the bar; every so often write what happened since, and validate.

        Raises:
            DataError: where a held-out drive cannot be read.
            OutputError: where a log or a picture cannot be written.
        """
        if not trainer.process.writes:
            return
        self._recent.append(report)
        per_s = f"{report.size / max(report.step_s, 1e-9):,.0f} {trainer.learner.unit}/s"
        self._bar.set_postfix_str(f"loss {report.loss:.4f}, {per_s}", refresh=False)
        self._bar.update()
        if report.step % _LOG_EVERY == 0:
            self._write(report)
        if self._validation is not None and _is_due(trainer, report.step):
            self._validate(trainer, self._validation)

    def on_saved(self, trainer: Trainer[Any]) -> None:
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
            **last.numbers,
        }
        for name in last.parts:
            values = [report.parts[name] for report in self._recent if name in report.parts]
            means[f"loss/{name}"] = sum(values) / len(values)
        self._keep(LOG, last.step, means)
        self._recent.clear()

    def _validate_early(self, trainer: Trainer[Any], validation: Validation) -> None:
        """A few samples only, so that what is broken shows before hours of training; not logged."""
        step = trainer.progress.step
        (self._out / PICTURES).mkdir(exist_ok=True)
        self._show(step, "an early look", validation.early(step))
        self._draw(step, validation)

    def _validate(self, trainer: Trainer[Any], validation: Validation) -> None:
        step = trainer.progress.step
        table, numbers = validation.score(step)
        known = {name: value for name, value in numbers.items() if math.isfinite(value)}
        self._show(step, "validation", table)
        self._keep(VALIDATION, step, known, "validation/")
        self._draw(step, validation)
        trainer.metrics = {"step": step, **known}

    def _show(self, step: int, what: str, table: Table) -> None:
        self._bar.write(f"\nStep {step}, {what}\n{as_text(table)}\n")

    def _draw(self, step: int, validation: Validation) -> None:
        picture = validation.picture(step)
        if picture is None:
            return
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


def _is_due(trainer: Trainer[Any], step: int) -> bool:
    every = trainer.options.validate_every
    return step == trainer.learner.steps or (every > 0 and step % every == 0)
