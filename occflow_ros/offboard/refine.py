"""The whole of OccFiner: recordings in, refined ones of the same format out.

OUT/.work/settings.json        what the run is asked to do
OUT/.work/0000-00/onboard      `FrameStore` of the first recording, unless it comes as one
OUT/.work/0000-00/local        the same frames after stage 1
OUT/.work/0000-00/global       and after stage 2
OUT/.work/0000-00/written      says that it lies in OUT in the format in which it came

Each frame is whole or absent, so a run that was stopped is gone on with by the same call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from occflow_ros import __version__
from occflow_ros.engine import checkpoint
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.offboard.engines import Engine
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.parts import GlobalPart, ImportPart, LocalPart, Tried, WritePart, cut
from occflow_ros.offboard.propagation import PropagationOptions
from occflow_ros.offboard.readers import notes_of
from occflow_ros.offboard.refine_inputs import Input, Progress, Skip, open_inputs
from occflow_ros.offboard.window_refiner import check_recording
from occflow_ros.offboard.work_folder import (
    WORK,
    check_work,
    digest_of,
    remove_work,
    work_folder,
)
from occflow_ros.refine_config import RefineConfig, RefineModelConfig

Stages = Literal["both", "local", "global"]
STAGES: tuple[Stages, ...] = get_args(Stages)

FramePart = ImportPart | LocalPart | GlobalPart
_Task = tuple[Input, FramePart | WritePart, int]


@dataclass(frozen=True, slots=True)
class RefineOptions:
    """What is done to each recording.

    Args:
        stages: of OccFiner.
        weights: checkpoint of stage 1, None where only stage 2 is done.
        propagation: settings of stage 2.
        device: torch device.
        bag: whether recordings that are no bags come out as a bag too.

    Raises:
        ConfigError: where weights are missing, or there for nothing.
    """

    stages: Stages = "both"
    weights: Path | None = None
    propagation: PropagationOptions = field(default_factory=PropagationOptions)
    device: str = "cpu"
    bag: bool = False

    def __post_init__(self) -> None:
        if self.stages not in STAGES:
            raise ConfigError(f"stages: expected one of {', '.join(STAGES)}, got {self.stages}")
        if self.stages != "global" and self.weights is None:
            raise ConfigError(
                "weights: expected a checkpoint for stage 1, or the stage global only"
            )
        if self.stages == "global" and self.weights is not None:
            raise ConfigError(f"weights: expected none without stage 1, got {self.weights}")


@dataclass(frozen=True, slots=True)
class Refined:
    """What became of a recording.

    Args:
        name: of the drive.
        frames: that it has, all refined.
        segments: between jumps of the pose and gaps in time.
        notes: what its reader left out and why.
    """

    name: str
    frames: int
    segments: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage did.

    Args:
        name: of the stage.
        unit: that it counts.
        made: units that were done now; the others were there.
        seconds: that it took.
    """

    name: str
    unit: str
    made: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RefineReport:
    """What a run did.

    Args:
        refined: recordings.
        skipped: what could not be refined.
        stages: in order.
    """

    refined: tuple[Refined, ...]
    skipped: tuple[Skip, ...]
    stages: tuple[Stage, ...]


def refine(
    paths: Sequence[Path],
    data: Sequence[Path],
    out: Path,
    options: RefineOptions,
    engine: Engine,
    progress: Progress,
    keep_work: bool = False,
) -> RefineReport:
    """Refine recordings; one with bad data is left out and named, where there are others.

    Args:
        paths: as `open_recordings` takes them.
        data: folders of the drives that were predicted, where the paths do not have their poses.
        out: folder for the refined recordings; what an unfinished run left there is gone on with.
        options: what is done.
        engine: that does the parts.
        progress: wraps what each stage does.
        keep_work: leave the frames of all stages; they stay too where a recording is left out.

    Raises:
        ConfigError: where an unfinished run had other settings.
        DataError: where no recording can be refined; says why the first cannot.
        OutputError: where `out` is occupied or something cannot be written.
        PartError: where processes die again and again.
    """
    settings = _settings(paths, data, options)
    check_work(out, settings)
    run = _Run(engine, progress)
    inputs = run.open(paths, data, out, options)
    with work_folder(out, settings):
        inputs = run.frames("import", "onboard", inputs, _import_part)
        if options.stages != "global":
            inputs = run.frames("stage 1", "local", inputs, partial(_local_part, options))
        if options.stages != "local":
            inputs = run.frames("stage 2", "global", inputs, partial(_global_part, options))
        inputs = run.write(inputs)
    if not keep_work and not run.skipped:
        remove_work(out)
    return run.report(inputs)


