"""Training of OccFiner's first stage from recorded predictions and the true classes of voxels."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from occflow_ros.cli.arguments import selection_of
from occflow_ros.cli.training_run import (
    TrainingRun,
    begin_with,
    describe,
    trainer_options,
    validation_selection,
)
from occflow_ros.config import override, resolve_among
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.errors import ConfigError, DataError
from occflow_ros.models.build import build_refine_network
from occflow_ros.offboard.frame_store import FrameStore
from occflow_ros.offboard.importer import import_recording
from occflow_ros.offboard.readers import open_recordings
from occflow_ros.offboard.recording import RecordedFrame, Recording
from occflow_ros.refine_config import REFINE_PRESETS, RefineConfig
from occflow_ros.training.processes import Process
from occflow_ros.training.refine.dataset import RefineDataset, RefineDrive, fit_recording
from occflow_ros.training.refine.held_out import RefineHeldOut
from occflow_ros.training.refine.learner import RefineLearner
from occflow_ros.training.refine.sample import RefineSample
from occflow_ros.training.trainer import Trainer

RECORDINGS = "recordings"


def add_refine_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that OccFiner alone has."""
    group = parser.add_argument_group("OccFiner")
    group.add_argument(
        "--recordings",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="what an onboard model said of the drives of --data: bags, folders of predictions or "
        "of recordings, each with its folder of --data, or all with one; required. Grid and "
        "classes of the network are theirs",
    )


def add_refine_validation_arguments(group: argparse._ActionsContainer) -> None:
    """Options of validation that OccFiner alone has."""
    group.add_argument(
        "--validate-recordings",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="as --recordings, of the drives of --validate; of OccFiner",
    )


def refine_run(args: argparse.Namespace, process: Process) -> TrainingRun[RefineSample]:
    """Data, network and losses as the options say; raises OccflowError."""
    if args.teacher is not None:
        raise ConfigError("--teacher: expected none for OccFiner, which learns from true classes")
    imported = args.out / RECORDINGS
    drives = list(
        refine_drives(args.recordings, args.data, selection_of(args), args.sets, imported)
    )
    config = fit_recording(refine_config(args), drives[0].recording.info)
    dataset = RefineDataset(drives, config)
    network = build_refine_network(config.model, args.weights, config.train.seed)
    begin_with(network, args.init, process)
    learner = RefineLearner(network, config)
    trainer = Trainer(
        learner=learner,
        dataset=dataset,
        config=config,
        options=trainer_options(args),
        process=process,
        fingerprint=refine_fingerprint(drives),
    )
    return TrainingRun(trainer, _validation(args, config, learner))


def refine_config(args: argparse.Namespace) -> RefineConfig:
    """The preset or file with the settings that differ; raises ConfigError."""
    preset = args.preset or next(iter(REFINE_PRESETS))
    return override(resolve_among(REFINE_PRESETS, preset), args.set)


def refine_drives(
    recordings: Sequence[Path],
    folders: Sequence[Path],
    selection: Selection,
    sets: range,
    imported: Path,
) -> Iterator[RefineDrive]:
    """Each selected drive with its recording.

    Args:
        recordings: paths of them.
        folders: of the drives.
        selection: which of the drives.
        sets: of each drive that may be compared with.
        imported: folder for the frames of recordings that cannot be read in any order.

    Raises:
        ConfigError: where no recordings are given.
        DataError: where a drive has no recording or several, or something cannot be read.
        OutputError: where frames cannot be imported.
    """
    if not recordings:
        raise ConfigError("--recordings: expected what an onboard model said of the drives")
    drives = {
        drive.name: (folder.expanduser(), drive)
        for folder in folders
        for drive in open_drives(folder, selection)
    }
    of_drive = _recordings(recordings, folders, drives)
    for name, (folder, drive) in drives.items():
        store = _stored(of_drive[name], imported / name)
        chosen = range(len(drive.sets))[sets.start : sets.stop]
        yield RefineDrive.pair(store, folder, drive, chosen)


def refine_fingerprint(drives: Iterable[RefineDrive]) -> str:
    """Of the data of a run."""
    digest = hashlib.blake2b(digest_size=8)
    for one in drives:
        labelled = [index for index in one.set_of if index is not None]
        digest.update(describe(one.drive, labelled))
        digest.update(str(one.recording.info).encode())
    return digest.hexdigest()


def _validation(
    args: argparse.Namespace, config: RefineConfig, learner: RefineLearner
) -> RefineHeldOut | None:
    """None where nothing is held out."""
    if not args.validate:
        return None
    drives = refine_drives(
        args.validate_recordings,
        args.validate,
        validation_selection(args),
        args.validate_sets,
        args.out / RECORDINGS,
    )
    return RefineHeldOut(learner, RefineDataset(list(drives), config), args.validate_each)


def _recordings(
    paths: Sequence[Path], folders: Sequence[Path], names: Collection[str]
) -> dict[str, Recording]:
    """The recording of each drive, by name."""
    found: dict[str, Recording] = {}
    for path in paths:
        for recording in open_recordings(path, folders, names):
            name = recording.info.name
            if name in found:
                raise DataError(f"{path}: expected one recording of each drive, {name} is twice")
            found[name] = recording
    if missing := sorted(set(names) - found.keys()):
        raise DataError(
            f"--recordings: expected one of each of the drives {', '.join(sorted(names))}, "
            f"found {', '.join(sorted(found)) or 'none'} and none of {', '.join(missing)}"
        )
    return found


def _stored(recording: Recording, folder: Path) -> FrameStore:
    """Frames that can be read in any order, by several processes at once."""
    if isinstance(recording, FrameStore):
        return recording

    def shown(frames: Iterable[RecordedFrame], total: int) -> Iterable[RecordedFrame]:
        return tqdm(frames, desc=f"reading {recording.info.name}", total=total, unit="frame")

    return import_recording(recording, folder, shown).store
