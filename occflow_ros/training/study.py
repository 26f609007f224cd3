"""Ablations of any method: rows that differ in their settings are trained alike and compared.

Seed by seed, all rows have the same samples in the same order. A row of several tables is trained
once, and what is finished is known by its result and not trained again.
"""

from __future__ import annotations

import json
import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from occflow_ros.engine.checkpoint import AnyConfig
from occflow_ros.errors import DataError
from occflow_ros.output import write_text
from occflow_ros.table import NOT_KNOWN, Table, number
from occflow_ros.training.draws import SampleSource
from occflow_ros.training.learner import Learner, SampleT
from occflow_ros.training.processes import Process
from occflow_ros.training.trainer import STATE, WEIGHTS, Monitor, Trainer, TrainerOptions

RESULT = "result.json"

Numbers = Mapping[str, float]
"""What a run is worth, by name; NaN where a number is not known."""


class Named(Protocol):
    """One method to train; hashable."""

    @property
    def name(self) -> str:
        """Of its folder; no two methods of a study have the same."""


VariantT = TypeVar("VariantT", bound=Named)


@dataclass(frozen=True, slots=True)
class Ablation(Generic[VariantT]):
    """One table.

    Args:
        title: of it.
        rows: what each is called there; the full method is the last.
        columns: what the numbers are called there, by name.
        more: further columns, which `Study.cell` fills.
    """

    title: str
    rows: Mapping[str, VariantT]
    columns: Mapping[str, str]
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Runner:
    """How the runs of a study compute.

    Args:
        fingerprint: of the data they are trained on.
        workers: processes that load samples.
        save_every: steps between two saved states.
        process: that trains.
        monitor: who looks on, made for the folder of a run.
    """

    fingerprint: str
    workers: int
    save_every: int
    process: Process
    monitor: Callable[[Path], Monitor]

    def train(
        self,
        learner: Learner[SampleT],
        dataset: SampleSource[SampleT],
        config: AnyConfig,
        folder: Path,
    ) -> None:
        """All steps that are left of a run; raises as `Trainer.run`."""
        folder.mkdir(parents=True, exist_ok=True)
        resume = (folder / STATE).is_file()
        trainer = Trainer(
            learner=learner,
            dataset=dataset,
            config=config,
            options=TrainerOptions(folder, self.workers, self.save_every, resume=resume),
            process=self.process,
            fingerprint=self.fingerprint,
        )
        trainer.run(self.monitor(folder))


class Study(ABC, Generic[VariantT]):
    """How the rows of some tables are trained and compared.

    Attributes:
        out: folder, with one for each row and seed.
    """

    out: Path

    @property
    @abstractmethod
    def seeds(self) -> int:
        """Each row is trained with seeds 0 to `seeds` − 1."""

    @abstractmethod
    def trained(self, variant: VariantT, seed: int) -> dict[str, Any]:
        """All that a run depends on, such as settings and data, for JSON."""

    @abstractmethod
    def compared(self) -> dict[str, Any]:
        """All that the numbers of a trained network depend on, for JSON."""

    @abstractmethod
    def train(self, variant: VariantT, seed: int, folder: Path, needed: Path | None) -> None:
        """Leave the weights of a run in its folder, going on from a state that is there.

        Args:
            variant: to train.
            seed: of the run.
            folder: of the run.
            needed: weights of what this one needs, with the same seed.

        Raises:
            DataError: as the trainer does.
            OutputError: where a file cannot be written.
        """

    @abstractmethod
    def score(self, variant: VariantT, seed: int, weights: Path) -> Numbers:
        """What a trained network is worth; raises DataError."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What all runs have in common, for the document."""

    @abstractmethod
    def note(self, seeds: int) -> str:
        """Below each table, when so many seeds are done."""

    def needs(self, variant: VariantT) -> VariantT | None:
        """What must be trained before, such as a teacher; a row of a table or not."""
        del variant
        return None

    @abstractmethod
    def cell(self, column: str, variant: VariantT) -> str:
        """Of one of the columns `Ablation.more`."""


def variants_of(ablations: Sequence[Ablation[VariantT]]) -> tuple[VariantT, ...]:
    """All that is to be trained, each once, in the order of the tables."""
    rows = (variant for ablation in ablations for variant in ablation.rows.values())
    return tuple(dict.fromkeys(rows))