class _Run:
    """Does one stage after the other, each for all recordings at once, and keeps the accounts."""

    def __init__(self, engine: Engine, progress: Progress) -> None:
        self._engine, self._progress = engine, progress
        self._stages: list[Stage] = []
        self.skipped: list[Skip] = []

    def open(
        self, paths: Sequence[Path], data: Sequence[Path], out: Path, options: RefineOptions
    ) -> list[Input]:
        begun_s = time.monotonic()
        inputs, skips = open_inputs(
            paths, data, out, out / WORK, options.bag, self._engine, self._progress
        )
        self.skipped += skips
        self._stages.append(Stage("opening", "input", len(paths), time.monotonic() - begun_s))
        fitting = self._fitting(inputs, options)
        self._check_some(fitting)
        return fitting

    def frames(
        self,
        name: str,
        folder: str,
        inputs: Sequence[Input],
        part_of: Callable[[Input, Path, range, range], FramePart],
    ) -> list[Input]:
        """Bring the missing frames of all inputs one stage further."""
        tasks: list[_Task] = []
        after: list[Input] = []
        for one in inputs:
            if name == "import" and one.frames is not None:
                after.append(one)
                continue
            store = FrameStore.create(one.work / folder, one.recording.info)
            missing = store.missing
            for places, segment in cut(one.segments, missing):
                part = part_of(one, store.folder, places, segment)
                tasks.append((one, part, sum(place in places for place in missing)))
            after.append(one.after(store.folder))
        return self._do(name, "frame", tasks, after)

    def write(self, inputs: Sequence[Input]) -> list[Input]:
        """Write what is refined in the format in which it came."""
        tasks: list[_Task] = []
        for one in inputs:
            done = one.work / "written"
            if not done.is_file():
                part = WritePart(one.source, _frames(one), one.out, one.bag, done)
                tasks.append((one, part, 1))
        return self._do("writing", "recording", tasks, inputs)

    def _do(
        self, name: str, unit: str, tasks: Sequence[_Task], inputs: Sequence[Input]
    ) -> list[Input]:
        """Do the parts of a stage; returns the inputs that went well."""
        if not tasks:
            return list(inputs)
        begun_s = time.monotonic()
        failed: dict[Path, Skip] = {}
        total = sum(count for *_, count in tasks)
        made = sum(1 for _ in self._progress(self._units(tasks, failed), total, name, unit))
        self._stages.append(Stage(name, unit, made, time.monotonic() - begun_s))
        self.skipped += failed.values()
        well = [one for one in inputs if one.work not in failed]
        self._check_some(well)
        return well

    def _units(self, tasks: Sequence[_Task], failed: dict[Path, Skip]) -> Iterator[int]:
        parts = [Tried(part) for _, part, _ in tasks]
        for place, error in self._engine.run(parts):
            one, _, count = tasks[place]
            if error is None:
                yield from range(count)
            else:
                failed.setdefault(one.work, Skip(f"{one.source}, {one.name}", error))

    def _fitting(self, inputs: Sequence[Input], options: RefineOptions) -> list[Input]:
        """Inputs that the stages can take; notes the others."""
        network = None
        if options.weights is not None:
            network = checkpoint.load(options.weights, RefineConfig).config.model
        fitting = []
        for one in inputs:
            try:
                _check(one, options, network)
                fitting.append(one)
            except DataError as error:
                self.skipped.append(Skip(f"{one.source}, {one.name}", error))
        return fitting

    def _check_some(self, inputs: Sequence[Input]) -> None:
        """Raise what is wrong with the first where no input is left."""
        if not inputs:
            raise self.skipped[0].reason

    def report(self, inputs: Sequence[Input]) -> RefineReport:
        refined = tuple(
            Refined(one.name, len(one.recording.info), len(one.segments), notes_of(one.recording))
            for one in inputs
        )
        return RefineReport(refined, tuple(self.skipped), tuple(self._stages))


def _check(one: Input, options: RefineOptions, network: RefineModelConfig | None) -> None:
    """Raise DataError where stage 1 or 2 cannot take a recording."""
    info = one.recording.info
    if network is not None:
        try:
            check_recording(info, network)
        except DataError as error:
            raise DataError(f"{error}; give weights for it, or the stages as global") from None
    by_camera = options.stages != "local" and options.propagation.sensor == "camera"
    if by_camera and not info.cameras:
        raise DataError(
            f"{one.source}: expected cameras of {one.name}, as votes are weighted by what they "
            "see, got none; give the sensor as lidar or none"
        )


def _import_part(one: Input, target: Path, places: range, segment: range) -> ImportPart:
    del segment
    return ImportPart(one.recording, target, places)


def _local_part(
    options: RefineOptions, one: Input, target: Path, places: range, segment: range
) -> LocalPart:
    assert options.weights is not None  # as the options checked
    return LocalPart(_frames(one), target, places, segment, options.weights, options.device)


def _global_part(
    options: RefineOptions, one: Input, target: Path, places: range, segment: range
) -> GlobalPart:
    return GlobalPart(_frames(one), target, places, segment, options.propagation, options.device)


def _frames(one: Input) -> Path:
    assert one.frames is not None  # from the import on
    return one.frames


def _settings(
    paths: Sequence[Path], data: Sequence[Path], options: RefineOptions
) -> dict[str, Any]:
    """All that the refined frames depend on; where they are computed makes no difference."""
    return {
        "version": __version__,
        "input": [str(path.resolve()) for path in paths],
        "data": [str(folder.resolve()) for folder in data],
        "stages": options.stages,
        "weights": None if options.weights is None else digest_of(options.weights),
        "bag": options.bag,
        **(asdict(options.propagation) if options.stages != "local" else {}),
    }
