"""Make the depth of images that the semantic network takes, a file for each image."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from occflow_ros.cli.arguments import (
    add_data_argument,
    add_device_argument,
    add_preset_argument,
    add_selection_arguments,
    add_sets_argument,
    selection_of,
)
from occflow_ros.config import resolve
from occflow_ros.data.drive import Drive
from occflow_ros.data.selection import open_drives
from occflow_ros.depth.folder import DepthFolder
from occflow_ros.depth.network_depth import NetworkDepth
from occflow_ros.depth.source import DepthSource, Progress, SetDepths, make_depths
from occflow_ros.errors import ConfigError
from occflow_ros.weights import choose_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow depth`."""
    parser.add_argument(
        "--source",
        required=True,
        choices=("rendered", "transformers"),
        help="rendered from what our own network predicts, or a network of transformers for depth",
    )
    add_data_argument(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the depth of all drives; files that are there are kept",
    )
    add_selection_arguments(parser)
    add_sets_argument(parser)
    add_device_argument(parser)
    _add_rendered(parser.add_argument_group("rendered"))
    parser.add_argument_group("transformers").add_argument(
        "--model",
        metavar="NAME",
        help="folder or owner/name on the hub of a network whose depth is metric",
    )


def _add_rendered(group: argparse._ArgumentGroup) -> None:
    add_preset_argument(group)
    group.add_argument(
        "--weights",
        default="",
        metavar="FILE",
        help="checkpoint, or untrained (default: what comes with the package)",
    )


def run(args: argparse.Namespace) -> None:
    """Make what is missing; raises ConfigError, DataError and OutputError."""
    source, folder = _source(args), DepthFolder(args.out)
    for data in args.data:
        for drive in open_drives(data, selection_of(args)):
            sets = range(len(drive.sets))[args.sets.start : args.sets.stop]
            made = make_depths(drive, source, folder, sets, _bar(drive))
            print(f"{drive.name}: depth of {made.made} images made, {made.kept} kept")
    print(f"the depth is in {args.out}")


def _source(args: argparse.Namespace) -> DepthSource:
    if args.source == "rendered":
        config = resolve(args.preset)
        return NetworkDepth(config, choose_weights(args.weights, config.model), args.device)
    if args.model is None:
        raise ConfigError("--model: expected a network of transformers for depth, got none")
    from occflow_ros.depth.transformers_depth import TransformersDepth

    return TransformersDepth(args.model, args.device)


def _bar(drive: Drive) -> Progress:
    def wrapped(results: Iterator[SetDepths], total: int) -> Iterable[SetDepths]:
        return tqdm(results, total=total, desc=f"{drive.name}: depth", unit="set")

    return wrapped
