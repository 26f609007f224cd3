"""The training loop: stages, steps that can be repeated exactly, files that are never torn."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, cast

import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW
from torch.utils.data import DataLoader, Dataset

from occflow_ros.engine import checkpoint
from occflow_ros.engine.checkpoint import AnyConfig
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.training.draws import Drawn, Draws, SampleSource
from occflow_ros.training.interruption import (
    Interrupted,
    Interruption,
    leave_signals_to_parent,
)
from occflow_ros.training.learner import Learner, SampleT
from occflow_ros.training.optimizer import (
    build_optimizer,
    clip_gradients,
    scheduled_rate,
    set_rate,
)
from occflow_ros.training.processes import Process
from occflow_ros.training.state import Progress, load_state, read_progress, save_state

STATE = "state.safetensors"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """How a run goes, apart from what is learned.

    Args:
        out: folder of the run.
        workers: processes that load samples; 0 loads between the steps.
        save_every: steps between two saved states.
        validate_every: steps between two validations; 0: at the end only.
        resume: go on from the state in the folder.
    """

    out: Path
    workers: int = 2
    save_every: int = 500
    validate_every: int = 0
    resume: bool = False


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step did.

    Args:
        step: number of steps that are done with this one.
        loss: mean over the samples of all processes.
        parts: each loss before its weight, of this process.
        gradient_norm: before it was shortened.
        skipped: the gradient was not finite, nothing was learned.
        rate: base learning rate.
        numbers: what else the learner says about this step.
        load_s: time spent waiting for samples.
        step_s: time of the whole step.
        size: of the samples of this process, in the learner's unit.
    """

    step: int
    loss: float
    parts: Mapping[str, float]
    gradient_norm: float
    skipped: bool
    rate: float
    numbers: Mapping[str, float]
    load_s: float
    step_s: float
    size: int


class Monitor(Protocol):
    """Who looks on: progress bar, TensorBoard, validation."""

    def on_start(self, trainer: Trainer[Any]) -> None:
        """Before the first step."""

    def on_step(self, trainer: Trainer[Any], report: StepReport) -> None:
        """After each step."""

    def on_saved(self, trainer: Trainer[Any]) -> None:
        """After the state was saved."""


