"""Say what each voxel is with MonoOcc, and write files for benchmarks and pictures."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from occflow_ros.cli.arguments import (
    add_device_argument,
    add_preset_argument,
    add_selection_arguments,
    count,
    positive_int,
    selection_of,
    sets_range,
)
from occflow_ros.cli.semantic_options import (
    add_depth_arguments,
    chosen_depth,
    semantic_checkpoint,
)
from occflow_ros.config import Config, resolve
from occflow_ros.depth.frame_depth import DepthFiles, RenderedDepth
from occflow_ros.errors import ConfigError
from occflow_ros.evaluation.semantic_files import (
    PICTURES,
    Progress,
    sets_of_benchmark,
    write_semantics,
)
from occflow_ros.evaluation.semantic_source import SemanticSource
from occflow_ros.evaluation.subject import open_subjects
from occflow_ros.weights import choose_semantics_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow semantics`."""
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="recording folders, or roots of nuScenes or KITTI data sets",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for sequences/XX/predictions of SemanticKITTI's classes, or for labels.npz as"
        " occflow labels names them, and for pictures",
    )
    parser.add_argument(
        "--weights",
        default="",
        metavar="FILE",
        help="checkpoint of MonoOcc (default: what comes with the package)",
    )
    add_preset_argument(parser)
    add_depth_arguments(parser)
    add_selection_arguments(parser)
    parser.add_argument(
        "--sets", type=sets_range, default=sets_range(":"), metavar="A:B", help="of each drive"
    )
    parser.add_argument(
        "--each",
        type=positive_int,
        default=1,
        metavar="K",
        help="take every K-th set; of SemanticKITTI those with voxel files count"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--pictures",
        type=count,
        default=6,
        metavar="N",
        help="draw so many sets of each drive (default: %(default)s)",
    )
    add_device_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Write one file for each set; raises ConfigError, DataError and OutputError."""
    source = _source(args, resolve(args.preset))
    files, drawn = 0, 0
    for data in args.data:
        for subject in open_subjects(data, selection_of(args), args.sets):
            sets = sets_of_benchmark(subject, args.each)
            bar = _bar(subject.drive.name)
            written = write_semantics(subject, source, sets, args.out, args.pictures, bar)
            files, drawn = files + len(written.predictions), drawn + len(written.pictures)
    print(f"{files} predictions are in {args.out}, {drawn} pictures in {args.out / PICTURES}")


def _source(args: argparse.Namespace, config: Config) -> SemanticSource:
    weights = semantic_checkpoint(args.weights)
    if args.weights and weights is None:
        raise ConfigError(f"--weights: expected a checkpoint of MonoOcc, got {args.weights}")
    if weights is None:
        weights = choose_semantics_weights("", config.model)
    folder, renderer = chosen_depth(args, config)
    depth = RenderedDepth(config, renderer, args.device) if folder is None else DepthFiles(folder)
    return SemanticSource(weights, depth, args.device, config.stream.precision)


def _bar(description: str) -> Progress:
    def wrapped(predictions: Iterable, total: int) -> Iterable:
        return tqdm(predictions, total=total, desc=description, unit="set")

    return wrapped
