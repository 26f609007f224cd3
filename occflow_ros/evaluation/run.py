"""Through all sets of an evaluation, in one process or several; what is known already is kept."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import torch

from occflow_ros.config import Config
from occflow_ros.cues import CueFolder
from occflow_ros.data.selection import Selection
from occflow_ros.depth.frame_depth import DepthFiles, FrameDepth, RenderedDepth
from occflow_ros.errors import DataError
from occflow_ros.evaluation.protocol import Protocol
from occflow_ros.evaluation.protocols import PROTOCOLS
from occflow_ros.evaluation.records import FILE, Record, Records
from occflow_ros.evaluation.semantic_source import SemanticSource
from occflow_ros.evaluation.sources import NetworkSource, Source, open_predictions
from occflow_ros.evaluation.subject import Subject, open_subjects
from occflow_ros.evaluation.trivial import LABELS, TRIVIAL, Trivial, trivial_source
from occflow_ros.metrics.accumulator import Accumulator
from occflow_ros.training.mono.prior import ClassPrior

SETS_PER_TASK = 20
THIS = "this prediction"

Progress = Callable[[Iterable[Record], int], Iterable[Record]]


@dataclass(frozen=True, slots=True)
class Cues:
    """Cues of the images, as `CueFolder` takes them."""

    folder: Path
    flow: str | None
    movable: str | None


@dataclass(frozen=True, slots=True)
class Semantics:
    """What the semantic network has to say, by itself or beside the network of occupancy.

    Args:
        weights: its checkpoint.
        alone: its own voxels are compared; else it names those of the other network, as the node
            has it.
        depth: folder of depth files, for it alone; None: rendered by the other network.
    """

    weights: Path
    alone: bool
    depth: Path | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What is evaluated, as plain values that any process can open.

    Args:
        protocol: name of one of `PROTOCOLS`.
        data: folders of the drives.
        selection: of its drives.
        sets: to compare of each drive, as many of them as it has.
        every: compare every k-th of those that have a truth.
        config: of the network; of predictions that are read, size of images and height of ground.
        weights: checkpoint; None: random values.
        predictions: recorded ones or a class prior, which stand in for the network; None: none.
        semantics: the semantic network; None: classes are not predicted.
        prior: file of a class prior, whose answers stand beside the prediction; None: none.
        trivial: which of its answers stands in for the network; None: none.
        labels: folder of `occflow labels`, which then stand in for those of the data set.
        cues: of the images, for protocols that need some.
        device: to compute on.
    """

    protocol: str
    data: tuple[Path, ...]
    selection: Selection
    sets: range
    every: int
    config: Config
    weights: Path | None = None
    predictions: Path | None = None
    semantics: Semantics | None = None
    prior: Path | None = None
    trivial: Trivial | None = None
    labels: Path | None = None
    cues: Cues | None = None
    device: str = "cpu"

    def open_source(self) -> Source:
        """Raises DataError."""
        ground_z_m = self.config.model.heads.ground_z_m
        if self.predictions is not None:
            if self.predictions.suffix == ".npz":
                return trivial_source("prior", self.predictions, ground_z_m)
            return open_predictions(self.predictions)
        if self.trivial is not None and self.prior is not None:
            return trivial_source(self.trivial, self.prior, ground_z_m)
        if self.semantics is None:
            return NetworkSource(self.config, self.weights, self.device)
        if self.semantics.alone:
            return self._semantic_source(self.semantics)
        return NetworkSource(self.config, self.weights, self.device, self.semantics.weights)

    def _semantic_source(self, semantics: Semantics) -> SemanticSource:
        depth: FrameDepth
        if semantics.depth is None:
            depth = RenderedDepth(self.config, self.weights, self.device)
        else:
            depth = DepthFiles(semantics.depth)
        precision = self.config.stream.precision
        return SemanticSource(semantics.weights, depth, self.device, precision)

    def open_subjects(self) -> Iterator[Subject]:
        """Raises DataError."""
        for folder in self.data:
            cues = None
            if self.cues is not None:
                cues = CueFolder(self.cues.folder, folder, self.cues.flow, self.cues.movable)
            yield from open_subjects(
                folder,
                self.selection,
                self.sets,
                cues=cues,
                labels=self.labels,
                image_hw_px=self.config.model.image_hw_px,
                ground_z_m=self.config.model.heads.ground_z_m,
            )

    def described(self, source: Source) -> dict[str, Any]:
        """What tells two evaluations apart, as JSON has it."""
        return {
            "protocol": self.protocol,
            "data": [str(folder) for folder in self.data],
            "selection": list(self.selection.arguments),
            "predictions": source.name,
            "labels": str(self.labels or ""),
            "cues": "" if self.cues is None else f"{self.cues.flow} {self.cues.movable}",
            "model": self.config.model.model_dump(mode="json"),
            "precision": self.config.stream.precision,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished evaluation.

    Args:
        total: sum over all sets.
        records: of the sets asked for, by drive and set.
        described: what was evaluated.
        trivial: sums over the same sets of answers that look at no image, by their names.
        beside: sums of other predictions and, last, of this one over the sets that all of them
            have, by their names; none without other predictions.
    """

    total: Accumulator
    records: tuple[Record, ...]
    described: dict[str, Any]
    trivial: tuple[tuple[str, Accumulator], ...] = ()
    beside: tuple[tuple[str, Accumulator], ...] = ()

    @property
    def missing(self) -> list[tuple[str, int]]:
        """Drive and index of the sets without a prediction."""
        return [record.key for record in self.records if record.scores is None]


def evaluate(
    job: Job,
    out: Path,
    workers: int,
    progress: Progress,
    beside: Mapping[str, Path] | None = None,
) -> Outcome:
    """Go through the sets that are missing in the folder and sum up.

    The sum is the same to the last bit for any number of workers and of stops, as long as the
    predictions are: a network's differ in their last bits with the number of threads, which the
    workers share.

    Args:
        job: what to evaluate.
        out: folder of the evaluation; trivial answers and other predictions get folders in it.
        workers: processes; with one, nothing is started.
        progress: shows records as they come, given how many will come.
        beside: other recorded predictions of the same drives, by their names.

    Raises:
        DataError: where data, weights or predictions cannot be read, have no truth to compare, or
            no set has a prediction.
        OutputError: where the folder holds another evaluation or cannot be written.
    """
    if job.prior is not None:
        _check_prior(job.prior, PROTOCOLS[job.protocol])
    outcome = _evaluate(job, out, workers, progress)
    if beside:
        outcome = replace(outcome, beside=_beside(job, outcome, out, workers, progress, beside))
    if job.prior is None:
        return outcome
    scored = {record.key for record in outcome.records if record.scores is not None}
    trivial = []
    for kind in TRIVIAL:
        answering = replace(job, trivial=kind, weights=None, predictions=None, semantics=None)
        answered = _evaluate(answering, out / kind, workers, progress)
        same = [record for record in answered.records if record.key in scored]
        trivial.append((LABELS[kind], _sum(PROTOCOLS[job.protocol], same, out / kind)))
    return replace(outcome, trivial=tuple(trivial))


def _beside(
    job: Job,
    outcome: Outcome,
    out: Path,
    workers: int,
    progress: Progress,
    others: Mapping[str, Path],
) -> tuple[tuple[str, Accumulator], ...]:
    """Sums over the sets that all predictions have."""
    rows = {}
    for name, path in others.items():
        other = replace(job, predictions=path, weights=None, semantics=None, prior=None)
        rows[name] = _evaluate(other, out / name, workers, progress).records
    rows[THIS] = outcome.records
    scored = [
        {record.key for record in records if record.scores is not None} for records in rows.values()
    ]
    common = set.intersection(*scored)
    return tuple(
        (name, _sum(PROTOCOLS[job.protocol], [one for one in records if one.key in common], out))
        for name, records in rows.items()
    )


def _check_prior(path: Path, protocol: Protocol[Any]) -> None:
    counts, names = protocol.classes(protocol.nothing), ClassPrior.load(path).names
    if counts is None:
        raise DataError(f"{path}: expected a protocol with classes of voxels, got {protocol.name}")
    if not set(names) <= set(counts.names):
        raise DataError(
            f"{path}: expected a prior of classes out of {', '.join(counts.names)}, got one of "
            f"{', '.join(names)}"
        )


def _evaluate(job: Job, out: Path, workers: int, progress: Progress) -> Outcome:
    evaluator = Evaluator(job)
    protocol = evaluator.protocol
    described, wanted = job.described(evaluator.source), evaluator.wanted()
    with Records(out, described) as records:
        tasks = _tasks([key for key in wanted if key not in records])
        count = sum(len(indices) for _, indices in tasks)
        for record in progress(_records(evaluator, tasks, workers), count):
            records.add(record)
        kept = {record.key: record for record in records}
    chosen = tuple(kept[key] for key in wanted)
    if all(record.scores is None for record in chosen):
        first = chosen[0]
        raise DataError(
            f"{evaluator.source.name}: expected predictions of {len(chosen)} sets, the first one "
            f"that of {first.drive} at {first.stamp_ns} ns, found none"
        )
    return Outcome(_sum(protocol, chosen, out), chosen, described)


def _sum(protocol: Protocol[Any], records: Iterable[Record], out: Path) -> Accumulator:
    scores = (record.scores for record in records if record.scores is not None)
    nothing: Accumulator = protocol.nothing
    try:
        return reduce(add, map(type(nothing).from_dict, scores), nothing)
    except ValueError as error:
        raise DataError(
            f"{out / FILE}: expected what this version writes, which is not there ({error}); take"
            " another --out, or remove it"
        ) from None


class Evaluator:
    """A job with everything open.

    Args:
        job: to open.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.protocol: Protocol[Any] = PROTOCOLS[job.protocol]
        self.source = job.open_source()
        self.subjects: dict[str, Subject] = {}
        for subject in job.open_subjects():
            name = subject.drive.name
            if name in self.subjects:
                folders = self.subjects[name].folder, subject.folder
                raise DataError(f"{name}: expected drives of different names, got two in {folders}")
            self.subjects[name] = subject

    def wanted(self) -> list[tuple[str, int]]:
        """Drive and index of each set that is to be compared; raises DataError."""
        every, there = self.job.every, 0
        wanted = []
        for name, subject in self.subjects.items():
            compared = self.protocol.compared(subject)
            there = max(there, len(compared))
            wanted += [(name, index) for index in compared[every - 1 :: every]]
        if not wanted:
            folders = ", ".join(map(str, self.job.data))
            raise DataError(
                f"{folders}: expected drives with {every} sets to compare, as every {every}th one "
                f"counts, got at most {there}"
            )
        return wanted

    def score(self, drive: str, indices: Sequence[int]) -> Iterator[Record]:
        """One record for each of these sets, which are in order; raises DataError."""
        subject = self.subjects[drive]
        for index, prediction in self.source.predictions(subject, indices):
            stamp_ns = subject.drive.sets[index].stamp_ns
            if prediction is None:
                yield Record(drive, index, stamp_ns, None, {})
                continue
            scores = self.protocol.score(subject, index, prediction)
            yield Record(drive, index, stamp_ns, scores.to_dict(), self.protocol.numbers(scores))


def _tasks(keys: Sequence[tuple[str, int]]) -> list[tuple[str, list[int]]]:
    """Runs of sets of one drive, short enough to share out."""
    tasks: list[tuple[str, list[int]]] = []
    for drive, index in keys:
        if not tasks or tasks[-1][0] != drive or index - tasks[-1][1][0] >= SETS_PER_TASK:
            tasks.append((drive, []))
        tasks[-1][1].append(index)
    return tasks


def _records(
    evaluator: Evaluator, tasks: Sequence[tuple[str, list[int]]], workers: int
) -> Iterator[Record]:
    if workers == 1 or len(tasks) < 2:
        for task in tasks:
            yield from evaluator.score(*task)
        return
    threads = max(1, torch.get_num_threads() // workers)
    with ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_open,
        initargs=(evaluator.job, threads),
    ) as pool:
        futures = [pool.submit(_work, *task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)


_evaluator: Evaluator | None = None


def _open(job: Job, threads: int) -> None:
    global _evaluator
    torch.set_num_threads(threads)
    _evaluator = Evaluator(job)


def _work(drive: str, indices: list[int]) -> list[Record]:
    if _evaluator is None:
        raise DataError("expected a worker that has opened its job")
    return list(_evaluator.score(drive, indices))
