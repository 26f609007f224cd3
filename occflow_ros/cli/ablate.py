"""Train with parts of a method left out or replaced, as in the papers' tables, and compare."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from occflow_ros.cli.arguments import positive_int, selection_of
from occflow_ros.cli.train import add_training_arguments
from occflow_ros.cli.train_mono import (
    depth_files,
    labelled_drives,
    mono_config,
    mono_drives,
    mono_fingerprint,
)
from occflow_ros.cli.train_occflow import fingerprint, occflow_config, training_drives
from occflow_ros.cli.train_refine import (
    RECORDINGS,
    add_refine_validation_arguments,
    refine_config,
    refine_drives,
    refine_fingerprint,
)
from occflow_ros.data.selection import Selection
from occflow_ros.evaluation.subject import open_subjects
from occflow_ros.output import write_text
from occflow_ros.table import as_markdown, as_text
from occflow_ros.training.ablation import ABLATIONS, Budget, OccFlowStudy
from occflow_ros.training.monitor import ProgressMonitor
from occflow_ros.training.mono.ablation import MONO_ABLATIONS, MonoStudy, with_one_teacher
from occflow_ros.training.processes import Process
from occflow_ros.training.refine.ablation import REFINE_ABLATIONS, RefineStudy
from occflow_ros.training.refine.dataset import fit_recording
from occflow_ros.training.study import (
    Ablation,
    Runner,
    Study,
    document,
    run_study,
    table_of,
    variants_of,
)

_ALL_SETS = range(2**31)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow ablate`."""
    parser.add_argument(
        "--table",
        choices=(*ABLATIONS, "all", "mono", "refine"),
        default="all",
        help="rows to train: of OccFlow one table or all, those of MonoOcc, or those of OccFiner "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--steps", type=positive_int, required=True, metavar="N", help="of a run, both stages"
    )
    parser.add_argument(
        "--static-share",
        type=_share,
        metavar="S",
        help="of the steps in the static stage (default: as in the preset)",
    )
    parser.add_argument(
        "--seeds",
        type=positive_int,
        default=3,
        metavar="N",
        help="each row is trained with seeds 0 to N-1 (default: %(default)s)",
    )
    parser.add_argument(
        "--validate",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="synthetic drives that are held out, with `occflow synth --truth all`",
    )
    add_refine_validation_arguments(parser)
    parser.add_argument(
        "--validate-each",
        type=positive_int,
        default=1,
        metavar="K",
        help="compare every K-th of their sets (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of all runs; what is finished in it is not trained again",
    )
    parser.add_argument(
        "--init",
        type=Path,
        metavar="FILE",
        help="of mono: checkpoint whose backbone and neck the pre-trained rows begin with",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="of mono: checkpoint that teaches (default: teachers trained with as many steps)",
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write the tables here as Markdown"
    )
    add_training_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Train what is left to train, and print the tables."""
    study, chosen = _plan(args)
    runs = len(variants_of(tuple(chosen.values()))) * args.seeds
    print(f"{runs} runs of {args.steps} steps in {args.out}; finished ones are not repeated")
    for seeds, found in run_study(study, tuple(chosen.values())):
        tables = [table_of(ablation, found, study, seeds) for ablation in chosen.values()]
        numbers = document(chosen, found, study)
        write_text(args.out / "ablations.json", json.dumps(numbers, indent=2) + "\n")
        if args.markdown:
            write_text(args.markdown, "\n\n".join(map(as_markdown, tables)) + "\n")
    print("\n\n".join(map(as_text, tables)))


def _plan(args: argparse.Namespace) -> tuple[Study[Any], Mapping[str, Ablation[Any]]]:
    """What is trained and compared, and the tables that are asked for."""
    if args.table == "mono":
        study = _mono_study(args)
        return study, MONO_ABLATIONS if study.teacher is None else with_one_teacher()
    if args.table == "refine":
        return _refine_study(args), REFINE_ABLATIONS
    chosen = ABLATIONS if args.table == "all" else {args.table: ABLATIONS[args.table]}
    return _occflow_study(args), chosen


def _occflow_study(args: argparse.Namespace) -> OccFlowStudy:
    config = occflow_config(args)
    share = Budget.share_of(config) if args.static_share is None else args.static_share
    drives = training_drives(args)
    return OccFlowStudy(
        config=config,
        budget=Budget(args.steps, share, args.seeds),
        drives=drives,
        held_out=[
            one for folder in args.validate for one in open_subjects(folder, Selection(), _ALL_SETS)
        ],
        every=args.validate_each,
        out=args.out,
        runner=_runner(args, fingerprint(args, drives)),
    )


def _mono_study(args: argparse.Namespace) -> MonoStudy:
    drives = labelled_drives(args)
    args.out.mkdir(parents=True, exist_ok=True)
    return MonoStudy(
        config=mono_config(args),
        steps=args.steps,
        num_seeds=args.seeds,
        drives=drives,
        held_out=list(mono_drives(args.validate, Selection(), _ALL_SETS)),
        depth=depth_files(args),
        every=args.validate_each,
        pretrained=args.init,
        teacher=args.teacher,
        out=args.out,
        runner=_runner(args, mono_fingerprint(drives, None, args.labels)),
    )


def _refine_study(args: argparse.Namespace) -> RefineStudy:
    imported = args.out / RECORDINGS
    drives = list(
        refine_drives(args.recordings, args.data, selection_of(args), args.sets, imported)
    )
    held_out = refine_drives(
        args.validate_recordings, args.validate, Selection(), _ALL_SETS, imported
    )
    return RefineStudy(
        config=fit_recording(refine_config(args), drives[0].recording.info),
        steps=args.steps,
        num_seeds=args.seeds,
        drives=drives,
        held_out=list(held_out),
        every=args.validate_each,
        out=args.out,
        runner=_runner(args, refine_fingerprint(drives)),
    )


def _runner(args: argparse.Namespace, of_data: str) -> Runner:
    process = Process(0, 1, torch.device(args.device))
    return Runner(of_data, args.workers, args.save_every, process, _monitor)


def _monitor(folder: Path) -> ProgressMonitor:
    print(f"\n{folder}")
    return ProgressMonitor(folder)


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"expected a share between 0 and 1, got {text}")
    return value
