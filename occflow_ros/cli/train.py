"""Train a network from images, poses, 2D cues and optional LiDAR, without 3D labels."""

from __future__ import annotations

import argparse
import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from occflow_ros.cli.arguments import (
    add_device_argument,
    add_preset_argument,
    add_selection_arguments,
    count,
    positive_int,
    selection_of,
    sets_range,
)
from occflow_ros.config import Config, dump, override, resolve
from occflow_ros.cues import CueFolder
from occflow_ros.data.selection import Selection, Split, open_drives
from occflow_ros.engine.checkpoint import fitting_weights
from occflow_ros.errors import DataError, OutputError
from occflow_ros.evaluation.subject import open_subjects
from occflow_ros.models.build import build_network
from occflow_ros.models.occflow_net import OccFlowNet
from occflow_ros.output import write_text
from occflow_ros.training.dataset import ClipDataset, Draw, TrainingDrive
from occflow_ros.training.monitor import ProgressMonitor, Validation
from occflow_ros.training.processes import Process, join_processes
from occflow_ros.training.trainer import STATE, Trainer, TrainerOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow train`."""
    add_training_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on from the state in --out")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--weights", type=Path, metavar="FILE", help="checkpoint to begin with")
    begin.add_argument(
        "--init",
        type=Path,
        metavar="FILE",
        help="checkpoint of another network: what fits by name and shape begins with its values",
    )
    _add_validation(parser)


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every command that trains: configuration, data, cues and where it computes."""
    add_preset_argument(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting that differs, for example train.joint_stage.steps=2000; may be repeated",
    )
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="recording folders, or roots of nuScenes or KITTI data sets",
    )
    add_selection_arguments(parser)
    parser.add_argument(
        "--cues", type=Path, required=True, metavar="DIR", help="folder that `occflow cues` filled"
    )
    parser.add_argument("--flow", default="dis", help="optical flow to take (default: %(default)s)")
    parser.add_argument("--movable", help="movable masks to take (default: all may move)")
    parser.add_argument(
        "--sets",
        type=sets_range,
        default=sets_range(":"),
        metavar="A:B",
        help="sets of each drive to use",
    )
    parser.add_argument(
        "--workers",
        type=count,
        default=2,
        help="processes that load samples (default: %(default)s)",
    )
    parser.add_argument("--save-every", type=positive_int, default=500, metavar="N")
    add_device_argument(parser)


def _add_validation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("validation, once early, every so often and at the end")
    group.add_argument(
        "--validate", type=Path, nargs="+", default=[], metavar="DIR", help="as --data, held out"
    )
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--validate-scene",
        action="append",
        default=[],
        metavar="NAME",
        help="as --scene, of these folders; may be repeated (default: all that there are)",
    )
    which.add_argument("--validate-split", choices=get_args(Split), help="as --split")
    group.add_argument(
        "--validate-sets",
        type=sets_range,
        default=sets_range(":"),
        metavar="A:B",
        help="sets of each drive to compare, those before them are history (default: all)",
    )
    group.add_argument(
        "--validate-each",
        type=positive_int,
        default=1,
        metavar="K",
        help="compare every K-th of these sets (default: %(default)s)",
    )
    group.add_argument(
        "--validate-every",
        type=count,
        default=500,
        metavar="N",
        help="steps between, 0: only early and at the end (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Train until all steps are done."""
    config = override(resolve(args.preset), args.set)
    with join_processes(args.device) as process:
        train(args, config, process)


def train(args: argparse.Namespace, config: Config, process: Process) -> None:
    """This process's part."""
    if (args.out / STATE).is_file() and not args.resume:
        raise OutputError(f"{args.out}: holds a run; go on with --resume, or take another --out")
    drives = training_drives(args)
    dataset = ClipDataset(drives, config)
    trainer = Trainer(
        network=_network(args, config, process),
        dataset=dataset,
        config=config,
        options=TrainerOptions(
            args.out, args.workers, args.save_every, args.validate_every, args.resume
        ),
        process=process,
        fingerprint=fingerprint(args, drives),
    )
    if process.writes:
        args.out.mkdir(parents=True, exist_ok=True)
        write_text(args.out / "config.yaml", dump(config))
    trainer.run(ProgressMonitor(args.out, _validation(args, dataset)))


def _network(args: argparse.Namespace, config: Config, process: Process) -> OccFlowNet:
    """With the weights to begin with."""
    network = build_network(config.model, args.weights, config.train.seed)
    if args.init is not None:
        own = network.state_dict()
        fitting = fitting_weights(args.init, own)
        network.load_state_dict(own | fitting)
        if process.writes:
            print(f"{args.init}: {len(fitting)} of {len(own)} parameters fit")
    return network


def training_drives(args: argparse.Namespace) -> list[TrainingDrive]:
    """What the options of `add_training_arguments` select, with its cues; raises DataError."""
    return [drive for folder in args.data for drive in _drives(args, folder)]


def fingerprint(args: argparse.Namespace, drives: list[TrainingDrive]) -> str:
    """Of the data of a run: the drives, the sets that are trained on, and whose cues they have."""
    digest = hashlib.blake2b(f"{args.flow} {args.movable}".encode(), digest_size=8)
    for one in drives:
        stamps = [camera_set.stamp_ns for camera_set in one.drive.sets]
        digest.update(f"{one.drive.name} {list(one.drive.cameras)} {one.indices} {stamps}".encode())
    return digest.hexdigest()


def _drives(args: argparse.Namespace, folder: Path) -> Iterator[TrainingDrive]:
    selection = selection_of(args)
    source = shlex.join((str(folder), *selection.arguments))
    cues = CueFolder(args.cues, source, args.flow, args.movable)
    for drive in open_drives(folder, selection):
        chosen = range(len(drive.sets))[args.sets.start : args.sets.stop]
        yield TrainingDrive(drive, cues, chosen)


def _validation(args: argparse.Namespace, dataset: ClipDataset) -> Validation | None:
    """None where nothing is held out."""
    if not args.validate:
        return None
    selection = Selection(
        tuple(args.validate_scene), args.version, args.validate_split, not args.sweeps
    )
    drives = tuple(
        drive
        for folder in args.validate
        for drive in open_subjects(folder, selection, args.validate_sets)
    )
    drawn = dataset[Draw(len(dataset) // 2, seed=0)]
    if drawn.sample is None:
        raise DataError(drawn.problem)
    return Validation(drives, args.validate_each, drawn.sample)
