"""What the two kinds of training have in common on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from torch import nn

from occflow_ros.data.drive import Drive
from occflow_ros.data.selection import Selection
from occflow_ros.engine import checkpoint
from occflow_ros.errors import ConfigError
from occflow_ros.training.learner import SampleT
from occflow_ros.training.monitor import Validation
from occflow_ros.training.processes import Process
from occflow_ros.training.trainer import Trainer, TrainerOptions


@dataclass(frozen=True, slots=True)
class TrainingRun(Generic[SampleT]):
    """One process's part of a run, ready to go.

    Args:
        trainer: of the network.
        validation: None where nothing is held out.
    """

    trainer: Trainer[SampleT]
    validation: Validation | None


def trainer_options(args: argparse.Namespace) -> TrainerOptions:
    """How the run goes."""
    return TrainerOptions(args.out, args.workers, args.save_every, args.validate_every, args.resume)


def validation_selection(args: argparse.Namespace) -> Selection:
    """Which drives of the folders given by `--validate` are held out."""
    return Selection(tuple(args.validate_scene), args.version, args.validate_split, not args.sweeps)


def begin_with(network: nn.Module, path: Path | None, process: Process) -> None:
    """Give the network the values of another one where they fit, as `--init` says."""
    if path is None:
        return
    fitting, own = checkpoint.begin_with(network, path)
    if process.writes:
        print(f"{path}: {fitting} of {own} parameters fit")


def needed(args: argparse.Namespace, option: str, what: str) -> Path:
    """A folder that this kind of training cannot do without; raises ConfigError."""
    value: Path | None = getattr(args, option)
    if value is None:
        raise ConfigError(f"--{option}: expected {what}, got none")
    return value


def describe(drive: Drive, indices: Iterable[int]) -> bytes:
    """What tells the data of one run from that of another."""
    stamps = [camera_set.stamp_ns for camera_set in drive.sets]
    return f"{drive.name} {list(drive.cameras)} {indices} {stamps}".encode()
