"""Compare predictions of data sets with their truth, beside published rows: docs/evaluation.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from occflow_ros.cli.arguments import (
    add_data_argument,
    add_device_argument,
    add_preset_argument,
    add_selection_arguments,
    add_sets_argument,
    count,
    named_path,
    positive_int,
    selection_of,
)
from occflow_ros.cli.semantic_options import (
    add_depth_arguments,
    chosen_depth,
    refuse_depth,
    semantic_checkpoint,
)
from occflow_ros.config import Config, resolve
from occflow_ros.errors import ConfigError
from occflow_ros.evaluation import report
from occflow_ros.evaluation.gallery import draw_gallery
from occflow_ros.evaluation.plots import MISSING, can_plot
from occflow_ros.evaluation.protocols import PROTOCOLS
from occflow_ros.evaluation.records import Record
from occflow_ros.evaluation.run import Cues, Evaluator, Job, Semantics, evaluate
from occflow_ros.weights import choose_semantics_weights, choose_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow evaluate`."""
    parser.add_argument(
        "--protocol", required=True, choices=tuple(PROTOCOLS), help="what to compare with"
    )
    add_data_argument(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the evaluation; given again, it goes on where it was stopped",
    )
    add_selection_arguments(parser)
    add_sets_argument(parser)
    parser.add_argument(
        "--each",
        type=positive_int,
        default=1,
        metavar="K",
        help="compare every K-th of the sets that have a truth (default: %(default)s)",
    )
    _add_predictions(parser.add_argument_group("what is compared"))
    _add_semantics(parser.add_argument_group("classes"))
    _add_truth(parser.add_argument_group("what it is compared with, besides the data set's own"))
    parser.add_argument(
        "--workers", type=positive_int, default=1, help="processes (default: %(default)s)"
    )
    parser.add_argument(
        "--worst",
        type=count,
        default=6,
        metavar="N",
        help="pictures of so many of the worst sets (default: %(default)s)",
    )


def _add_predictions(group: argparse._ArgumentGroup) -> None:
    add_preset_argument(group)
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--weights",
        default="",
        metavar="FILE",
        help="checkpoint of either network, or untrained (default: what comes with the package)",
    )
    which.add_argument(
        "--predictions",
        type=Path,
        metavar="DIR",
        help="instead of a network: the bag of a node, SemanticKITTI's sequences/XX/predictions, "
        "labels as occflow labels names them, recordings of occflow refine or corrupt, or the "
        "prior.npz of a training of MonoOcc",
    )
    group.add_argument(
        "--beside",
        action="append",
        default=[],
        type=named_path,
        metavar="NAME=DIR",
        help="other recorded predictions, compared on the same sets; may be repeated",
    )
    add_device_argument(group)


def _add_semantics(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--semantics",
        choices=("none", "mono"),
        default="none",
        help="mono: what each voxel of a network of occupancy is, as in the node"
        " (default: %(default)s)",
    )
    group.add_argument(
        "--semantics-weights",
        default="",
        metavar="FILE",
        help="checkpoint of MonoOcc for it (default: what comes with the package)",
    )
    add_depth_arguments(group)
    group.add_argument(
        "--prior",
        type=Path,
        metavar="FILE",
        help="prior.npz of a training of MonoOcc, whose trivial answers to compare with",
    )


def _add_truth(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--labels", type=Path, metavar="DIR", help="made by occflow labels")
    group.add_argument("--cues", type=Path, metavar="DIR", help="made by occflow cues")
    group.add_argument("--flow", default="dis", help="optical flow in it (default: %(default)s)")
    group.add_argument("--movable", help="movable masks in it, as the foreground (default: none)")


def run(args: argparse.Namespace) -> None:
    """Go through what is missing, print the tables and write the report."""
    job = _job(args)
    protocol = PROTOCOLS[job.protocol]
    beside = dict(args.beside)
    if len(beside) != len(args.beside):
        raise ConfigError("--beside: expected different names")
    outcome = evaluate(job, args.out, args.workers, _bar, beside)
    print(report.as_console(protocol, outcome))
    written = report.write_report(args.out, protocol, outcome)
    written += draw_gallery(args.out, Evaluator(job), outcome.records, args.worst, beside)
    if not can_plot():
        print(MISSING)
    print(f"{len(written)} files are in {args.out}: {written[0].name} has the numbers")


def _job(args: argparse.Namespace) -> Job:
    config = resolve(args.preset)
    weights, semantics = _networks(args, config)
    return Job(
        protocol=args.protocol,
        data=tuple(args.data),
        selection=selection_of(args),
        sets=args.sets,
        every=args.each,
        config=config,
        weights=weights,
        predictions=args.predictions,
        semantics=semantics,
        prior=args.prior,
        labels=args.labels,
        cues=None if args.cues is None else Cues(args.cues, args.flow, args.movable),
        device=str(args.device),
    )


def _networks(args: argparse.Namespace, config: Config) -> tuple[Path | None, Semantics | None]:
    """Checkpoint of the network of occupancy, None for none or random values; and classes."""
    read = args.predictions is not None
    mono = None if read else semantic_checkpoint(args.weights)
    got = "--predictions" if read else f"those of {'OccFlow' if mono is None else 'MonoOcc'}"
    if args.semantics != "none" and (read or mono is not None):
        raise ConfigError(f"--semantics: expected --weights of OccFlow, got {got}")
    if args.semantics == "none" and args.semantics_weights:
        raise ConfigError("--semantics-weights: expected --semantics mono, got none")
    if mono is not None:
        depth, renderer = chosen_depth(args, config)
        return renderer, Semantics(mono, alone=True, depth=depth)
    refuse_depth(args, got)
    if read:
        return None, None
    weights = choose_weights(args.weights, config.model)
    if args.semantics == "none":
        return weights, None
    named = choose_semantics_weights(args.semantics_weights, config.model)
    return weights, Semantics(named, alone=False)


def _bar(records: Iterable[Record], total: int) -> Iterable[Record]:
    return tqdm(records, total=total, desc="evaluating", unit="set")