def run_study(
    study: Study[VariantT], ablations: Sequence[Ablation[VariantT]]
) -> Iterator[tuple[int, Mapping[str, Sequence[Numbers]]]]:
    """Train and compare, one seed after the other, so that there is a whole table early.

    A run that is finished is known by its result; one that was interrupted goes on from its state.

    Yields:
        after each seed, how many are done and the numbers of every variant by name, seed by seed.

    Raises:
        DataError: as the trainer does, or where a folder holds a run of other settings or data.
        OutputError: where a file cannot be written.
    """
    found: dict[str, list[Numbers]] = {}
    for seed in range(study.seeds):
        for variant in variants_of(ablations):
            found.setdefault(variant.name, []).append(_result(study, variant, seed))
        yield seed + 1, found


def table_of(
    ablation: Ablation[VariantT],
    found: Mapping[str, Sequence[Numbers]],
    study: Study[VariantT],
    seeds: int,
) -> Table:
    """One table, mean ± standard deviation over the seeds.

    Args:
        ablation: which.
        found: numbers of every variant by name, seed by seed.
        study: that found them.
        seeds: how many are done.
    """
    rows = []
    for label, variant in ablation.rows.items():
        cells = [_cell([one[name] for one in found[variant.name]]) for name in ablation.columns]
        more = [study.cell(column, variant) for column in ablation.more]
        rows.append((label, *cells, *more))
    header = ("row", *ablation.columns.values(), *ablation.more)
    return Table(ablation.title, header, tuple(rows), study.note(seeds), len(header) - 1)


def document(
    ablations: Mapping[str, Ablation[VariantT]],
    found: Mapping[str, Sequence[Numbers]],
    study: Study[VariantT],
) -> dict[str, Any]:
    """All numbers, for a JSON file; null where one is not known."""
    tables = {
        key: {"title": ablation.title, "rows": _rows(ablation, found)}
        for key, ablation in ablations.items()
    }
    return {**study.about(), "tables": tables}


def _result(study: Study[VariantT], variant: VariantT, seed: int) -> Numbers:
    """What one run is worth, from its result where that is there."""
    folder = _folder(study, variant, seed)
    trained, compared = _as_json(_trained(study, variant, seed)), _as_json(study.compared())
    saved = _read(folder / RESULT)
    if saved is not None and saved.trained != trained:
        raise DataError(
            f"{folder}: holds a run with other settings, steps or data; give another --out"
        )
    if saved is not None and saved.compared == compared:
        return saved.numbers
    if saved is None:
        study.train(variant, seed, folder, _needed(study, variant, seed))
    numbers = study.score(variant, seed, folder / WEIGHTS)
    result = {"trained": trained, "compared": compared, "numbers": _with_null(numbers)}
    write_text(folder / RESULT, json.dumps(result, indent=2) + "\n")
    (folder / STATE).unlink(missing_ok=True)  # three times as large as the weights
    return numbers


def _needed(study: Study[VariantT], variant: VariantT, seed: int) -> Path | None:
    """Weights of what a variant needs, trained first where they are not there."""
    needed = study.needs(variant)
    if needed is None:
        return None
    _result(study, needed, seed)
    return _folder(study, needed, seed) / WEIGHTS


def _trained(study: Study[VariantT], variant: VariantT, seed: int) -> dict[str, Any]:
    trained, needed = study.trained(variant, seed), study.needs(variant)
    return trained if needed is None else {**trained, "needed": _trained(study, needed, seed)}


def _folder(study: Study[VariantT], variant: VariantT, seed: int) -> Path:
    return study.out / variant.name / f"seed-{seed}"


def _as_json(values: dict[str, Any]) -> Any:
    """As it is when it is read again: a list where there was a tuple."""
    return json.loads(json.dumps(values))


def _with_null(numbers: Numbers) -> dict[str, float | None]:
    """As JSON has them: null for NaN."""
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}


@dataclass(frozen=True, slots=True)
class _Saved:
    """A finished run: what it was trained and compared with, and its numbers."""

    trained: Any
    compared: Any
    numbers: Numbers


def _read(path: Path) -> _Saved | None:
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        numbers = {
            name: math.nan if value is None else float(value)
            for name, value in values["numbers"].items()
        }
        return _Saved(values["trained"], values["compared"], numbers)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: expected the result of a run: {error}") from None


def _rows(
    ablation: Ablation[VariantT], found: Mapping[str, Sequence[Numbers]]
) -> list[dict[str, Any]]:
    return [
        {
            "row": label,
            "variant": variant.name,
            "seeds": [_with_null(one) for one in found[variant.name]],
        }
        for label, variant in ablation.rows.items()
    ]


def _cell(values: Sequence[float]) -> str:
    """Mean ± standard deviation of the sample; with one value, that value."""
    if any(map(math.isnan, values)):
        return NOT_KNOWN
    mean = number(statistics.fmean(values))
    return mean if len(values) == 1 else f"{mean} ± {number(statistics.stdev(values))}"
