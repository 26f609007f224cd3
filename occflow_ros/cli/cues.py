"""Make the 2D cues that training takes: optical flow and movable masks of each image of a drive."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from occflow_ros.cli.arguments import (
    add_drive_arguments,
    count,
    positive_float,
    positive_int,
)
from occflow_ros.cues.dis import DisFlow, DisOptions, Preset
from occflow_ros.cues.estimator import FlowEstimator, MaskEstimator
from occflow_ros.cues.files import FileFlow, FileMask
from occflow_ros.cues.make import Made, Progress, make_flow, make_movable
from occflow_ros.cues.sweeps import SweepFlow
from occflow_ros.cues.tracks import TrackFlow
from occflow_ros.cues.truth import TruthFiles, TruthFlow, TruthMask
from occflow_ros.data.drive import Drive
from occflow_ros.data.source import open_drive
from occflow_ros.errors import ConfigError

_DEFAULTS = DisOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow cues`."""
    add_drive_arguments(parser)
    parser.add_argument(
        "--sweeps", action="store_true", help="take what lies between the keyframes too"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the cues of all drives"
    )
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="images at a time (default: %(default)s)",
    )
    _add_sources(parser)
    _add_search(parser.add_argument_group("dense inverse search"))


def _add_sources(parser: argparse.ArgumentParser) -> None:
    """Where cues come from."""
    parser.add_argument(
        "--flow",
        choices=("dis", "dis-sweeps", "truth", "files", "tracks"),
        help="optical flow by dense inverse search, by the same through the sweeps between"
        " keyframes, exact (synthetic drives), or made elsewhere",
    )
    parser.add_argument(
        "--movable",
        choices=("truth", "files"),
        help="masks of movable things, exact (synthetic drives) or made elsewhere",
    )
    parser.add_argument(
        "--files",
        type=Path,
        metavar="DIR",
        help="cues made elsewhere: flow_forward/, flow_backward/ and movable/ with"
        " <camera>/<image>.png|.flo|.npy, or tracks/<camera>.npz",
    )
    parser.add_argument(
        "--movable-classes",
        type=_numbers,
        default=(),
        metavar="N,N",
        help="movable classes in masks from files (default: all but 0)",
    )
    parser.add_argument(
        "--span",
        type=positive_int,
        default=1,
        metavar="N",
        help="flow to the next N sets and back (default: %(default)s)",
    )


def _add_search(group: argparse._ArgumentGroup) -> None:
    """Settings of flow that is searched in the images."""
    group.add_argument(
        "--dis-preset",
        choices=get_args(Preset),
        default=_DEFAULTS.preset,
        help="of the dense inverse search (default: %(default)s)",
    )
    group.add_argument(
        "--dis-finest-scale",
        type=count,
        default=_DEFAULTS.finest_scale,
        metavar="N",
        help="the search ends at the image halved N times (default: %(default)s)",
    )
    group.add_argument(
        "--consistency-px",
        type=positive_float,
        default=_DEFAULTS.consistency_px,
        metavar="PX",
        help="flow of the search is trusted where there and back returns within this distance"
        " (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Make what is missing; raises ConfigError, DataError and OutputError."""
    if args.flow is None and args.movable is None:
        raise ConfigError("expected --flow, --movable or both")
    drive = open_drive(args.source, args.scene, args.version, keyframes_only=not args.sweeps)
    flow, movable = _flow_estimator(args), _mask_estimator(args)
    if flow is not None:
        bar = _bar(f"flow {args.flow}", "pair")
        made = make_flow(drive, flow, args.out, args.span, args.workers, bar)
        print(_summary(f"{args.flow} flow", "image pairs", made))
    if movable is not None:
        bar = _bar(f"movable {args.movable}", "image")
        made = make_movable(drive, movable, args.out, args.workers, bar)
        print(_summary(f"{args.movable} movable masks", "images", made))
    print(f"cues of {drive.name} are in {args.out}")


def _flow_estimator(args: argparse.Namespace) -> FlowEstimator | None:
    match args.flow:
        case "dis":
            return DisFlow(_dis_options(args))
        case "dis-sweeps":
            return SweepFlow(_every_set(args), _dis_options(args))
        case "truth":
            return TruthFlow(_truth_files(args))
        case "files":
            return FileFlow(_files(args))
        case "tracks":
            return TrackFlow(_files(args))
    return None


def _dis_options(args: argparse.Namespace) -> DisOptions:
    return DisOptions(args.dis_preset, args.dis_finest_scale, args.consistency_px)


def _mask_estimator(args: argparse.Namespace) -> MaskEstimator | None:
    match args.movable:
        case "truth":
            return TruthMask(_truth_files(args))
        case "files":
            return FileMask(_files(args), args.movable_classes)
    return None


def _truth_files(args: argparse.Namespace) -> TruthFiles:
    return TruthFiles(args.source, _every_set(args))


def _every_set(args: argparse.Namespace) -> Drive:
    return open_drive(args.source, args.scene, args.version, keyframes_only=False)


def _files(args: argparse.Namespace) -> Path:
    if args.files is None:
        raise ConfigError("--files: expected the folder of the cues made elsewhere, got none")
    return args.files


def _bar(description: str, unit: str) -> Progress:
    def wrapped(results: Iterator[bool], total: int) -> Iterable[bool]:
        return tqdm(results, total=total, desc=description, unit=unit)

    return wrapped


def _summary(what: str, unit: str, made: Made) -> str:
    return f"{what}: {made.made} {unit} made, {made.kept} kept"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(number) for number in text.split(",")}))
