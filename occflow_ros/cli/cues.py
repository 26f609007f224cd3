"""Make the 2D cues that training takes: optical flow and movable masks of each image."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from occflow_ros.cli.arguments import (
    add_selection_arguments,
    add_source_argument,
    count,
    positive_float,
    positive_int,
    selection_of,
)
from occflow_ros.cues.dis import DisFlow, DisOptions, Preset
from occflow_ros.cues.estimator import FlowEstimator, MaskEstimator
from occflow_ros.cues.files import FileFlow, FileMask
from occflow_ros.cues.make import Made, Progress, make_flow, make_movable
from occflow_ros.cues.sweeps import SweepFlow
from occflow_ros.cues.tracks import TrackFlow
from occflow_ros.cues.truth import TruthFiles, TruthFlow, TruthMask
from occflow_ros.data.drive import Drive
from occflow_ros.data.selection import open_drives
from occflow_ros.errors import ConfigError

_DEFAULTS = DisOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `occflow cues`."""
    add_source_argument(parser)
    add_selection_arguments(parser)
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
    taken: set[str] = set()
    for drive, every_set in _drives(args):
        if args.files is not None:
            _check_files_are_its_own(args, drive, taken)
        _make(args, drive, every_set)
    print(f"the cues are in {args.out}")


def _drives(args: argparse.Namespace) -> Iterator[tuple[Drive, Drive]]:
    """The selected drives, each as it was asked for and with all its sets."""
    selection = selection_of(args)
    drives = open_drives(args.source, selection)
    if not selection.keyframes_only or not _needs_every_set(args):
        return ((drive, drive) for drive in drives)
    every = open_drives(args.source, replace(selection, keyframes_only=False))
    return zip(drives, every, strict=True)


def _check_files_are_its_own(args: argparse.Namespace, drive: Drive, taken: set[str]) -> None:
    """Files of cues are named by images, those of tracks by cameras, and not by drives."""
    images = [(camera, image) for one in drive.sets for camera, image in one.images.items()]
    tracks = args.flow == "tracks"
    names = {camera if tracks else f"{camera}/{image.path.stem}" for camera, image in images}
    if twice := names & taken:
        raise ConfigError(
            f"--files: expected one drive with files named {min(twice)}, got {drive.name} after"
            " another one; choose with --scene"
        )
    taken |= names


def _needs_every_set(args: argparse.Namespace) -> bool:
    return args.flow in ("dis-sweeps", "truth") or args.movable == "truth"


def _make(args: argparse.Namespace, drive: Drive, every_set: Drive) -> None:
    flow, movable = _flow_estimator(args, every_set), _mask_estimator(args, every_set)
    if flow is not None:
        bar = _bar(f"{drive.name}: flow {args.flow}", "pair")
        made = make_flow(drive, flow, args.out, args.span, args.workers, bar)
        print(_summary(f"{drive.name}: {args.flow} flow", "image pairs", made))
    if movable is not None:
        bar = _bar(f"{drive.name}: movable {args.movable}", "image")
        made = make_movable(drive, movable, args.out, args.workers, bar)
        print(_summary(f"{drive.name}: {args.movable} movable masks", "images", made))


def _flow_estimator(args: argparse.Namespace, every_set: Drive) -> FlowEstimator | None:
    match args.flow:
        case "dis":
            return DisFlow(_dis_options(args))
        case "dis-sweeps":
            return SweepFlow(every_set, _dis_options(args))
        case "truth":
            return TruthFlow(TruthFiles(args.source, every_set))
        case "files":
            return FileFlow(_files(args))
        case "tracks":
            return TrackFlow(_files(args))
    return None


def _dis_options(args: argparse.Namespace) -> DisOptions:
    return DisOptions(args.dis_preset, args.dis_finest_scale, args.consistency_px)


def _mask_estimator(args: argparse.Namespace, every_set: Drive) -> MaskEstimator | None:
    match args.movable:
        case "truth":
            return TruthMask(TruthFiles(args.source, every_set))
        case "files":
            return FileMask(_files(args), args.movable_classes)
    return None


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