class Trainer(Generic[SampleT]):
    """One process's part of a run.

    Args:
        learner: with the weights to begin with; moved to the process's device.
        dataset: samples.
        config: of network and training.
        options: of the run.
        process: this one.
        fingerprint: of the data; a run goes on only with the same.

    Raises:
        ConfigError: where the processes cannot share the samples of a step evenly.
        DataError: where a state to resume from cannot be read or does not fit.
    """

    def __init__(
        self,
        learner: Learner[SampleT],
        dataset: SampleSource[SampleT],
        config: AnyConfig,
        options: TrainerOptions,
        process: Process,
        fingerprint: str = "",
    ) -> None:
        if config.train.samples_per_step % process.world_size:
            raise ConfigError(
                f"train.samples_per_step: expected a multiple of the {process.world_size} "
                f"processes, got {config.train.samples_per_step}"
            )
        self.config, self.options, self.process = config, options, process
        self.learner = learner.to(process.device)
        self.progress = Progress(fingerprint=fingerprint)
        self.metrics: Mapping[str, float] = {}
        """Of the last validation, with its step; who looks on fills it in."""
        self._dataset = dataset
        self._skipped_in_a_row = 0
        self._saved: Progress | None = None
        state = options.out / STATE
        if options.resume:
            self.progress = read_progress(state, config, fingerprint)
        self._begin_stage()
        if options.resume:
            load_state(state, self.learner, self._optimizer if self._step_of_stage else None)

    def run(self, monitor: Monitor) -> None:
        """All steps that are left; the state is saved at the end, wherever that is.

        Raises:
            DataError: names the sample that could not be loaded, or says that the loss diverged.
            OutputError: where a file cannot be written; the last one that was written stays.
            KeyboardInterrupt: after Ctrl-C or SIGTERM, once the running step is done and saved; a
                second signal ends the step at once, and the state is the one saved last.
        """
        monitor.on_start(self)
        with Interruption() as interruption:
            try:
                for samples, load_s in self._batches():
                    self._agree(samples, interruption.noted)
                    if self._step_of_stage == 0:
                        self._begin_stage()
                    monitor.on_step(self, self._step(samples, load_s))
                    if self.progress.step % self.options.save_every == 0:
                        self.save(monitor)
            except (DataError, Interrupted):
                self.save(monitor)
                raise
            self.save(monitor)

    def save(self, monitor: Monitor) -> None:
        """State to go on from, and the network's weights as node and command line load them."""
        if not self.process.writes or self.progress == self._saved:
            return
        out = self.options.out
        save_state(out / STATE, self.learner, self._optimizer, self.config, self.progress)
        checkpoint.save(out / WEIGHTS, self.learner.network, self.config, self.metadata())
        self._saved = self.progress
        monitor.on_saved(self)

    def metadata(self) -> dict[str, Any]:
        """What a checkpoint says about its making."""
        return {
            "step": self.progress.step,
            "skipped": self.progress.skipped,
            "fingerprint": self.progress.fingerprint,
            **self.learner.numbers(self.progress.step),
            "metrics": dict(self.metrics),
        }

    @property
    def _step_of_stage(self) -> int:
        return self.learner.place(self.progress.step)[1]

    def _begin_stage(self) -> None:
        """A new optimizer and rates; weights stay as they are."""
        index, _ = self.learner.place(self.progress.step)
        self.learner.begin_stage(index)
        self._stage = self.learner.stages[index]
        self._optimizer: AdamW = build_optimizer(
            self.learner.network,
            self.learner.beside(),
            self.config.train.optimizer,
            self._stage.factors,
        )
        several = self.process.world_size > 1
        self._parallel = (
            # A sample may leave a part unused, as a clip without a past does with the temporal one.
            DistributedDataParallel(self.learner, find_unused_parameters=True)
            if several
            else self.learner
        )

    def _batches(self) -> Iterator[tuple[list[Drawn[SampleT]], float]]:
        """The samples of each step that is left, and how long they were waited for."""
        train, process = self.config.train, self.process
        draws = Draws(
            dataset_size=len(self._dataset),
            samples_per_step=train.samples_per_step,
            first_step=self.progress.step,
            last_step=self.learner.steps,
            seed=train.seed,
            rank=process.rank,
            world_size=process.world_size,
        )
        loader = iter(
            DataLoader(
                cast(Dataset[Drawn[SampleT]], self._dataset),
                sampler=draws,
                batch_size=None,
                num_workers=self.options.workers,
                pin_memory=process.device.type == "cuda",
                worker_init_fn=leave_signals_to_parent,
            )
        )
        for _ in range(self.progress.step, self.learner.steps):
            start_s = time.perf_counter()
            samples = [_next(loader) for _ in range(train.samples_per_step // process.world_size)]
            yield samples, time.perf_counter() - start_s

    def _agree(self, samples: list[Drawn[SampleT]], interrupted: bool) -> None:
        """Raise in all processes what has happened to one of them, so that none waits for it."""
        problems = [drawn.problem for drawn in samples if drawn.sample is None]
        if self.process.world_size > 1:
            happened = torch.tensor([len(problems), interrupted], device=self.process.device)
            distributed.all_reduce(happened, distributed.ReduceOp.MAX)
            interrupted = bool(happened[1])
            if happened[0]:
                everywhere: list[list[str]] = [[] for _ in range(self.process.world_size)]
                distributed.all_gather_object(everywhere, problems)
                problems = [problem for found in everywhere for problem in found]
        if problems:
            raise DataError(problems[0])
        if interrupted:
            raise Interrupted

    def _step(self, samples: list[Drawn[SampleT]], load_s: float) -> StepReport:
        start_s = time.perf_counter()
        train = self.config.train
        rate = scheduled_rate(self._step_of_stage, self._stage.steps, train.optimizer)
        set_rate(self._optimizer, rate)
        total, means = self._gradient(samples)
        length = clip_gradients(self._optimizer, train.optimizer.max_gradient_norm)
        # All numbers at once: on a GPU this is where the step waits for it, the only time.
        loss, norm, *values = torch.stack((total, length, *means.values())).tolist()
        parts, numbers = dict(zip(means, values)), self.learner.numbers(self.progress.step)
        skipped = not math.isfinite(norm)
        if not skipped:
            self._optimizer.step()
        self._count(skipped, parts)
        return StepReport(
            step=self.progress.step,
            loss=loss,
            parts=parts,
            gradient_norm=norm,
            skipped=skipped,
            rate=rate,
            numbers=numbers,
            load_s=load_s,
            step_s=load_s + time.perf_counter() - start_s,
            size=sum(self.learner.size(one.sample) for one in samples if one.sample is not None),
        )

    def _gradient(self, samples: list[Drawn[SampleT]]) -> tuple[Tensor, dict[str, Tensor]]:
        """Add up the gradient of the mean loss, a sample after the other; loss and its parts."""
        self._optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.process.device)
        parts: dict[str, Tensor] = {}
        for number, drawn in enumerate(samples, start=1):
            assert drawn.sample is not None
            generator = torch.Generator().manual_seed(drawn.draw.seed)
            with self._syncing(number == len(samples)):
                sample = drawn.sample.to(self.process.device)
                loss = self._parallel(sample, self.progress.step, generator)
                (loss.value / len(samples)).backward()
            total += loss.value.detach() / len(samples)
            for name, value in loss.parts.items():
                parts[name] = parts.get(name, 0.0) + value / len(samples)
        if self.process.world_size > 1:
            distributed.all_reduce(total)
            total /= self.process.world_size
        return total, parts

    def _syncing(self, last: bool) -> AbstractContextManager[object]:
        """Processes exchange gradients with the last sample of a step only."""
        if last or not isinstance(self._parallel, DistributedDataParallel):
            return nullcontext()
        return self._parallel.no_sync()

    def _count(self, skipped: bool, parts: Mapping[str, float]) -> None:
        before = self.progress
        self.progress = Progress(before.step + 1, before.skipped + skipped, before.fingerprint)
        self._skipped_in_a_row = self._skipped_in_a_row + 1 if skipped else 0
        if self._skipped_in_a_row >= self.config.train.optimizer.max_skipped:
            raise DataError(
                f"step {self.progress.step}: the last {self._skipped_in_a_row} gradients were not "
                f"finite; the losses were {dict(parts)}"
            )


def _next(loader: Iterator[Drawn[SampleT]]) -> Drawn[SampleT]:
    try:
        return next(loader)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            f"a process that loads samples ended, maybe for lack of memory: {error}"
        ) from None
