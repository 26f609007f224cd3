"""Training of OccFlow from images, poses, 2D cues and optional LiDAR, without 3D labels."""

from __future__ import annotations

import argparse
import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path

from occflow_ros.cli.arguments import selection_of
from occflow_ros.cli.training_run import (
    TrainingRun,
    begin_with,
    describe,
    needed,
    trainer_options,
    validation_selection,
)
from occflow_ros.config import PRESETS, Config, override, resolve
from occflow_ros.cues import CueFolder
from occflow_ros.data.selection import open_drives
from occflow_ros.errors import DataError
from occflow_ros.evaluation.subject import open_subjects
from occflow_ros.models.build import build_network
from occflow_ros.models.occflow_net import OccFlowNet
from occflow_ros.training.dataset import ClipDataset, TrainingDrive
from occflow_ros.training.draws import Draw
from occflow_ros.training.held_out import HeldOut
from occflow_ros.training.occflow_learner import OccFlowLearner
from occflow_ros.training.processes import Process
from occflow_ros.training.sample import TrainingSample
from occflow_ros.training.trainer import Trainer


def add_occflow_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that OccFlow alone has."""
    group = parser.add_argument_group("OccFlow")
    group.add_argument(
        "--cues", type=Path, metavar="DIR", help="folder that `occflow cues` filled; required"
    )
    group.add_argument("--flow", default="dis", help="optical flow to take (default: %(default)s)")
    group.add_argument("--movable", help="movable masks to take (default: all may move)")


def occflow_run(args: argparse.Namespace, process: Process) -> TrainingRun[TrainingSample]:
    """Data, network and losses as the options say; raises OccflowError."""
    config = occflow_config(args)
    drives = training_drives(args)
    dataset = ClipDataset(drives, config)
    learner = OccFlowLearner(_network(args, config, process), config)
    trainer = Trainer(
        learner=learner,
        dataset=dataset,
        config=config,
        options=trainer_options(args),
        process=process,
        fingerprint=fingerprint(args, drives),
    )
    return TrainingRun(trainer, _validation(args, dataset, learner, config))


def occflow_config(args: argparse.Namespace) -> Config:
    """The preset or file with the settings that differ; raises ConfigError."""
    return override(resolve(args.preset or next(iter(PRESETS))), args.set)


def training_drives(args: argparse.Namespace) -> list[TrainingDrive]:
    """What the options of `add_training_arguments` select, with its cues; raises DataError."""
    return [drive for folder in args.data for drive in _drives(args, folder)]


def fingerprint(args: argparse.Namespace, drives: list[TrainingDrive]) -> str:
    """Of the data of a run: the drives, the sets that are trained on, and whose cues they have."""
    digest = hashlib.blake2b(f"{args.flow} {args.movable}".encode(), digest_size=8)
    for one in drives:
        digest.update(describe(one.drive, one.indices))
    return digest.hexdigest()


def _network(args: argparse.Namespace, config: Config, process: Process) -> OccFlowNet:
    """With the weights to begin with."""
    network = build_network(config.model, args.weights, config.train.seed)
    begin_with(network, args.init, process)
    return network


def _drives(args: argparse.Namespace, folder: Path) -> Iterator[TrainingDrive]:
    selection = selection_of(args)
    source = shlex.join((str(folder), *selection.arguments))
    cues = CueFolder(
        needed(args, "cues", "the folder that `occflow cues` filled"),
        source,
        args.flow,
        args.movable,
    )
    for drive in open_drives(folder, selection):
        chosen = range(len(drive.sets))[args.sets.start : args.sets.stop]
        yield TrainingDrive(drive, cues, chosen)


def _validation(
    args: argparse.Namespace, dataset: ClipDataset, learner: OccFlowLearner, config: Config
) -> HeldOut | None:
    """None where nothing is held out."""
    if not args.validate:
        return None
    drives = tuple(
        drive
        for folder in args.validate
        for drive in open_subjects(folder, validation_selection(args), args.validate_sets)
    )
    drawn = dataset[Draw(len(dataset) // 2, seed=0)]
    if drawn.sample is None:
        raise DataError(drawn.problem)
    return HeldOut(learner, config, drives, args.validate_each, drawn.sample)
