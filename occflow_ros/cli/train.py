"""Train OccFlow without 3D labels, or MonoOcc or OccFiner with the classes of voxels."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from occflow_ros.cli.arguments import (
    add_data_argument,
    add_device_argument,
    add_selection_arguments,
    add_sets_argument,
    count,
    positive_int,
    sets_range,
)
from occflow_ros.cli.train_mono import add_mono_arguments, mono_run
from occflow_ros.cli.train_occflow import add_occflow_arguments, occflow_run
from occflow_ros.cli.train_refine import (
    add_refine_arguments,
    add_refine_validation_arguments,
    refine_run,
)
from occflow_ros.cli.training_run import TrainingRun
from occflow_ros.config import PRESETS, dump
from occflow_ros.data.selection import Split
from occflow_ros.errors import OutputError
from occflow_ros.mono_config import MONO_PRESETS
from occflow_ros.output import write_text
from occflow_ros.refine_config import REFINE_PRESETS
from occflow_ros.training.monitor import ProgressMonitor
from occflow_ros.training.processes import Process, join_processes
from occflow_ros.training.trainer import STATE

_METHODS: dict[str, Callable[[argparse.Namespace, Process], TrainingRun[Any]]] = {
    "occflow": occflow_run,
    "mono": mono_run,
    "refine": refine_run,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow train`."""
    parser.add_argument(
        "--model", choices=tuple(_METHODS), default="occflow", help="(default: %(default)s)"
    )
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
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="checkpoint of a privileged MonoOcc that teaches this one (default: none)",
    )
    _add_validation(parser)


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every command that trains: configuration, data and where it computes."""
    parser.add_argument(
        "--preset",
        metavar="PRESET|FILE",
        help=f"a preset ({', '.join(PRESETS)}; of MonoOcc {', '.join(MONO_PRESETS)}; of "
        f"OccFiner {', '.join(REFINE_PRESETS)}) or a YAML file (default: the first of the model)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting that differs, for example train.joint_stage.steps=2000; may be repeated",
    )
    add_data_argument(parser)
    add_selection_arguments(parser)
    add_occflow_arguments(parser)
    add_mono_arguments(parser)
    add_refine_arguments(parser)
    add_sets_argument(parser)
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
    add_refine_validation_arguments(group)
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
    with join_processes(args.device) as process:
        train(args, process)


def train(args: argparse.Namespace, process: Process) -> None:
    """This process's part."""
    if (args.out / STATE).is_file() and not args.resume:
        raise OutputError(f"{args.out}: holds a run; go on with --resume, or take another --out")
    prepared = _METHODS[args.model](args, process)
    if process.writes:
        args.out.mkdir(parents=True, exist_ok=True)
        write_text(args.out / "config.yaml", dump(prepared.trainer.config))
    prepared.trainer.run(ProgressMonitor(args.out, prepared.validation))
