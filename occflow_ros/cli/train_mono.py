"""Training of MonoOcc from images, depth and the true classes of voxels."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from occflow_ros.cli.arguments import selection_of
from occflow_ros.cli.training_run import (
    TrainingRun,
    begin_with,
    describe,
    needed,
    trainer_options,
    validation_selection,
)
from occflow_ros.config import override, resolve_among
from occflow_ros.data.selection import Selection, open_drives
from occflow_ros.depth.frame_depth import DepthFiles, FrameDepth
from occflow_ros.models.build import build_mono_network, load_mono_network
from occflow_ros.mono_config import MONO_PRESETS, MonoConfig
from occflow_ros.training.mono.dataset import MonoDataset, MonoDrive
from occflow_ros.training.mono.held_out import MonoHeldOut
from occflow_ros.training.mono.learner import MonoLearner, frames_of
from occflow_ros.training.mono.prior import PRIOR, ClassPrior, cached_prior
from occflow_ros.training.mono.relabel import label_digest, relabelled
from occflow_ros.training.mono.sample import MonoSample
from occflow_ros.training.processes import Process
from occflow_ros.training.trainer import Trainer


def add_mono_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that MonoOcc alone has."""
    group = parser.add_argument_group("MonoOcc")
    group.add_argument(
        "--depth", type=Path, metavar="DIR", help="folder that `occflow depth` filled; required"
    )
    group.add_argument(
        "--labels",
        type=Path,
        metavar="DIR",
        help="of `occflow labels` or `occflow autolabel`: drives of which it has labels are trained"
        " on these, the others on their own",
    )


def mono_run(args: argparse.Namespace, process: Process) -> TrainingRun[MonoSample]:
    """Data, network, teacher and losses as the options say; raises OccflowError."""
    config = mono_config(args)
    teacher = None if args.teacher is None else load_mono_network(args.teacher)
    drives = labelled_drives(args)
    depth = depth_files(args)
    dataset = MonoDataset(drives, config, depth, frames_of(config, teacher))
    network = build_mono_network(config.model, args.weights, config.train.seed)
    begin_with(network, args.init, process)
    args.out.mkdir(parents=True, exist_ok=True)
    prior = cached_prior(dataset, args.out / PRIOR, _counting)
    learner = MonoLearner(network, config, torch.from_numpy(prior.class_counts), teacher)
    trainer = Trainer(
        learner=learner,
        dataset=dataset,
        config=config,
        options=trainer_options(args),
        process=process,
        fingerprint=mono_fingerprint(drives, args.teacher, args.labels),
    )
    return TrainingRun(trainer, _validation(args, config, depth, prior, learner))


def labelled_drives(args: argparse.Namespace) -> list[MonoDrive]:
    """What the options of `occflow train` select, with their labels; raises DataError."""
    drives = list(mono_drives(args.data, selection_of(args), args.sets))
    return drives if args.labels is None else relabelled(drives, args.labels.expanduser())


def mono_config(args: argparse.Namespace) -> MonoConfig:
    """The preset or file with the settings that differ; raises ConfigError."""
    preset = args.preset or next(iter(MONO_PRESETS))
    return override(resolve_among(MONO_PRESETS, preset), args.set)


def depth_files(args: argparse.Namespace) -> DepthFiles:
    """Depth of all images; raises ConfigError where none was named, DataError where it is not."""
    return DepthFiles(needed(args, "depth", "the folder that `occflow depth` filled"))


def mono_drives(folders: Iterable[Path], selection: Selection, sets: range) -> Iterator[MonoDrive]:
    """The selected drives of these folders, and which of their sets; raises DataError."""
    for folder in folders:
        for drive in open_drives(folder, selection):
            chosen = range(len(drive.sets))[sets.start : sets.stop]
            yield MonoDrive(folder.expanduser(), drive, chosen)


def mono_fingerprint(drives: Sequence[MonoDrive], teacher: Path | None, labels: Path | None) -> str:
    """Of the data of a run, of labels that are not the drives' own, and of who teaches."""
    digest = hashlib.blake2b(digest_size=8)
    for one in drives:
        digest.update(describe(one.drive, one.indices))
    if labels is not None:
        digest.update(label_digest(drives).encode())
    if teacher is not None:
        digest.update(teacher.read_bytes())
    return digest.hexdigest()


def _validation(
    args: argparse.Namespace,
    config: MonoConfig,
    depth: FrameDepth,
    prior: ClassPrior,
    learner: MonoLearner,
) -> MonoHeldOut | None:
    """None where nothing is held out."""
    if not args.validate:
        return None
    drives = mono_drives(args.validate, validation_selection(args), args.validate_sets)
    dataset = MonoDataset(list(drives), config, depth, config.model.frames)
    return MonoHeldOut(learner, dataset, depth, prior, args.validate_each)


def _counting(numbers: Iterable[int]) -> Iterable[int]:
    return iter(tqdm(numbers, desc="counting classes", unit="set"))
