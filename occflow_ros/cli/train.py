"""Train a network from images, poses, 2D cues and optional LiDAR, without 3D labels."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from occflow_ros.cli.arguments import (
    add_device_argument,
    add_preset_argument,
    count,
    positive_int,
)
from occflow_ros.config import Config, dump, override, resolve
from occflow_ros.cues import CueFolder
from occflow_ros.data.source import open_drive
from occflow_ros.models.build import build_network
from occflow_ros.output import write_text
from occflow_ros.training.dataset import ClipDataset, TrainingDrive
from occflow_ros.training.monitor import ProgressMonitor
from occflow_ros.training.processes import Process, join_processes
from occflow_ros.training.trainer import Trainer, TrainerOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow train`."""
    add_preset_argument(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting that differs, for example train.joint_stage.steps=2000; may be repeated",
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR", help="drives to train on"
    )
    parser.add_argument(
        "--cues", type=Path, required=True, metavar="DIR", help="folder that `occflow cues` filled"
    )
    parser.add_argument("--flow", default="dis", help="optical flow to take (default: %(default)s)")
    parser.add_argument("--movable", help="movable masks to take (default: all may move)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on from the state in --out")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="checkpoint to begin with")
    parser.add_argument(
        "--sets", type=_range, default=range(2**31), metavar="A:B", help="sets of each drive to use"
    )
    parser.add_argument(
        "--workers",
        type=count,
        default=2,
        help="processes that load samples (default: %(default)s)",
    )
    parser.add_argument("--save-every", type=positive_int, default=500, metavar="N")
    add_device_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Train until all steps are done."""
    config = override(resolve(args.preset), args.set)
    with join_processes(args.device) as process:
        train(args, config, process)


def train(args: argparse.Namespace, config: Config, process: Process) -> None:
    """This process's part."""
    drives = [_drive(args, folder) for folder in args.data]
    dataset = ClipDataset(drives, config)
    if process.writes:
        args.out.mkdir(parents=True, exist_ok=True)
        write_text(args.out / "config.yaml", dump(config))
    trainer = Trainer(
        network=build_network(config.model, args.weights, config.train.seed),
        dataset=dataset,
        config=config,
        options=TrainerOptions(args.out, args.workers, args.save_every, resume=args.resume),
        process=process,
        fingerprint=_fingerprint(drives),
    )
    trainer.run(ProgressMonitor(args.out))


def _drive(args: argparse.Namespace, folder: Path) -> TrainingDrive:
    drive = open_drive(folder)
    cues = CueFolder(args.cues, folder, args.flow, args.movable)
    chosen = range(len(drive.sets))[args.sets.start : args.sets.stop]
    return TrainingDrive(drive, cues, chosen)


def _fingerprint(drives: list[TrainingDrive]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for one in drives:
        stamps = [camera_set.stamp_ns for camera_set in one.drive.sets]
        digest.update(f"{one.drive.name} {list(one.drive.cameras)} {one.indices} {stamps}".encode())
    return digest.hexdigest()


def _range(text: str) -> range:
    start, _, stop = text.partition(":")
    return range(int(start or 0), int(stop or 2**31))
