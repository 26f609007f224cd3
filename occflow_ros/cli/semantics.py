"""Say what each voxel is with MonoOcc, and write files for benchmarks and pictures."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from occflow_ros.cli.arguments import (
    add_data_argument,
    add_device_argument,
    add_preset_argument,
    add_selection_arguments,
    add_sets_argument,
    count,
    positive_int,
    selection_of,
)
from occflow_ros.cli.semantic_options import (
    add_depth_arguments,
    chosen_depth,
    semantic_checkpoint,
)
from occflow_ros.config import Config, resolve
from occflow_ros.data import semantic_kitti
from occflow_ros.data.rebase import on_the_road
from occflow_ros.depth.frame_depth import DepthFiles, RenderedDepth
from occflow_ros.engine import checkpoint
from occflow_ros.errors import ConfigError
from occflow_ros.evaluation.semantic_files import (
    PICTURES,
    Progress,
    sets_of_benchmark,
    write_semantics,
)
from occflow_ros.evaluation.semantic_source import SemanticSource
from occflow_ros.evaluation.sources import NetworkSource, Source
from occflow_ros.evaluation.subject import Subject, open_subjects
from occflow_ros.mono_config import MonoConfig
from occflow_ros.weights import choose_semantics_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow semantics`."""
    add_data_argument(parser)
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
    parser.add_argument(
        "--with-motion",
        action="store_true",
        help="as the node with semantics: what is occupied and how it moves from the network of"
        " occupancy that --preset names, what it is from MonoOcc",
    )
    add_preset_argument(parser)
    add_depth_arguments(parser)
    add_selection_arguments(parser)
    add_sets_argument(parser)
    parser.add_argument(
        "--each",
        type=positive_int,
        default=1,
        metavar="K",
        help="take every K-th set; of SemanticKITTI those with voxel files count"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--ground-z",
        type=float,
        default=0.0,
        metavar="M",
        help="height of the road in the drive's base frame, for networks that expect it at 0; -1.73"
        " for a drive of KITTI (default: %(default)s)",
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
    weights, config = _weights(args), resolve(args.preset)
    source = _node(args, config, weights) if args.with_motion else _alone(args, config, weights)
    names = checkpoint.load(weights, MonoConfig).config.model.classes.names
    if args.ground_z and names == semantic_kitti.NAMES:
        raise ConfigError("--ground-z: expected 0, as files of SemanticKITTI are in its own frame")
    files, drawn = 0, 0
    for data in args.data:
        for recorded in open_subjects(data, selection_of(args), args.sets):
            subject = _on_the_road(recorded, args.ground_z)
            sets = sets_of_benchmark(subject, args.each)
            bar = _bar(subject.drive.name)
            written = write_semantics(
                subject, source, sets, args.out, args.pictures, bar, args.with_motion
            )
            files, drawn = files + len(written.predictions), drawn + len(written.pictures)
    print(f"{files} predictions are in {args.out}, {drawn} pictures in {args.out / PICTURES}")


def _on_the_road(subject: Subject, ground_z_m: float) -> Subject:
    if not ground_z_m:
        return subject
    return replace(subject, drive=on_the_road(subject.drive, ground_z_m))


def _weights(args: argparse.Namespace) -> Path:
    weights = semantic_checkpoint(args.weights)
    if args.weights and weights is None:
        raise ConfigError(f"--weights: expected a checkpoint of MonoOcc, got {args.weights}")
    return weights or choose_semantics_weights("", resolve(args.preset).model)


def _alone(args: argparse.Namespace, config: Config, weights: Path) -> Source:
    folder, renderer = chosen_depth(args, config)
    depth = RenderedDepth(config, renderer, args.device) if folder is None else DepthFiles(folder)
    return SemanticSource(weights, depth, args.device, config.stream.precision)


def _node(args: argparse.Namespace, config: Config, weights: Path) -> Source:
    folder, renderer = chosen_depth(args, config)
    if folder is not None:
        raise ConfigError(f"--depth: expected rendered with --with-motion, got {folder}")
    return NetworkSource(config, renderer, args.device, weights)


def _bar(description: str) -> Progress:
    def wrapped(predictions: Iterable, total: int) -> Iterable:
        return tqdm(predictions, total=total, desc=description, unit="set")

    return wrapped
