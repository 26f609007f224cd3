"""What a run shows and keeps beside its weights: progress bar, log and TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from occflow_ros.output import write_text
from occflow_ros.training.trainer import StepReport, Trainer

LOG = "log.jsonl"
_LOG_EVERY = 20


class ProgressMonitor:
    """Bar on the console, `log.jsonl` and TensorBoard scalars in the folder of the run.

    Args:
        out: folder of the run.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._recent: list[StepReport] = []

    def on_start(self, trainer: Trainer) -> None:
        """Open the bar and the logs; entries after the step to go on from are dropped."""
        if not trainer.process.writes:
            return
        done = trainer.progress.step
        keep_log(self._out / LOG, done)
        self._board = SummaryWriter(str(self._out / "tensorboard"), purge_step=done + 1)
        self._bar = tqdm(
            total=trainer.config.train.steps, initial=done, desc="training", unit="step"
        )

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        """Move the bar; every so often write what happened since."""
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
        for name, value in means.items():
            self._board.add_scalar(name, value, last.step)
        with (self._out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": last.step, **means}) + "\n")
        self._recent.clear()


def keep_log(path: Path, step: int) -> None:
    """Drop the entries of a log that a run which goes on at `step` will write again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        write_text(path, "".join(f"{line}\n" for line in kept))
