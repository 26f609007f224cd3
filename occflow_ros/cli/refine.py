"""Refine what an onboard model recorded, with all frames at hand (OccFiner): docs/offboard.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from occflow_ros.cli.arguments import count
from occflow_ros.cli.engine_options import add_engine_arguments, engine_options
from occflow_ros.cli.recording_options import add_recording_arguments, add_vote_arguments
from occflow_ros.offboard.engines import open_engine
from occflow_ros.offboard.propagation import PropagationOptions
from occflow_ros.offboard.refine import STAGES, RefineOptions, RefineReport, Stage, refine
from occflow_ros.offboard.work_folder import WORK
from occflow_ros.table import Table, as_text, number
from occflow_ros.weights import choose_refine_weights

_DEFAULTS = PropagationOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow refine`."""
    add_recording_arguments(
        parser,
        "bag, folder with sequences/XX/predictions of SemanticKITTI or with"
        " DRIVE/TOKEN/labels.npz, or recordings of occflow",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the refined drives, in the format of the input; a run that was stopped"
        " is gone on with",
    )
    parser.add_argument(
        "--bag",
        action="store_true",
        help="of inputs that are no bags, write a bag for occflow view and RViz too",
    )
    parser.add_argument(
        "--stages",
        choices=STAGES,
        default="both",
        help="local: the network (stage 1); global: the vote (stage 2) (default: %(default)s)",
    )
    parser.add_argument(
        "--keep-work",
        action="store_true",
        help=f"leave the frames of all stages in {WORK} of the folder",
    )
    _add_local(parser.add_argument_group("stage 1"))
    _add_global(parser.add_argument_group("stage 2"))
    add_engine_arguments(parser.add_argument_group("where it is computed"))


def _add_local(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="checkpoint of the network (default: what comes with the package)",
    )


def _add_global(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--radius",
        type=count,
        default=_DEFAULTS.radius,
        metavar="N",
        help="frames before and after each that vote on it (default: %(default)s)",
    )
    add_vote_arguments(group)
    group.add_argument(
        "--no-frustum",
        action="store_true",
        help="do not ask whether a camera sees a voxel",
    )
    group.add_argument(
        "--no-near-box",
        action="store_true",
        help="do not ask how far from the cameras a voxel is",
    )
    group.add_argument(
        "--no-carry",
        action="store_true",
        help="let what moves vote where it was, not where its velocity takes it",
    )


def run(args: argparse.Namespace) -> int:
    """Refine what is not refined yet; 1 where an input had to be left out.

    Raises:
        ConfigError: where options do not go together, or with an unfinished run.
        DataError: where nothing can be refined.
        OutputError: where the folder is occupied or cannot be written.
    """
    options = _options(args)
    try:
        with open_engine(engine_options(args)) as engine:
            report = refine(args.input, args.data, args.out, options, engine, _bar, args.keep_work)
    except BaseException:
        if (args.out / WORK).is_dir():
            print(
                f"what is done is in {args.out / WORK}: the same command goes on", file=sys.stderr
            )
        raise
    print(as_text(_summary(report)))
    for one in report.refined:
        for note in one.notes:
            print(f"occflow: warning: {one.name}: {note}", file=sys.stderr)
    for skip in report.skipped:
        print(f"occflow: warning: left out {skip.name}: {skip.reason}", file=sys.stderr)
    print(f"refined drives are in {args.out}")
    return 1 if report.skipped else 0


def _options(args: argparse.Namespace) -> RefineOptions:
    propagation = PropagationOptions(
        radius=args.radius,
        sensor=args.sensor,
        free=args.free,
        frustum=not args.no_frustum,
        near_box=not args.no_near_box,
        carry_moving=not args.no_carry,
    )
    return RefineOptions(args.stages, _weights(args), propagation, args.device, args.bag)


def _weights(args: argparse.Namespace) -> Path | None:
    if args.stages == "global" and args.weights is None:
        return None
    return choose_refine_weights(args.weights)


def _summary(report: RefineReport) -> Table:
    rows = [
        (stage.name, str(stage.made), stage.unit, number(stage.seconds, 1), _rate(stage))
        for stage in report.stages
    ]
    frames = sum(one.frames for one in report.refined)
    parts = sum(one.segments for one in report.refined)
    note = (
        f"{len(report.refined)} drives of {frames} frames in {parts} segments between jumps; "
        f"{len(report.skipped)} left out"
    )
    return Table("Refined", ("stage", "done", "of", "s", "per s"), tuple(rows), note, numbers=4)


def _rate(stage: Stage) -> str:
    return number(stage.made / stage.seconds if stage.made and stage.seconds else float("nan"), 2)


def _bar(items: Iterable[Any], total: int, stage: str, unit: str) -> Iterable[Any]:
    return tqdm(items, total=total, desc=stage, unit=unit)
